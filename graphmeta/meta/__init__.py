"""Learners that adapt any encoder: fast weights in, fast weights out."""

from graphmeta.meta.anil import ANIL
from graphmeta.meta.check_encoder import EncoderReport, check_encoder
from graphmeta.meta.check_learner import check_learner
from graphmeta.meta.estimate_memory import MemoryEstimate, estimate_memory, refuse_out_of_memory
from graphmeta.meta.fine_tuning import FineTuning
from graphmeta.meta.implicit_maml import ImplicitMAML
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.meta.live_memory import LiveMemory
from graphmeta.meta.maml import MAML
from graphmeta.meta.memory_augmented import MemoryAugmented
from graphmeta.meta.meta_critic import MetaCritic
from graphmeta.meta.meta_sgd import MetaSGD
from graphmeta.meta.meta_training import MetaTrainer
from graphmeta.meta.neural_process import NeuralProcess
from graphmeta.meta.prototypes import Prototypes
from graphmeta.meta.query_loss import query_loss
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.meta.relation_network import RelationNetwork
from graphmeta.meta.reptile import Reptile
from graphmeta.meta.ridge_head import RidgeHead

__all__ = [
    "ANIL",
    "MAML",
    "EncoderReport",
    "FastWeights",
    "FineTuning",
    "ImplicitMAML",
    "Learner",
    "LiveMemory",
    "MemoryAugmented",
    "MemoryEstimate",
    "MetaCritic",
    "MetaSGD",
    "MetaTrainer",
    "NeuralProcess",
    "Prototypes",
    "RelationNetwork",
    "Reptile",
    "RidgeHead",
    "check_encoder",
    "check_learner",
    "estimate_memory",
    "query_loss",
    "refuse_out_of_memory",
    "relation_learner",
]

"""Learners that adapt any encoder: fast weights in, fast weights out."""

from graphmeta.meta.anil import ANIL
from graphmeta.meta.check_encoder import EncoderReport, check_encoder
from graphmeta.meta.check_learner import check_learner
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.meta.maml import MAML
from graphmeta.meta.meta_sgd import MetaSGD
from graphmeta.meta.meta_training import MetaTrainer
from graphmeta.meta.query_loss import query_loss
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.meta.ridge_head import RidgeHead

__all__ = [
    "ANIL",
    "MAML",
    "EncoderReport",
    "FastWeights",
    "Learner",
    "MetaSGD",
    "MetaTrainer",
    "RidgeHead",
    "check_encoder",
    "check_learner",
    "query_loss",
    "relation_learner",
]

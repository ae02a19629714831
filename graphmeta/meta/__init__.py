"""Learners that adapt any encoder: fast weights in, fast weights out."""

from graphmeta.meta.maml import MAML, FastWeights
from graphmeta.meta.meta_training import MetaTrainer
from graphmeta.meta.query_loss import query_loss
from graphmeta.meta.relation_learner import relation_learner

__all__ = ["MAML", "FastWeights", "MetaTrainer", "query_loss", "relation_learner"]

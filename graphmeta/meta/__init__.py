"""Learners that adapt any encoder: fast weights in, fast weights out."""

from graphmeta.meta.maml import MAML, FastWeights
from graphmeta.meta.meta_training import meta_train

__all__ = ["MAML", "FastWeights", "meta_train"]

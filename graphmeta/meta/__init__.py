"""Learners that adapt any encoder: fast weights in, fast weights out."""

from graphmeta.meta.maml import MAML, FastWeights

__all__ = ["MAML", "FastWeights"]

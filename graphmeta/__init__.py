"""Graph meta-learning for cold-start recommendation on PyTorch Geometric."""

from graphmeta import data
from graphmeta.encoders import RelationEncoder
from graphmeta.meta import MAML
from graphmeta.ranking import ColdStartRecommender, evaluate

__all__ = ["MAML", "ColdStartRecommender", "RelationEncoder", "data", "evaluate"]

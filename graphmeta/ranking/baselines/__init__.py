"""Baselines: each a `Scorer` that fits the training graph and ranks for cold users."""

from graphmeta.ranking.baselines.item_knn import ItemKNN
from graphmeta.ranking.baselines.popularity import Popularity
from graphmeta.ranking.baselines.random import Random
from graphmeta.ranking.baselines.user_knn import UserKNN

__all__ = [
    "ItemKNN",
    "Popularity",
    "Random",
    "UserKNN",
]

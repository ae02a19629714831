"""Baselines: each a `Scorer` that fits the training graph and ranks for cold users."""

from graphmeta.ranking.baselines.attribute_map import AttributeMap
from graphmeta.ranking.baselines.content_knn import ContentKNN
from graphmeta.ranking.baselines.content_popularity import ContentPopularity
from graphmeta.ranking.baselines.ease import EASE
from graphmeta.ranking.baselines.few_shot_linear import FewShotLinear
from graphmeta.ranking.baselines.friend_popularity import FriendPopularity
from graphmeta.ranking.baselines.graph_filter import GraphFilter
from graphmeta.ranking.baselines.ials import IALS
from graphmeta.ranking.baselines.item_knn import ItemKNN
from graphmeta.ranking.baselines.item_mean import ItemMean
from graphmeta.ranking.baselines.light_gcn import LightGCN
from graphmeta.ranking.baselines.mamo import MAMO
from graphmeta.ranking.baselines.melu import MeLU
from graphmeta.ranking.baselines.mult_vae import MultVAE
from graphmeta.ranking.baselines.popularity import Popularity
from graphmeta.ranking.baselines.random import Random
from graphmeta.ranking.baselines.rank_one_svd import RankOneSVD
from graphmeta.ranking.baselines.rating_ridge import RatingRidge
from graphmeta.ranking.baselines.rm1 import RM1
from graphmeta.ranking.baselines.social_knn import SocialKNN
from graphmeta.ranking.baselines.tanp import TaNP
from graphmeta.ranking.baselines.user_knn import UserKNN

__all__ = [
    "EASE",
    "IALS",
    "MAMO",
    "RM1",
    "AttributeMap",
    "ContentKNN",
    "ContentPopularity",
    "FewShotLinear",
    "FriendPopularity",
    "GraphFilter",
    "ItemKNN",
    "ItemMean",
    "LightGCN",
    "MeLU",
    "MultVAE",
    "Popularity",
    "Random",
    "RankOneSVD",
    "RatingRidge",
    "SocialKNN",
    "TaNP",
    "UserKNN",
]

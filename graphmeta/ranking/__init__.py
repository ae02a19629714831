"""Full-catalogue ranking, its metrics and the recommender."""

from graphmeta.ranking.canaries import run_canaries
from graphmeta.ranking.collapse import check_collapse
from graphmeta.ranking.evaluate import evaluate
from graphmeta.ranking.evaluation import Evaluation
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.query_blind import check_query_blind
from graphmeta.ranking.ranked_items import Ranking
from graphmeta.ranking.recommender import ColdStartRecommender
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.significance import compare_paired, holm
from graphmeta.ranking.top_k import top_k
from graphmeta.ranking.user_state import UserState

__all__ = [
    "ColdStartRecommender",
    "Evaluation",
    "ItemStatistics",
    "Ranking",
    "Scorer",
    "UserState",
    "check_collapse",
    "check_query_blind",
    "compare_paired",
    "evaluate",
    "holm",
    "ranking_metrics",
    "run_canaries",
    "top_k",
]

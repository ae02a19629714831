"""Full-catalogue ranking, its metrics and the recommender."""

from graphmeta.ranking.evaluate import evaluate
from graphmeta.ranking.evaluation import Evaluation
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.recommender import ColdStartRecommender
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.significance import compare_paired, holm
from graphmeta.ranking.top_k import top_k

__all__ = [
    "ColdStartRecommender",
    "Evaluation",
    "Scorer",
    "compare_paired",
    "evaluate",
    "holm",
    "ranking_metrics",
    "top_k",
]

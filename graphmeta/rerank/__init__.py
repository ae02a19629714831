"""Orders a user's best items anew: for the long tail, or in the mix that the user likes."""

from graphmeta.ranking.reranker import Reranker
from graphmeta.rerank.calibrated_reranker import CalibratedReranker
from graphmeta.rerank.greedy_reranker import GreedyReranker
from graphmeta.rerank.item_categories import item_categories
from graphmeta.rerank.long_tail_reranker import LongTailReranker

__all__ = [
    "CalibratedReranker",
    "GreedyReranker",
    "LongTailReranker",
    "Reranker",
    "item_categories",
]

"""Which of a user's few interactions, and which paths, moved a recommendation."""

from graphmeta.explain.draw_explanation import draw_explanation, explanation_graph
from graphmeta.explain.encoder_explanation import explain_encoder
from graphmeta.explain.explain_ranking import explain_ranking
from graphmeta.explain.explanation import Explanation

__all__ = [
    "Explanation",
    "draw_explanation",
    "explain_encoder",
    "explain_ranking",
    "explanation_graph",
]

"""The names under which the exported file takes the tensors of a batch of users."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.meta.learner import FastWeights
from graphmeta.meta.ridge_head import RidgeHead
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.tasks.episode import EpisodeBatch

SUPPORT, USER_X, VOTERS = "support", "user_x", "voters"
NODES, EDGES, EDGE_FEATURES, FAST = "node_index.", "edge_index.", "edge_attr.", "fast."
# What the catalogue's head reads; all else is the encoder's, which reads `user_x` as well.
OF_HEAD = (SUPPORT, USER_X, VOTERS)
N_USERS = "n_users"
# The axis beside that of users whose length may differ from call to call.
FREE_AXIS = {
    SUPPORT: (1, "support_size"),
    VOTERS: (1, "n_voters"),
    NODES: (1, "n_nodes."),
    EDGES: (2, "n_edges."),
    EDGE_FEATURES: (1, "n_edges."),
}


def named_inputs(
    scorer: FewShotScorer, episodes: EpisodeBatch, fast: FastWeights
) -> dict[str, Tensor]:
    """Return the tensors of a batch of users by name.

    Features of users are NaN where the batch has none. What the learner's encoder does not read is
    left out: relation features, or the whole subgraph where a user's weights are an embedding.
    """
    support = episodes.support
    named = {SUPPORT: support.item_index}
    known = scorer.head.table.user_x
    if known is not None:
        unknown = known.new_full((len(support), known.size(1)), float("nan"))
        named[USER_X] = unknown if support.user_x is None else support.user_x
    if episodes.voters is not None:
        named[VOTERS] = episodes.voters
    if not isinstance(scorer.learner, RidgeHead):
        named |= {NODES + t: index for t, index in episodes.node_index_dict.items()}
        named |= {EDGES + "__".join(t): index for t, index in episodes.edge_index_dict.items()}
        if getattr(scorer.learner.encoder, "edge_dim", 0):
            of_edges = episodes.edge_attr_dict.items()
            named |= {EDGE_FEATURES + "__".join(t): x for t, x in of_edges}
    return named | {FAST + name: weight for name, weight in fast.items()}


def episodes_of(named: Mapping[str, Tensor]) -> EpisodeBatch:
    """Return the batch of new users whose tensors these are."""
    first = next(iter(named.values()))
    nobody = first.new_full(first.shape[:1], -1).long()
    user_x = named.get(USER_X)
    support = Support(
        named.get(SUPPORT, nobody.unsqueeze(1)),
        user_x=None if user_x is None else user_x.nan_to_num(0.0),
    )
    return EpisodeBatch(
        support,
        _under(NODES, named),
        {edge_type(t): index for t, index in _under(EDGES, named).items()},
        {edge_type(t): x for t, x in _under(EDGE_FEATURES, named).items()},
        nobody,
        named.get(VOTERS),
    )


def fast_of(named: Mapping[str, Tensor]) -> FastWeights:
    """Return the users' own weights."""
    return _under(FAST, named)


def axes_of(name: str) -> dict[int, str]:
    """Return the axes of an input whose length may differ from call to call, with their names."""
    for start, (at, axis) in FREE_AXIS.items():
        if name.startswith(start):
            return {0: N_USERS, at: axis + name[len(start) :]}
    return {0: N_USERS}


def edge_type(name: str) -> tuple[str, str, str]:
    """Return the edge type that a name is of."""
    source, relation, target = name.split("__")
    return source, relation, target


def _under(start: str, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(start) :]: x for name, x in named.items() if name.startswith(start)}

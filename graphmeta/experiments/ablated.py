"""The recommender less one part at a time, to see what each part is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch_geometric.data import HeteroData

from graphmeta.meta import MAML, Learner, relation_learner
from graphmeta.meta.relation_learner import ADAPTED
from graphmeta.ranking import ColdStartRecommender

# The largest support of an auto-encoder's training; the histories of most data sets are shorter
# than twice that.
AUTO_ENCODER_ITEMS = 50
DEFAULT = "default"


def _learner(**options: Any) -> Callable[[nn.Module], Learner]:
    return lambda encoder: MAML(encoder, adapt=ADAPTED, **options)


# What each variant changes in `ColdStartRecommender()`, and why that is the part.
VARIANTS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    DEFAULT: ({}, "as it is, adapted where its gate chose so"),
    "no-graph": (
        {"num_neighbors": (0, 0), "without": ("vote",)},
        "no message passing: the encoder reads the support alone, and no neighbour votes",
    ),
    "no-subgraph": (
        {"num_neighbors": (0, 0)},
        "the encoder reads the support alone; neighbours vote",
    ),
    "no-vote": ({"without": ("vote",)}, "no neighbour votes; the encoder reads the subgraph"),
    # (All users of a support and all their items take hundreds of times as long as the sample.)
    "wide-subgraph": (
        {"num_neighbors": (8, 8)},
        "8 users of each support item and 8 items of each user in place of 4 and 4",
    ),
    "sampled-vote": (
        {"num_voters": 32},
        "the vote sampled as well: 32 users of each support item",
    ),
    "no-episodes": (
        {"support_share": 0.5, "k_max": AUTO_ENCODER_ITEMS},
        "trained as an auto-encoder: a random half of each user's items, at most "
        f"{AUTO_ENCODER_ITEMS}, predicts the other half",
    ),
    "no-adaptation": ({"learner": _learner(inner_steps=0)}, "neither trained to adapt nor adapted"),
    "no-leave-one-out": (
        {"learner": _learner(inner_loss="support")},
        "adapts on the loss of the items that the encoder has just read",
    ),
    "no-content": ({"without": ("content",)}, "items do not vote by their features"),
    "no-product": ({"without": ("product",)}, "no product of user and item embeddings"),
    "no-prior": (
        {"without": ("prior",)},
        "no popularity and no bias of items, and none added on validation users",
    ),
}


def has_part(name: str, train: HeteroData) -> bool:
    """Return whether a variant lacks something that the data set's model would have."""
    return name != "no-content" or "x" in train["item"]


def ablated(
    name: str, train: HeteroData, *, seed: int, epochs: int, min_steps: int = 50
) -> ColdStartRecommender:
    """Return an untrained recommender that is the default one less a part.

    Args:
        name: One of `VARIANTS`.
        train: The training graph.
        seed: Draws weights and episodes.
        epochs: Most epochs of training.
        min_steps: Least outer steps of an epoch.
    """
    options = dict(VARIANTS[name][0])
    if (wrap := options.pop("learner", None)) is not None:
        options["learner"] = relation_learner(train.metadata(), seed=seed, wrap=wrap)
    return ColdStartRecommender(**options, epochs=epochs, min_steps=min_steps, seed=seed)

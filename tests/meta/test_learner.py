"""What an encoder returns, and what is said where that is something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import HGTConv

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import EncoderError
from graphmeta.meta import MAML, Prototypes, RelationNetwork, RidgeHead
from graphmeta.meta.learner import Learner
from graphmeta.tasks.episode import RATES, REV_RATES, EpisodeBatch

METADATA = (["user", "item"], [RATES, REV_RATES])


class Returns(nn.Module):
    """Returns whatever `make` makes of the embeddings."""

    def __init__(self, make: Callable[[dict[str, Tensor]], Any]) -> None:
        super().__init__()
        self.weight, self.make = nn.Parameter(torch.ones(())), make

    def forward(self, x_dict: dict[str, Tensor], _: object) -> Any:
        return self.make({t: self.weight * x for t, x in x_dict.items()})


@pytest.mark.parametrize("is_batched", [True, False])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda out: out["user"], "Returns returned a Tensor, not a dict; return"),
        (lambda out: (out["user"], out["item"]), "Returns returned a tuple, not a dict; return"),
        (lambda out: None, "Returns returned a NoneType, not a dict; return"),
        (lambda out: {"item": out["item"]}, r"returned node types \['item'\] without 'user'"),
        (lambda out: {"user": None}, "returned a NoneType for 'user', not a tensor"),
        (lambda out: {"user": out["user"][0]}, "returned users in 1 dimensions, not in 2"),
    ],
)
def test_what_is_no_embedding_of_users_is_told(
    make: Callable[[dict[str, Tensor]], Any],
    said: str,
    is_batched: bool,
    episodes: EpisodeBatch,
    head: CatalogueHead,
) -> None:
    learner = MAML(Returns(make), is_batched=is_batched)
    with pytest.raises(EncoderError, match=said) as caught:
        learner.score(episodes, {}, head)
    assert "tensor(" not in str(caught.value)


@pytest.mark.parametrize(
    "wrap",
    [
        MAML,
        lambda encoder: MAML(encoder, inner_loss="support"),
        lambda encoder: MAML(encoder, inner_steps=0),
        RidgeHead,
        lambda encoder: Prototypes(encoder, channels=6),
        lambda encoder: RelationNetwork(encoder, channels=6),
    ],
)
def test_another_width_than_that_of_the_items_is_told(
    wrap: Callable[[nn.Module], Learner], episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = wrap(HGTConv(6, 4, METADATA))
    with pytest.raises(
        EncoderError, match="HGTConv embeds a user in 4 numbers, not in channels=6; make its out"
    ):
        learner.score(episodes, learner.adapt(episodes, head), head)

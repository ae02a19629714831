"""Adapters: the identity at first, then what their equation says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from graphmeta.encoders import RelationEncoder
from graphmeta.encoders.adapter import WithAdapters
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.tasks.episode import RATES, REV_RATES

X = {"user": torch.tensor([[1.0, -2.0]]), "item": torch.tensor([[0.5, 3.0], [2.0, 0.0]])}
EDGES = {RATES: torch.tensor([[0, 0], [0, 1]]), REV_RATES: torch.tensor([[0, 1], [0, 0]])}


class Doubling(nn.Module):
    """Returns the features times two."""

    def forward(self, x_dict: dict[str, Tensor], _: object) -> dict[str, Tensor]:
        return {t: 2 * x for t, x in x_dict.items()}


def test_starts_as_the_encoder_itself() -> None:
    encoder = RelationEncoder((["user", "item"], [RATES, REV_RATES]), out_channels=2, edge_dim=3)
    adapted = WithAdapters(encoder, channels=2, bottleneck=3)
    assert adapted.edge_dim == 3
    assert adapted.trims_to_user
    features = {e: torch.ones(2, 3) for e in EDGES}
    for options in ({}, {"support_size": 2}):
        wanted, found = (module(X, EDGES, features, **options) for module in (encoder, adapted))
        assert set(found) == set(wanted)
        assert all(torch.equal(found[t], wanted[t]) for t in wanted)


def test_no_relation_features_are_told_by_none_too() -> None:
    encoder = Doubling()
    encoder.edge_dim = None  # As PyG's layers have it.
    assert WithAdapters(encoder, channels=2).edge_dim == 0


def test_adds_the_bottleneck_of_each_type() -> None:
    adapted = WithAdapters(Doubling(), channels=2, bottleneck=1)
    assert adapted.edge_dim == 0
    assert not adapted.trims_to_user
    user = adapted.adapters["user"]
    with torch.no_grad():
        user.down.weight.copy_(torch.tensor([[1.0, 0.5]]))
        user.down.bias.fill_(1.0)
        user.up.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        user.up.bias.fill_(0.25)
    out = adapted(X, EDGES)
    down = 2.0 - 2.0 + 1.0
    gelu = down * 0.5 * (1 + math.erf(down / math.sqrt(2)))
    torch.testing.assert_close(
        out["user"], torch.tensor([[2.0 + 2 * gelu + 0.25, -4.0 - gelu + 0.25]])
    )
    assert torch.equal(out["item"], 2 * X["item"])


def test_types_without_an_adapter_are_passed_on() -> None:
    adapted = WithAdapters(Doubling(), channels=2, node_types=("user",))
    nn.init.ones_(adapted.adapters["user"].up.bias)
    out = adapted(X, EDGES)
    torch.testing.assert_close(out["user"], 2 * X["user"] + 1)
    assert torch.equal(out["item"], 2 * X["item"])


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="bottleneck=0 must be at least 1"):
        WithAdapters(Doubling(), channels=2, bottleneck=0)
    with pytest.raises(ConfigError, match="channels=0 must be at least 1"):
        WithAdapters(Doubling(), channels=0)
    with pytest.raises(ConfigError, match="node_types is empty"):
        WithAdapters(Doubling(), channels=2, node_types=())
    with pytest.raises(
        EncoderError, match="Doubling embeds a user in 2 numbers, not in channels=3"
    ):
        WithAdapters(Doubling(), channels=3)(X, EDGES)

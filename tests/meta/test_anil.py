"""Only the last module adapts."""

from __future__ import annotations

import pytest
from torch import nn
from torch_geometric.nn import HeteroConv, SAGEConv

from graphmeta.errors import ConfigError
from graphmeta.meta import ANIL
from graphmeta.meta.anil import last_module
from graphmeta.tasks.episode import RATES, REV_RATES


def test_the_relation_encoders_output_adapts(encoder: nn.Module) -> None:
    learner = ANIL(encoder)
    assert {name.split(".")[0] for name in learner.adapted_names} == {"output"}
    assert "output.user.weight" in learner.adapted_names


def test_the_last_layer_of_a_stack_adapts() -> None:
    def layer() -> HeteroConv:
        return HeteroConv({e: SAGEConv(4, 4) for e in (RATES, REV_RATES)})

    stack = nn.Module()
    stack.layers = nn.ModuleList([layer(), layer()])
    assert last_module(stack) == "layers.1."
    assert all(name.startswith("layers.1.") for name in ANIL(stack).adapted_names)


def test_a_single_module_adapts_whole() -> None:
    assert last_module(nn.Linear(2, 2)) == ""
    assert ANIL(nn.Linear(2, 2)).adapted_names == ["weight", "bias"]
    # Parameters of its own beside a child: all of it is the last module.
    mixed = nn.MultiheadAttention(4, 2)
    assert last_module(mixed) == ""


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="no parameters"):
        ANIL(nn.Identity())

"""Only the last module adapts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.nn import HeteroConv, HGTConv, SAGEConv

from graphmeta.errors import ConfigError
from graphmeta.experiments.named_encoders import ENCODERS
from graphmeta.meta import ANIL
from graphmeta.meta.anil import last_module
from graphmeta.meta.fine_tuning import FineTuning
from graphmeta.tasks.episode import RATES, REV_RATES

METADATA = (["user", "item"], [RATES, REV_RATES])


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


def test_parameters_in_a_dict_are_the_layers_own() -> None:
    layer = HGTConv(4, 4, METADATA, heads=2)
    assert last_module(layer) == ""
    assert ANIL(layer).adapted_names == [name for name, _ in layer.named_parameters()]
    assert FineTuning(layer, part="head").adapted_names == ANIL(layer).adapted_names
    stack = nn.Module()
    stack.layers = nn.ModuleList(HGTConv(4, 4, METADATA, heads=2) for _ in range(2))
    assert last_module(stack) == "layers.1."
    listed = nn.Module()
    listed.first, listed.scales = nn.Linear(2, 2), nn.ParameterList([torch.ones(2)])
    assert last_module(listed) == ""


def test_the_modules_of_a_dict_adapt_together() -> None:
    layer = HeteroConv({e: SAGEConv(4, 4) for e in (RATES, REV_RATES)})
    assert last_module(layer) == "convs."
    assert len(ANIL(layer).adapted_names) == len(list(layer.parameters()))
    single = nn.Module()
    single.maps = nn.ModuleDict({"user": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))})
    assert last_module(single) == "maps.user.1."


@pytest.mark.parametrize(
    ("name", "adapted"),
    [
        ("relation", "output."),
        ("to-hetero", "second."),
        ("light-gcn", "weight."),
        *((name, "layers.1.") for name in ("sage", "graph-conv", "gat", "hgt", "rgcn")),
    ],
)
def test_what_adapts_of_the_named_encoders(name: str, adapted: str) -> None:
    built = ENCODERS[name].build(METADATA, 4)
    wanted = [n for n, _ in built.named_parameters() if n.startswith(adapted)]
    assert ANIL(built).adapted_names == wanted


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="no parameters"):
        ANIL(nn.Identity())

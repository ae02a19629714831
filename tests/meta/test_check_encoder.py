"""What works with adaptation and what does not, and the table in the docs that says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import (
    EdgeConv,
    GATConv,
    GATv2Conv,
    GINConv,
    GraphConv,
    HANConv,
    HeteroConv,
    HGTConv,
    LGConv,
    PairNorm,
    ResGatedGraphConv,
    SAGEConv,
    TransformerConv,
    to_hetero,
)

from graphmeta.encoders import RelationEncoder
from graphmeta.errors import ConfigError
from graphmeta.meta import MAML, check_encoder
from graphmeta.tasks.episode import RATES, REV_RATES

C = 8
EDGES = (RATES, REV_RATES)
METADATA = (["user", "item"], list(EDGES))
TABLE = Path(__file__).parents[2] / "docs" / "encoders.md"


class Stack(nn.Module):
    """Layers as a PyG user stacks them, with something done to every node in between."""

    def __init__(self, *layers: nn.Module, after: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.after = after

    def forward(self, x: dict[str, Tensor], edges: dict[tuple[str, str, str], Tensor]) -> object:
        for layer in self.layers:
            x = layer(x, edges)
            if self.after is not None:
                x = {node_type: self.after(value) for node_type, value in x.items()}
        return x


class TwoSAGE(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (SAGEConv((width, width), C) for _ in range(2))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.second(self.first(x, edge_index).relu(), edge_index)


class Masked(nn.Module):
    """Selects by a boolean mask, whose result has no fixed shape."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x[x > -1e9].numel() > 0)


class Scattered(nn.Module):
    """Scatters in place into a tensor that is no user's own."""

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(x.size(1))
        total.add_(x.sum(0))
        return x + 0 * total


def two(build: Callable[[], nn.Module], after: nn.Module | None = None) -> nn.Module:
    layers = [HeteroConv({e: build() for e in EDGES}) for _ in range(2)]
    return Stack(*layers, after=after)


def sage() -> nn.Module:
    return SAGEConv(C, C)


ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "RelationEncoder": lambda: RelationEncoder(METADATA, out_channels=C),
    "SAGEConv": lambda: two(sage),
    "GraphConv": lambda: two(lambda: GraphConv(C, C)),
    "GATConv(add_self_loops=False)": lambda: two(lambda: GATConv((C, C), C, add_self_loops=False)),
    "GATv2Conv(add_self_loops=False)": lambda: two(
        lambda: GATv2Conv((C, C), C, add_self_loops=False)
    ),
    "TransformerConv": lambda: two(lambda: TransformerConv(C, C)),
    "GINConv": lambda: two(lambda: GINConv(nn.Linear(C, C))),
    "ResGatedGraphConv": lambda: two(lambda: ResGatedGraphConv((C, C), C)),
    "EdgeConv": lambda: two(lambda: EdgeConv(nn.Linear(2 * C, C))),
    "HGTConv": lambda: Stack(*(HGTConv(C, C, METADATA, heads=2) for _ in range(2))),
    "HANConv": lambda: Stack(HANConv(C, C, METADATA)),
    "to_hetero": lambda: to_hetero(TwoSAGE(C), METADATA),
    "to_hetero, lazy": lambda: to_hetero(TwoSAGE(-1), METADATA),
    "SAGEConv, Dropout": lambda: two(sage, nn.Dropout(0.2)),
    "SAGEConv, LayerNorm": lambda: two(sage, nn.LayerNorm(C)),
    "SAGEConv, BatchNorm1d": lambda: two(sage, nn.BatchNorm1d(C)),
    "SAGEConv, PairNorm": lambda: two(sage, PairNorm()),
    "SAGEConv, boolean mask": lambda: two(sage, Masked()),
    "SAGEConv, in-place sum": lambda: two(sage, Scattered()),
    "LGConv": lambda: two(LGConv),
}
WANTED = {  # can_adapt, can_batch, a word of the advice
    "to_hetero, lazy": (False, False, "run one batch through it first"),
    "SAGEConv, BatchNorm1d": (True, False, "replace it by LayerNorm"),
    "SAGEConv, PairNorm": (True, True, "depends on padding nodes"),
    "SAGEConv, boolean mask": (True, False, "boolean mask"),
    "SAGEConv, in-place sum": (True, False, "writes in place"),
    "LGConv": (False, False, "no parameters"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_each_encoder_is_reported_as_it_is(name: str) -> None:
    report = check_encoder(ENCODERS[name](), channels=C)
    can_adapt, can_batch, word = WANTED.get(name, (True, True, ""))
    assert (report.can_adapt, report.can_batch) == (can_adapt, can_batch), report.advice
    assert word in " ".join(report.advice)
    assert bool(report.advice) == bool(word)


def test_the_table_in_the_docs_is_what_the_check_says() -> None:
    lines = []
    for name, build in ENCODERS.items():
        report = check_encoder(build(), channels=C)
        words = ["yes" if can else "no" for can in (report.can_adapt, report.can_batch)]
        lines.append(f"| {name} | {words[0]} | {words[1]} | {'; '.join(report.advice)} |")
    table = "\n".join(lines)
    assert table in TABLE.read_text(), f"docs/encoders.md should hold:\n{table}"


def test_the_encoder_is_left_as_it_was() -> None:
    encoder = ENCODERS["SAGEConv, BatchNorm1d"]()
    before = copy.deepcopy(encoder.state_dict())
    check_encoder(encoder, channels=C)
    assert all(torch.equal(before[n], value) for n, value in encoder.state_dict().items())
    assert encoder.training


def test_another_type_of_numbers_is_no_fault_of_the_encoder() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        encoder = ENCODERS["SAGEConv"]().to(dtype)
        report = check_encoder(encoder, channels=C)
        assert report.can_adapt
        assert not report.advice
        assert {parameter.dtype for parameter in encoder.parameters()} == {dtype}


def test_what_is_wrong_is_said() -> None:
    class NoUser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(C, C)

        def forward(self, x: dict[str, Tensor], edges: object) -> dict[str, Tensor]:
            return {"item": self.linear(x["item"])}

    class Unmoved(NoUser):
        def forward(self, x: dict[str, Tensor], edges: object) -> dict[str, Tensor]:
            return {"user": x["user"], "item": self.linear(x["item"])}

    class Failing(NoUser):
        def forward(self, x: dict[str, Tensor], edges: object) -> dict[str, Tensor]:
            raise KeyError("weather")

    for encoder, word in (
        (NoUser(), "without 'user'"),
        (Unmoved(), "none of the adapted parameters"),
        (Failing(), "KeyError: 'weather'"),
        (Stack(HGTConv(C, 2 * C, METADATA)), "[16] numbers, not in channels=8"),
        (Stack(SAGEConv(C, C)), "it fails on a plain user"),
    ):
        report = check_encoder(encoder, channels=C)
        assert not report.can_adapt
        assert word in report.advice[0]
    with pytest.raises(ConfigError, match="channels=0"):
        check_encoder(ENCODERS["SAGEConv"](), channels=0)


def test_can_batch_means_that_maml_can() -> None:
    for name in ("SAGEConv", "SAGEConv, boolean mask"):
        encoder = ENCODERS[name]()
        assert MAML(encoder, is_batched=check_encoder(encoder, channels=C).can_batch)

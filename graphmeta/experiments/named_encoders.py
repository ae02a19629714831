"""The encoders that experiments compare, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.nn import (
    GATConv,
    GraphConv,
    HeteroConv,
    HGTConv,
    RGCNConv,
    SAGEConv,
    SimpleConv,
    to_hetero,
)

from graphmeta.encoders import RelationEncoder
from graphmeta.meta.relation_learner import ADAPTED
from graphmeta.tasks.episode import EdgeType
from graphmeta.tasks.relation_features import EDGE_DIM

Metadata = tuple[list[str], list[EdgeType]]
NUM_LAYERS = 2


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder and the few of its parameters that a user's edges may set.

    Args:
        build: Makes it from a graph's metadata and the width of the embeddings.
        adapt: Patterns of the parameters that gradient learners adapt.
    """

    build: Callable[[Metadata, int], nn.Module]
    adapt: tuple[str, ...] = ("*bias*",)


class Stack(nn.Module):
    """Heterogeneous layers, each with a skip connection, and a ReLU between them."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        """Return one embedding per node, as wide as the features."""
        x = dict(x_dict)
        for number, layer in enumerate(self.layers):
            passed = x if number == 0 else {t: value.relu() for t, value in x.items()}
            x = {t: x[t] + value for t, value in layer(passed, edge_index_dict).items()}
        return x


class WeightedMean(nn.Module):
    """LightGCN's layers: means of neighbours, summed over the layers with learnt weights.

    He et al., SIGIR 2020. Normalised by the receiving node alone, as a subgraph does not know the
    degrees of the graph.
    """

    def __init__(self, metadata: Metadata, num_layers: int) -> None:
        super().__init__()
        self.conv = HeteroConv({e: SimpleConv(aggr="mean") for e in metadata[1]})
        self.weight = nn.ParameterDict(
            {t: nn.Parameter(torch.full((num_layers + 1,), 0.5)) for t in metadata[0]}
        )
        self.num_layers = num_layers

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        """Return one embedding per node, as wide as the features."""
        x = dict(x_dict)
        out = {t: self.weight[t][0] * value for t, value in x.items()}
        for number in range(1, self.num_layers + 1):
            x = self.conv(x, edge_index_dict)
            out = {t: value + self.weight[t][number] * x[t] for t, value in out.items()}
        return out


class RGCN(nn.Module):
    """Relational GCN over users and items in one numbering (Schlichtkrull et al., ESWC 2018)."""

    def __init__(self, metadata: Metadata, channels: int, num_layers: int) -> None:
        super().__init__()
        self.node_types, self.edge_types = metadata
        self.layers = nn.ModuleList(
            RGCNConv(channels, channels, num_relations=len(self.edge_types))
            for _ in range(num_layers)
        )

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        """Return one embedding per node, as wide as the features."""
        sizes = [x_dict[t].size(0) for t in self.node_types]
        start = dict(
            zip(self.node_types, [0, *torch.tensor(sizes).cumsum(0).tolist()], strict=False)
        )
        parts = [
            torch.stack([edges[0] + start[e[0]], edges[1] + start[e[2]]])
            for e in self.edge_types
            for edges in [edge_index_dict[e]]
        ]
        counts = torch.tensor([part.size(1) for part in parts])
        relation = torch.arange(len(parts)).repeat_interleave(counts)
        x, edge_index = torch.cat([x_dict[t] for t in self.node_types]), torch.cat(parts, dim=1)
        for number, layer in enumerate(self.layers):
            passed = x if number == 0 else x.relu()
            x = x + layer(passed, edge_index, relation.to(x.device))
        return dict(zip(self.node_types, x.split(sizes), strict=True))


class _SAGE(nn.Module):
    """A homogeneous encoder, for `to_hetero` to double."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = SAGEConv((channels, channels), channels)
        self.second = SAGEConv((channels, channels), channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x, edge_index).relu(), edge_index)
        return out


def _stacked(conv: Callable[[int], nn.Module]) -> Callable[[Metadata, int], nn.Module]:
    """Return a builder of layers with a convolution of their own for each edge type."""

    def build(metadata: Metadata, channels: int) -> nn.Module:
        return Stack(
            [HeteroConv({e: conv(channels) for e in metadata[1]}) for _ in range(NUM_LAYERS)]
        )

    return build


def _hgt(metadata: Metadata, channels: int) -> nn.Module:
    heads = 2 if channels % 2 == 0 else 1
    return Stack([HGTConv(channels, channels, metadata, heads=heads) for _ in range(NUM_LAYERS)])


ENCODERS: dict[str, NamedEncoder] = {
    "relation": NamedEncoder(
        lambda metadata, c: RelationEncoder(metadata, out_channels=c, edge_dim=EDGE_DIM), ADAPTED
    ),
    "sage": NamedEncoder(_stacked(lambda c: SAGEConv((c, c), c))),
    "graph-conv": NamedEncoder(_stacked(lambda c: GraphConv((c, c), c, aggr="mean"))),
    "gat": NamedEncoder(_stacked(lambda c: GATConv((c, c), c, add_self_loops=False))),
    "hgt": NamedEncoder(_hgt),
    "rgcn": NamedEncoder(lambda metadata, c: RGCN(metadata, c, NUM_LAYERS)),
    "light-gcn": NamedEncoder(lambda metadata, c: WeightedMean(metadata, NUM_LAYERS), ("*",)),
    "to-hetero": NamedEncoder(lambda metadata, c: to_hetero(_SAGE(c), metadata)),
}

"""The relation encoder: inductive message passing with relation features on edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from graphmeta.errors import ConfigError, EncoderError
from graphmeta.tasks.episode import EdgeType
from graphmeta.tasks.reach import Reach

# Initial weight of messages after the first layer.
FURTHER_OUT = 0.1


class RelationConv(MessagePassing):
    """Attention over incoming edges whose message depends on the edge's relation features.

    For an edge from j to i with relation features `e` (zero wide where there are none):
    `m = W_src x_j + W_edge e`, `a = softmax_i(LeakyReLU(v . (m + W_dst x_i)))` and the
    output is `sum_j a m`; the GATv2 form of attention (Brody et al., ICLR 2022), so that
    the order of the neighbours may depend on the receiving node.

    Args:
        channels: Width of source, target and output nodes.
        edge_dim: Width of the relation features; 0 for none.
    """

    def __init__(self, channels: int, *, edge_dim: int = 0) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.source = nn.Linear(channels, channels, bias=False)
        self.target = nn.Linear(channels, channels)
        self.edge = nn.Linear(edge_dim, channels, bias=False) if edge_dim else None
        self.attention = nn.Parameter(torch.empty(channels))
        # Messages start as the mean of the neighbours as they are; attention departs from it.
        nn.init.eye_(self.source.weight)
        nn.init.normal_(self.attention, std=0.1 * channels**-0.5)
        if self.edge is not None:
            nn.init.zeros_(self.edge.weight)

    def forward(
        self,
        x: tuple[Float[Tensor, "n_source c"], Float[Tensor, "n_target c"]],
        edge_index: Int[Tensor, "2 n_edges"],
        edge_attr: Float[Tensor, "n_edges e"] | None = None,
    ) -> Float[Tensor, "n_target c"]:
        """Return one aggregated message per target node, zero where no edge arrives.

        Raises:
            EncoderError: The relation features are missing, or their width is not `edge_dim`.
        """
        width = 0 if edge_attr is None else edge_attr.size(-1)
        expected = 0 if self.edge is None else self.edge.in_features
        if width != expected:
            raise EncoderError(
                f"edges carry {width} relation features but edge_dim={expected}; "
                "pass the edge_attr_dict that the encoder was built for"
            )
        source, target = x
        out: Tensor = self.propagate(
            edge_index,
            x=(self.source(source), self.target(target)),
            edge_attr=edge_attr,
            size=(source.size(0), target.size(0)),
        )
        return out

    def message(
        self, x_j: Tensor, x_i: Tensor, edge_attr: Tensor | None, index: Tensor, size_i: int
    ) -> Tensor:
        """Weigh each edge's message by its attention among the edges of the same target."""
        message = x_j if self.edge is None or edge_attr is None else x_j + self.edge(edge_attr)
        logit = nn.functional.leaky_relu(message + x_i, 0.2) @ self.attention
        return message * softmax(logit, index, num_nodes=size_i).unsqueeze(-1)


class RelationLayer(nn.Module):
    """One residual round of messages over every edge type, then a per-type modulation.

    `h = x + a sum over edge types of their messages`, `h = h + W GELU(LayerNorm(h))` and
    the output is `h (1 + scale) + shift`. `scale` and `shift` start at zero and are the
    parameters that a few edges suffice to adapt (FiLM, Perez et al., AAAI 2018); W starts at
    zero, so that an untrained layer passes on means of embeddings.
    """

    def __init__(
        self,
        node_types: Sequence[str],
        edge_types: Sequence[EdgeType],
        channels: int,
        *,
        edge_dim: int,
        message_weight: float,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleDict(
            {"__".join(e): RelationConv(channels, edge_dim=edge_dim) for e in edge_types}
        )
        self.message_weight = nn.ParameterDict(
            {"__".join(e): nn.Parameter(torch.tensor(message_weight)) for e in edge_types}
        )
        self.norm = nn.ModuleDict({t: nn.LayerNorm(channels) for t in node_types})
        self.mix = nn.ModuleDict({t: nn.Linear(channels, channels) for t in node_types})
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)
        self.scale = nn.ParameterDict({t: nn.Parameter(torch.zeros(channels)) for t in node_types})
        self.shift = nn.ParameterDict({t: nn.Parameter(torch.zeros(channels)) for t in node_types})

    def forward(
        self,
        x_dict: Mapping[str, Tensor],
        edge_index_dict: Mapping[EdgeType, Tensor],
        edge_attr_dict: Mapping[EdgeType, Tensor],
        reach: Reach | None = None,
    ) -> dict[str, Tensor]:
        """Return the next state of every node, or of those within reach."""
        targets = dict(x_dict) if reach is None else reach.nodes(x_dict)
        out = dict(targets)
        for edge_type, edge_index in edge_index_dict.items():
            source, _, target = edge_type
            name = "__".join(edge_type)
            x, edge_attr = (x_dict[source], targets[target]), edge_attr_dict.get(edge_type)
            if reach is not None:
                near = reach.edges(edge_type)
                last = torch.tensor([[len(nodes) - 1] for nodes in x], device=edge_index.device)
                edge_index = torch.minimum(edge_index[:, near], last)
                edge_attr = None if edge_attr is None else edge_attr[near]
                if not edge_index.size(1):
                    continue
            message = self.convs[name](x, edge_index, edge_attr)
            out[target] = out[target] + self.message_weight[name] * message
        mixed = {t: h + self.mix[t](nn.functional.gelu(self.norm[t](h))) for t, h in out.items()}
        return {t: h * (1 + self.scale[t]) + self.shift[t] for t, h in mixed.items()}


class RelationEncoder(nn.Module):
    """Encodes the subgraph around a user's few edges into node embeddings.

    Every layer sends messages both ways over the bipartite graph, so that three layers
    reach from a user over the support items and their other users to those users' items.
    There is no embedding row for a user: what a user is follows from edges and features,
    and so the encoder serves users that training never saw. It starts as the mean of the
    support items' features, plus a little of what lies further out, and learns to depart.

    Args:
        metadata: Node types and edge types, as `HeteroData.metadata()` returns them.
        in_channels: Width of the node features; `out_channels` where it is None.
        out_channels: Width of every layer and of the embeddings.
        num_layers: Rounds of message passing.
        edge_dim: Width of the relation features on every edge; 0 for none.

    Attributes:
        trims_to_user: Tells learners that `forward` takes a `support_size`.

    Raises:
        ConfigError: A width or the number of layers is not positive, or there is no edge type.
    """

    trims_to_user = True

    def __init__(
        self,
        metadata: tuple[Sequence[str], Sequence[EdgeType]],
        *,
        out_channels: int,
        in_channels: int | None = None,
        num_layers: int = 3,
        edge_dim: int = 0,
    ) -> None:
        super().__init__()
        node_types, edge_types = metadata
        in_channels = out_channels if in_channels is None else in_channels
        for name, value in (
            ("out_channels", out_channels),
            ("in_channels", in_channels),
            ("num_layers", num_layers),
        ):
            if value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
        if edge_dim < 0:
            raise ConfigError(f"edge_dim={edge_dim} must be 0 or more")
        if not edge_types:
            raise ConfigError("metadata names no edge type; pass the metadata() of a graph")
        self.edge_types = frozenset(map(tuple, edge_types))
        self.edge_dim = edge_dim
        self.input = nn.ModuleDict({t: _identity(in_channels, out_channels) for t in node_types})
        self.layers = nn.ModuleList(
            RelationLayer(
                node_types,
                edge_types,
                out_channels,
                edge_dim=edge_dim,
                message_weight=1.0 if layer == 0 else FURTHER_OUT,
            )
            for layer in range(num_layers)
        )
        self.output = nn.ModuleDict({t: _identity(out_channels, out_channels) for t in node_types})

    def forward(
        self,
        x_dict: Mapping[str, Tensor],
        edge_index_dict: Mapping[EdgeType, Tensor],
        edge_attr_dict: Mapping[EdgeType, Tensor] | None = None,
        *,
        support_size: int | None = None,
    ) -> dict[str, Tensor]:
        """Return one embedding per node, or the user's alone at a fraction of the work.

        Args:
            x_dict: Node features.
            edge_index_dict: Edges.
            edge_attr_dict: Relation features.
            support_size: Slots of the support of the one episode that the input is, laid out as
                in `EpisodeBatch`. Layers then leave out what can no longer reach its user, and
                the output is `{"user": ...}` of one row, the same as without.

        Shapes:
            x_dict: float32, `[n_nodes_of_type, in_channels]`.
            edge_index_dict: int64, `[2, n_edges_of_type]`.
            edge_attr_dict: float32, `[n_edges_of_type, edge_dim]`.
            output: float32, `[n_nodes_of_type, out_channels]`.

        Raises:
            EncoderError: A node or edge type is not in the metadata, or relation features are
                missing.
        """
        for node_type in x_dict:
            if node_type not in self.input:
                raise EncoderError(
                    f"node type {node_type!r} is not in the metadata {list(self.input)}; "
                    "build the encoder from this graph's metadata()"
                )
        known = self.edge_types
        for edge_type in edge_index_dict:
            if edge_type not in known:
                raise EncoderError(
                    f"edge type {edge_type!r} is not in the metadata; "
                    "build the encoder from this graph's metadata()"
                )
        h: Mapping[str, Tensor] = {t: self.input[t](x) for t, x in x_dict.items()}
        is_trimmed = support_size is not None and Reach.is_known(edge_index_dict)
        for after, layer in zip(reversed(range(len(self.layers))), self.layers, strict=True):
            reach = Reach(after, support_size or 0) if is_trimmed else None
            h = layer(h, edge_index_dict, edge_attr_dict or {}, reach)
        if support_size is not None:
            h = {"user": h["user"][:1]}
        return {t: self.output[t](x) for t, x in h.items()}


def _identity(in_channels: int, out_channels: int) -> nn.Linear:
    """Return a linear map that starts by passing its input on."""
    linear = nn.Linear(in_channels, out_channels)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear

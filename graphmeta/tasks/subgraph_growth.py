"""A subgraph that grows from its seeds, hop by hop."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch_geometric.sampler import HeteroSamplerOutput

from graphmeta.tasks.fanouts import EdgeType
from graphmeta.tasks.number_keys import number_keys


class SubgraphGrowth:
    """Numbers the nodes that sampling finds, in the order found, and keeps the edges.

    A node found again gets its first row, unless another seed owns it: with owners, rows are
    told apart by (owner, node), so that subgraphs stay disjoint.

    Args:
        num_nodes: Number of nodes of the graph, by type.
        edge_types: The edge types of the graph.
        owner_time: The time of every owner; needs owners.

    Shapes:
        owner_time: `[num_owners]`.
    """

    def __init__(
        self, num_nodes: dict[str, int], edge_types: list[EdgeType], owner_time: Tensor | None
    ) -> None:
        self._num_nodes = num_nodes
        self._edge_types = edge_types
        self._owner_time = owner_time
        # A row's key is owner * num_nodes + node; without owners, the node itself.
        self._key = {t: torch.empty(0, dtype=torch.long) for t in num_nodes}
        self._begin = dict.fromkeys(num_nodes, 0)
        self._end = dict.fromkeys(num_nodes, 0)
        self._node_counts: dict[str, list[int]] = {t: [] for t in num_nodes}
        self._edge_counts: dict[EdgeType, list[int]] = {t: [] for t in edge_types}
        self._edges: dict[EdgeType, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)
        self._is_started = False

    @property
    def batch_dict(self) -> dict[str, Tensor]:
        """The owner of every row, by node type; int64, `[num_rows]`."""
        return {
            t: torch.div(key, max(self._num_nodes[t], 1), rounding_mode="floor")
            for t, key in self._key.items()
        }

    def plant(self, node_type: str, node: Tensor, owner: Tensor | None) -> None:
        """Make `node` the first rows of its type, in this order, even where one comes twice.

        Shapes:
            node: int64, `[num_seeds]`.
            owner: int64, `[num_seeds]` or None.
        """
        self._key[node_type] = node if owner is None else owner * self._num_nodes[node_type] + node

    def start_hop(self) -> None:
        """Make the rows that the last hop found (at first the seeds) the frontier."""
        for node_type, key in self._key.items():
            self._begin[node_type] = self._end[node_type]
            self._end[node_type] = key.numel()
            if not self._is_started:
                self._node_counts[node_type].append(key.numel())
        self._is_started = True

    def frontier(self, node_type: str) -> tuple[Tensor, Tensor | None]:
        """Return the nodes of the frontier and the time up to which each may see."""
        key = self._key[node_type][self._begin[node_type] : self._end[node_type]]
        num_nodes = max(self._num_nodes[node_type], 1)
        if self._owner_time is None:
            return key % num_nodes, None
        owner = torch.div(key, num_nodes, rounding_mode="floor")
        return key % num_nodes, self._owner_time[owner]

    def add(self, edge_type: EdgeType, position: Tensor, neighbour: Tensor, edge: Tensor) -> None:
        """Add edges from `neighbour` to the frontier rows at `position`.

        Shapes:
            position: int64, `[num_drawn]`; positions in the frontier.
            neighbour: int64, `[num_drawn]`; nodes of the graph.
            edge: int64, `[num_drawn]`; columns of `edge_index`.
        """
        src_type, _, dst_type = edge_type
        col = position + self._begin[dst_type]
        dst_key = self._key[dst_type][col]
        owner = torch.div(dst_key, self._num_nodes[dst_type], rounding_mode="floor")
        key = owner * self._num_nodes[src_type] + neighbour
        self._key[src_type], row = number_keys(self._key[src_type], key)
        self._edges[edge_type].append((row, col, edge))

    def end_hop(self) -> None:
        """Count what this hop found."""
        for node_type, key in self._key.items():
            self._node_counts[node_type].append(key.numel() - self._end[node_type])
        for edge_type in self._edge_types:
            total = sum(e[2].numel() for e in self._edges[edge_type])
            counts = self._edge_counts[edge_type]
            counts.append(total - sum(counts))

    def output(self) -> HeteroSamplerOutput:
        """Return nodes, edges and counts in PyG's form; edges come in the order of the hops."""
        empty = torch.empty(0, dtype=torch.long)
        joined = {
            t: [torch.cat([empty, *(e[i] for e in self._edges[t])]) for i in range(3)]
            for t in self._edge_types
        }
        return HeteroSamplerOutput(
            node={t: key % max(self._num_nodes[t], 1) for t, key in self._key.items()},
            row={t: parts[0] for t, parts in joined.items()},
            col={t: parts[1] for t, parts in joined.items()},
            edge={t: parts[2] for t, parts in joined.items()},
            num_sampled_nodes=self._node_counts,
            num_sampled_edges=self._edge_counts,
        )

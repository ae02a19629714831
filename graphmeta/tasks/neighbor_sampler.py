"""Sampled subgraphs for PyG's own loaders, without pyg-lib."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
)

from graphmeta.errors import ConfigError, DataError
from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.csr import CSR, Rows, sample_neighbors
from graphmeta.tasks.episode import RATES, REV_RATES
from graphmeta.tasks.fanouts import EdgeType, resolve_fanouts
from graphmeta.tasks.link_seeds import LinkSeeds
from graphmeta.tasks.store_rows import StoreRows
from graphmeta.tasks.subgraph_growth import SubgraphGrowth


class NeighborSampler(BaseSampler):
    """Samples the neighbourhood of nodes or links of a `HeteroData` or a store, hop by hop.

    Give it to PyG's `NodeLoader(graph, node_sampler=...)` or `LinkLoader(graph, link_sampler=...)`.
    Each hop draws, for every node that the hop before found, up to `num_neighbors` of its incoming
    edges, uniformly without replacement; edges point towards the seeds, as messages flow. Seeds
    are the first rows of their node type, in the order given (links, not disjoint: ascending and
    each once; `edge_label_index` finds them).

    A sample is a function of `seed`, the epoch and the batch alone: neither the order of the
    batches nor the number of workers changes it. Call `set_epoch` to draw a batch that comes
    again (no shuffling) afresh; persistent workers keep the epoch they were started with.

    A seed link that is an edge of the graph can be sampled as a message edge too. Take it out of
    the graph first, or use `time_attr` with `edge_label_time` just before the link.

    A store on disk is sampled where it lies: only pages that hold a drawn neighbour are read. PyG's
    loaders then take the nodes' features and a `StoreGraph`.

    Args:
        graph: The graph, whose edges are copied into compressed rows once, here, or a store.
        num_neighbors: Fan-out of every hop, as one list or one list for each edge type.
        disjoint: Every seed (every endpoint of a link) grows a subgraph of its own, and `batch`
            says whose a node is (for links: which positive link it goes with).
        time_attr: The edge attribute that holds time. Only edges no newer than the seed's time
            are seen, at every hop. Loaders then need `input_time` or `edge_label_time`.
        seed: The seed of all draws.

    Raises:
        ConfigError: An option has a value that cannot work.
        DataError: The edges or their times cannot be used.
    """

    def __init__(
        self,
        graph: HeteroData | InteractionStore,
        num_neighbors: Sequence[int] | Mapping[EdgeType, Sequence[int]],
        *,
        disjoint: bool = False,
        time_attr: str | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(graph, HeteroData | InteractionStore):
            raise ConfigError(
                f"expected a HeteroData or a store, got {type(graph).__name__}; "
                "Data.to_heterogeneous() converts a homogeneous graph"
            )
        if type(seed) is not int:
            raise ConfigError(f"expected seed as an int, got {seed!r}")
        if time_attr is not None and not disjoint:
            raise ConfigError(
                "time_attr needs disjoint=True: one node has another past for each seed's time"
            )
        if isinstance(graph, InteractionStore):
            if time_attr is not None:
                raise ConfigError("a store is not sampled by time; sample its to_graph() instead")
            self.num_nodes = {"user": graph.num_users, "item": graph.num_items}
            edge_types = [RATES, REV_RATES]
        else:
            self.num_nodes = {t: int(graph[t].num_nodes) for t in graph.node_types}
            edge_types = list(graph.edge_types)
        self.fanouts = resolve_fanouts(num_neighbors, edge_types)
        self.disjoint = disjoint
        self.time_attr = time_attr
        self.seed = seed
        self.epoch = 0
        self.rows_dict: dict[EdgeType, Rows] = {
            t: _incoming(graph, t, self.num_nodes, time_attr)
            for t, fanout in self.fanouts.items()
            if any(fanout)
        }

    def set_epoch(self, epoch: int) -> None:
        """Change every draw from now on; the same epoch gives the same draws again."""
        self.epoch = epoch

    def sample_from_nodes(self, index: NodeSamplerInput) -> HeteroSamplerOutput:
        """Return the sampled neighbourhood of `index.node`.

        Raises:
            DataError: A seed is not a node, or seed times are missing or of the wrong kind.
            ConfigError: Seed times came, but the sampler has no `time_attr`.
        """
        self._check_time(index.time, index.node, "input_time")
        node_type = index.input_type
        self._check_nodes({node_type: index.node})
        generator = self._generator(index.node, index.input_id)
        owner = torch.arange(index.node.numel()) if self.disjoint else None
        growth = SubgraphGrowth(self.num_nodes, list(self.fanouts), index.time)
        growth.plant(node_type, index.node, owner)
        out = self._grow(growth, generator)
        out.batch = growth.batch_dict if self.disjoint else None
        out.metadata = (index.input_id, index.time)
        return out

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> HeteroSamplerOutput:
        """Return the sampled neighbourhood of both ends of the links `index.row -> index.col`.

        Raises:
            DataError: An endpoint is not a node, or seed times are missing or of the wrong kind.
            ConfigError: Seed times came, but the sampler has no `time_attr`; or the weights of
                `neg_sampling` do not fit the graph.
        """
        self._check_time(index.time, index.row, "edge_label_time")
        src_type, _, dst_type = index.input_type
        self._check_nodes({src_type: index.row})
        self._check_nodes({dst_type: index.col})
        generator = self._generator(index.row, index.col, index.input_id)
        links = LinkSeeds.draw(
            index,
            neg_sampling,
            num_src_nodes=self.num_nodes[src_type],
            num_dst_nodes=self.num_nodes[dst_type],
            generator=generator,
        )
        num_src = links.src.numel()
        time = links.time
        if time is not None:
            time = torch.cat([time[:num_src], time])
        growth = SubgraphGrowth(self.num_nodes, list(self.fanouts), time)
        planted = self._plant(growth, index.input_type, links)
        out = self._grow(growth, generator)
        if self.disjoint:
            link = torch.cat([torch.arange(num_src), torch.arange(links.dst.numel())])
            link = link % max(links.num_pos, 1)
            out.batch = {t: link[owner] for t, owner in growth.batch_dict.items()}
        out.metadata = links.metadata(index.input_id, *planted)
        return out

    def _plant(
        self, growth: SubgraphGrowth, input_type: EdgeType, links: LinkSeeds
    ) -> tuple[Tensor, Tensor]:
        """Plant both ends of the links and return the local row of each."""
        src_type, _, dst_type = input_type
        num_src = links.src.numel()
        owner = torch.arange(num_src + links.dst.numel())
        if src_type == dst_type:
            both = torch.cat([links.src, links.dst])
            local = self._plant_one(growth, src_type, both, owner)
            return local[:num_src], local[num_src:]
        return (
            self._plant_one(growth, src_type, links.src, owner[:num_src]),
            self._plant_one(growth, dst_type, links.dst, owner[num_src:]),
        )

    def _plant_one(
        self, growth: SubgraphGrowth, node_type: str, node: Tensor, owner: Tensor
    ) -> Tensor:
        if self.disjoint:
            growth.plant(node_type, node, owner)
            return torch.arange(node.numel())
        distinct, local = torch.unique(node, return_inverse=True)
        growth.plant(node_type, distinct, None)
        return torch.as_tensor(local)

    def _grow(self, growth: SubgraphGrowth, generator: torch.Generator) -> HeteroSamplerOutput:
        num_hops = max((len(f) for f in self.fanouts.values()), default=0)
        for hop in range(num_hops):
            growth.start_hop()
            for edge_type, rows in self.rows_dict.items():
                fanout = self.fanouts[edge_type][hop]
                node, before = growth.frontier(edge_type[-1])
                if fanout != 0 and node.numel():
                    drawn = sample_neighbors(rows, node, fanout, generator=generator, before=before)
                    growth.add(edge_type, *drawn)
            growth.end_hop()
        return growth.output()

    def _generator(self, *parts: Tensor | None) -> torch.Generator:
        digest = hashlib.blake2b(f"{self.seed},{self.epoch}".encode(), digest_size=8)
        for part in parts:
            digest.update(b"-" if part is None else part.contiguous().numpy().tobytes())
        return torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big") >> 1)

    def _check_time(self, time: Tensor | None, seeds: Tensor, option: str) -> None:
        if time is None and self.time_attr is not None:
            raise DataError(
                f"time_attr={self.time_attr!r} needs the time of every seed; pass {option}= to "
                "the loader"
            )
        if time is not None and self.time_attr is None:
            raise ConfigError(f"{option} came, but the sampler has no time_attr; pass time_attr=")
        if time is not None and time.shape != seeds.shape:
            raise DataError(f"expected {list(seeds.shape)} seed times, got {list(time.shape)}")

    def _check_nodes(self, node_dict: dict[str, Tensor]) -> None:
        for node_type, node in node_dict.items():
            num_nodes = self.num_nodes.get(node_type)
            if num_nodes is None:
                raise DataError(
                    f"the graph has no nodes of type {node_type!r}; it has {list(self.num_nodes)}"
                )
            if node.numel() and (int(node.min()) < 0 or int(node.max()) >= num_nodes):
                raise DataError(
                    f"seeds of type {node_type!r} run from {int(node.min())} to "
                    f"{int(node.max())}, but there are {num_nodes} such nodes"
                )


def _incoming(
    graph: HeteroData | InteractionStore,
    edge_type: EdgeType,
    num_nodes: dict[str, int],
    time_attr: str | None,
) -> Rows:
    if isinstance(graph, InteractionStore):
        return StoreRows(graph, "item" if edge_type == RATES else "user")
    store = graph[edge_type]
    if "edge_index" not in store:
        raise DataError(f"{edge_type} has no edge_index; convert adj_t to edge_index first")
    time = None
    if time_attr is not None:
        if time_attr not in store:
            raise ConfigError(
                f"{edge_type} has no {time_attr!r}, so its edges could come from the future; add "
                "it (0 for edges that always were) or set the fan-outs of this edge type to 0"
            )
        time = store[time_attr]
    edge_index = store.edge_index
    if edge_index.numel() and int(edge_index[0].max()) >= num_nodes[edge_type[0]]:
        raise DataError(
            f"{edge_type} names source {int(edge_index[0].max())}, but there are "
            f"{num_nodes[edge_type[0]]} nodes of type {edge_type[0]!r}; set num_nodes"
        )
    return CSR.from_edge_index(edge_index, num_rows=num_nodes[edge_type[-1]], time=time, end=1)

"""Samples the subgraph around each user's support and pads a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.store.interaction_store import InteractionStore
from graphmeta.tasks.csr import Rows, sample_neighbors
from graphmeta.tasks.episode import RATES, REV_RATES, EdgeType, EpisodeBatch
from graphmeta.tasks.graph_rows import rows_of
from graphmeta.tasks.relation_features import RelationFeatures

Draw = Callable[[Rows, Tensor, int], tuple[Tensor, Tensor, Tensor]]


class EpisodeSampler:
    """Builds an `EpisodeBatch`: support items, their other users, and those users' items.

    Each episode has its own copy of every node (the disjoint mode of neighbour sampling),
    so that no message passes between two users. A training user's own row is left out by
    `own_user`: an episode never sees that user's query edges.

    Args:
        graph: The training graph, or a store, which is sampled where it lies on disk; cold users
            are not in it.
        num_neighbors: Users drawn per support item, then items drawn per such user; -1
            takes all.
        num_voters: Users drawn per support item as `voters`, -1 takes all; None leaves them out,
            which means all as well, without a list of them.

    Raises:
        ConfigError: `num_neighbors` does not hold two numbers of -1 or more, or `num_voters` is
            neither -1 nor 1 or more.
    """

    def __init__(
        self,
        graph: HeteroData | InteractionStore,
        *,
        num_neighbors: tuple[int, int] = (16, 8),
        num_voters: int | None = None,
    ) -> None:
        if len(num_neighbors) != 2 or min(num_neighbors) < -1:
            raise ConfigError(
                f"num_neighbors={num_neighbors} must be (users per item, items per user), "
                "each -1 (all) or more"
            )
        if num_voters is not None and num_voters < 1 and num_voters != -1:
            raise ConfigError(f"num_voters={num_voters} must be at least 1, or -1 or None for all")
        self.num_neighbors = num_neighbors
        self.num_voters = num_voters
        self._items_of, self._users_of = rows_of(graph)
        self.num_users, self.num_items = self._items_of.num_rows, self._users_of.num_rows
        self._features = RelationFeatures(graph)

    def sample(
        self,
        support: Support,
        *,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        own_user: Tensor | None = None,
    ) -> EpisodeBatch:
        """Return the padded subgraphs around the supports.

        Args:
            support: Distinct items per user.
            generator: Draws the neighbours, anew each time.
            seed: Draws them in its place: each node's follow from the seed and the node alone, so
                that a user's subgraph depends on nobody else in the batch.
            own_user: Row of each episode's user in the graph, or -1; never sampled.

        Shapes:
            own_user: int64, `[n_episodes]`.

        Raises:
            DataError: A support item, or a user that one is linked to, is not a row of the graph.
            ConfigError: There is neither generator nor seed, and neighbours must be drawn.
        """
        draw = partial(sample_neighbors, generator=generator, seed=seed)
        item = support.item_index
        n, k = item.shape
        if item.numel() and int(item.max()) >= self.num_items:
            raise DataError(
                f"support item row {int(item.max())} is outside the catalogue of "
                f"{self.num_items} items; map ids with the training graph's id_map"
            )
        links = support.links
        if links is not None and links.numel() and int(links.max()) >= self.num_users:
            raise DataError(
                f"a link to user row {int(links.max())} is outside the {self.num_users} training "
                "users; map ids with the training graph's id_map"
            )
        row, slot = support.mask.nonzero().unbind(1)
        of_row = None if own_user is None else own_user[row]
        drawn, user, edge = self._other_users(draw, item[row, slot], of_row, self.num_neighbors[0])
        users = _Block(row[drawn], user, n, self.num_users, start=1)
        drawn_item, second_item, second_edge = draw(
            self._items_of, users.node, self.num_neighbors[1]
        )
        second_row = users.row[drawn_item]
        items = _Block(second_row, second_item, n, self.num_items, start=k)
        # An item drawn again that is in the support is the same node: send it to its slot.
        local = items.local[items.inverse]
        hit = (item[second_row] == second_item.unsqueeze(1)) if k else None
        if hit is not None:
            local = torch.where(hit.any(1), hit.int().argmax(1), local)
        node_index = {"user": users.table(n), "item": items.table(n)}
        node_index["item"][:, :k] = item
        dummy = {t: v.size(1) - 1 for t, v in node_index.items()}
        own = torch.zeros(n, k, dtype=torch.long).where(support.mask, dummy["user"])
        slots = torch.arange(k).expand(n, k).where(support.mask, dummy["item"])
        own_row = torch.full((n,), -1) if own_user is None else own_user
        shown = self._features.of_support(support, is_training=own_row >= 0)
        of_edges = self._features.of_edges
        rates, rates_x = _pad_edges(
            row[drawn],
            torch.stack([users.local[users.inverse], slot[drawn]]),
            of_edges(user, item[row, slot][drawn], edge),
            dummy=(dummy["user"], dummy["item"]),
            support=(torch.stack([own, slots], 1), shown),
        )
        reverse, reverse_x = _pad_edges(
            second_row,
            torch.stack([local, users.local[drawn_item]]),
            of_edges(users.node[drawn_item], second_item, second_edge),
            dummy=(dummy["item"], dummy["user"]),
            support=(torch.stack([slots, own], 1), shown),
        )
        edge_index: dict[EdgeType, Tensor] = {RATES: rates, REV_RATES: reverse}
        edge_attr: dict[EdgeType, Tensor] = {RATES: rates_x, REV_RATES: reverse_x}
        voters = None
        if self.num_voters is not None:
            drawn, user, _ = self._other_users(draw, item[row, slot], of_row, self.num_voters)
            voters = _Block(row[drawn], user, n, self.num_users, start=0).table(n)
        return EpisodeBatch(support, node_index, edge_index, edge_attr, own_row, voters)

    def _other_users(
        self, draw: Draw, item: Tensor, own_user: Tensor | None, fanout: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw users of each item, less its own; see `sample_neighbors`."""
        drawn, user, edge = draw(self._users_of, item, fanout)
        if own_user is None:
            return drawn, user, edge
        other = user != own_user[drawn]
        return drawn[other], user[other], edge[other]


class _Block:
    """The distinct (episode, node) pairs of a draw, numbered within each episode."""

    def __init__(self, row: Tensor, node: Tensor, n: int, num_nodes: int, *, start: int) -> None:
        key, self.inverse = torch.unique(row * num_nodes + node, return_inverse=True)
        self.row, self.node = key // num_nodes, key % num_nodes
        count = torch.bincount(self.row, minlength=n)
        self.local = torch.arange(len(key)) - (count.cumsum(0) - count)[self.row] + start
        self.width = start + (int(count.max()) if n else 0) + 1

    def table(self, n: int) -> Tensor:
        """Return node rows by episode and local number, -1 elsewhere; the last is the dummy."""
        out = torch.full((n, self.width), -1)
        out[self.row, self.local] = self.node
        return out


def _pad_edges(
    row: Tensor,
    ends: Tensor,
    x: Tensor,
    *,
    dummy: tuple[int, int],
    support: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Append each episode's edges to its support edges; the rest runs between dummies."""
    n = len(support[0])
    order = torch.argsort(row, stable=True)
    count = torch.bincount(row, minlength=n)
    position = torch.arange(len(row)) - (count.cumsum(0) - count)[row[order]]
    width = int(count.max()) if n else 0
    edges = torch.tensor(dummy).view(1, 2, 1).repeat(n, 1, width)
    edges[row[order], :, position] = ends[:, order].T
    features = torch.zeros(n, width, x.size(1))
    features[row[order], position] = x[order]
    return torch.cat([support[0], edges], dim=2), torch.cat([support[1], features], dim=1)

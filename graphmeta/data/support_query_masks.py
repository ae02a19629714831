"""Support and query of held-out users as a PyG transform: masks on the edges."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.pyg import EdgeType, from_pyg
from graphmeta.data.split import history_order
from graphmeta.errors import ConfigError, DataError, LeakageError

Order = Literal["time", "random"]
USER_MASKS = ("train_mask", "val_mask", "test_mask")


class SupportQueryMasks(BaseTransform):
    """Marks the edges that may be seen (`support_mask`) and those to be ranked (`query_mask`).

    Both masks go on every edge type that joins the two node types, in either direction; an edge
    and its reverse always agree.

    | user | support | query |
    | :-- | :-- | :-- |
    | training | all edges | none |
    | validation, test | the first `k` edges | all later ones |
    | in none of the user masks | none | none |

    The user masks are those of `ColdUserMasks`, or of your own. Where there are none, every user
    counts as held out. With them, an edge of a held-out user to an item that no training user has
    is neither support nor query, as in `split_cold_users`: such an item is not in the catalogue.
    With `k` the split's `k_max`, support and query are those of the split. With `k=0` the support
    is the training users' edges alone: the graph to train on.

    A mask hides nothing by itself: apply `VisibleGraph` before messages pass.

    Args:
        k: Support size.
        order: `"time"` takes the first edges, ties by item id; `"random"` takes edges in the order
            of the hash of user and item, which is that of the split where there are no times.
        seed: Draws the random order.
        edge_type: User type, relation, item type; the users' histories are its edges.

    Shapes:
        support_mask, query_mask: bool, `[n_edges_of_type]`.

    Raises:
        ConfigError: `k` is negative, or `order` is unknown.
        DataError: There are no such edges, they have no time, an edge type keeps its edges as
            `adj_t`, or only some of the three user masks are there.
        LeakageError: A user is both a training and a held-out user.
    """

    def __init__(
        self, *, k: int, order: Order = "time", seed: int = 0, edge_type: EdgeType = FORWARD
    ) -> None:
        if k < 0:
            raise ConfigError(f"k={k} must be 0 or more")
        if order not in get_args(Order):
            raise ConfigError(f"order={order!r} must be one of {get_args(Order)}")
        self.k = k
        self.order = order
        self.seed = seed
        self.edge_type = edge_type

    def forward(self, data: HeteroData) -> HeteroData:
        """Return the graph with both masks on the edges between users and items."""
        user_type, _, item_type = self.edge_type
        graph = from_pyg(data, edge_type=self.edge_type)
        if self.order == "time" and "time" not in graph[FORWARD]:
            raise DataError(
                f"the edges {self.edge_type} have no time, so none is first; add it, or pass "
                "order='random'"
            )
        is_training, is_held_out = _roles(data, user_type)
        support, query = self._split(graph, is_training, is_held_out)
        for edge_type in data.edge_types:
            if {edge_type[0], edge_type[2]} != {user_type, item_type}:
                continue
            store = data[edge_type]
            if "edge_index" not in store:
                raise DataError(f"{edge_type} has no edge_index; convert adj_t to edge_index first")
            index = store.edge_index.cpu()
            user, item = index if edge_type[0] == user_type else index.flip(0)
            pair = user * len(graph["item"].id_map) + item
            is_support = is_training[user] | torch.isin(pair, support)
            store.support_mask = is_support.to(store.edge_index.device)
            store.query_mask = torch.isin(pair, query).to(store.edge_index.device)
        return data

    def _split(
        self, graph: HeteroData, is_training: Tensor, is_held_out: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the held-out users' support and query as pairs, `user * n_items + item`."""
        users, items = graph[FORWARD].edge_index
        num_items = len(graph["item"].id_map)
        is_used = is_held_out[users]
        if bool(is_training.any()):
            in_catalogue = torch.zeros(num_items, dtype=torch.bool)
            in_catalogue[items[is_training[users]]] = True
            is_used = is_used & in_catalogue[items]
        edges = is_used.nonzero().flatten().numpy()
        order = torch.from_numpy(
            history_order(graph, edges, self.seed, in_time=self.order == "time")
        )
        user = users[order]
        count = torch.bincount(user, minlength=len(is_training))
        position = torch.arange(len(user)) - (count.cumsum(0) - count)[user]
        pair = user * num_items + items[order]
        return pair[position < self.k], pair[position >= self.k]

    def __repr__(self) -> str:
        # PyG compares it to tell whether a stored data set was made with the same options.
        return (
            f"{type(self).__name__}(k={self.k}, order={self.order!r}, seed={self.seed}, "
            f"edge_type={self.edge_type})"
        )


def _roles(data: HeteroData, user_type: str) -> tuple[Tensor, Tensor]:
    """Return who is a training and who a held-out user; bool, `[n_users]` each."""
    store = data[user_type]
    there = [name for name in USER_MASKS if name in store]
    if not there:
        everyone = torch.ones(int(store.num_nodes), dtype=torch.bool)
        return ~everyone, everyone
    if len(there) < len(USER_MASKS):
        raise DataError(
            f"{user_type!r} has {there} but not all of {USER_MASKS}; apply ColdUserMasks, or set "
            "all three"
        )
    train, val, test = (store[name].cpu() for name in USER_MASKS)
    both = train & (val | test)
    if bool(both.any()):
        raise LeakageError(
            f"{user_type!r} {int(both.nonzero()[0])} is both a training and a held-out user; make "
            "the masks disjoint"
        )
    return train, val | test

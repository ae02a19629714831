"""From a mini-batch of PyG's own loaders to episodes that adapt."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.tasks.episode import RATES, REV_RATES, EdgeType, EpisodeBatch
from graphmeta.tasks.relation_features import EDGE_DIM

TYPES = ("user", "item")


def episodes_from_batch(batch: HeteroData, *, is_training: bool = True) -> EpisodeBatch:
    """Turn a disjoint mini-batch around users into one padded episode per seed user.

    So a pipeline keeps its loader: PyG's `NodeLoader` with `NeighborSampler(..., disjoint=True)`,
    or `NeighborLoader(..., disjoint=True)` where PyG has pyg-lib. The support is what the batch
    holds of the seed's edges, each pair once, by `time` where there is one; where the fan-out is
    below the length of a history, a sample of it. An encoder gives the seed the same embedding in
    the episode as in the batch, except that episodes hold the seed's edges in both directions: one
    that the batch holds in a single direction is added in the other.

    Every edge of the seed counts as shown. The batch must come from a graph without the edges to be
    ranked (`VisibleGraph`); to train on users whose query is in the graph, use `EpisodeLoader`.

    Ratings and times come along where the batch has them, and `x` of the seeds as the support's
    `user_x`. Its `edge_attr` becomes the relation features; without it they are zeros, `EDGE_DIM`
    wide: the values of `RelationFeatures` for what is not known.

    Args:
        batch: Seeds are users; node types are `user` and `item`, edge types `(user, rates, item)`
            and `(item, rev_rates, user)`, names that `from_pyg` gives. Nodes have the row numbers
            of the head's graph.
        is_training: The head's graph may hold edges of the seeds, which are then not counted for
            them (`own_user`). False for new users, of whom it holds none: they are scored faster.

    Raises:
        DataError: The seeds are not users, the batch is not disjoint, or its edges do not fit.
    """
    _refuse_unfit(batch)
    n = int(batch["user"].batch_size)
    owner = {t: batch[t].batch for t in TYPES}
    rates, reverse = batch[RATES].edge_index, batch[REV_RATES].edge_index
    # All edges in one numbering, by their user and item ends, whichever way they point.
    ends = {t: torch.cat([rates[i], reverse[1 - i]]) for i, t in enumerate(TYPES)}
    number = torch.arange(len(ends["user"]), device=rates.device)
    numbers = {RATES: number[: rates.size(1)], REV_RATES: number[rates.size(1) :]}
    shown = _seed_edges(ends, numbers, owner["item"], n, _of_edges(batch, "time"))
    item = ends["item"][shown[RATES]]
    slot = _rank(owner["item"][item], n)
    k = _width(slot)
    local = {"user": _rank(owner["user"], n), "item": _item_numbers(owner["item"], item, slot, n)}
    size = {t: _width(local[t]) + 1 for t in TYPES}
    features = _relation_features(batch, len(number))
    edge_index: dict[EdgeType, Tensor] = {}
    edge_attr: dict[EdgeType, Tensor] = {}
    for edge_type, edges in numbers.items():
        others = edges[ends["user"][edges] >= n]
        edges = torch.cat([shown[edge_type], others])
        who = owner["item"][ends["item"][edges]]
        place = torch.cat([slot, k + _rank(who[len(slot) :], n)])
        at = (who, place, n, _width(place))
        edge_index[edge_type] = torch.stack(
            [_table(local[t][ends[t][edges]], *at, size[t] - 1) for t in edge_type[::2]], dim=1
        )
        edge_attr[edge_type] = _table(features[edges], *at, 0.0)
    node_index = {t: _table(batch[t].n_id, owner[t], local[t], n, size[t], -1) for t in TYPES}
    node_index["user"][:, 0] = -1
    support = _support(batch, item, shown[RATES], (owner["item"][item], slot, n, k))
    own_user = batch["user"].n_id[:n]
    if not is_training:
        own_user = torch.full_like(own_user, -1)
    return EpisodeBatch(support, node_index, edge_index, edge_attr, own_user)


def _seed_edges(
    ends: dict[str, Tensor],
    numbers: dict[EdgeType, Tensor],
    owner: Tensor,
    n: int,
    time: Tensor | None,
) -> dict[EdgeType, Tensor]:
    """Return the seeds' edges of each type, seed by seed and by time, each pair once.

    Both types get the same pairs: where one lacks a pair, the other's edge stands for it. In a
    disjoint batch an item row belongs to one seed, so that it names the pair.
    """
    none = len(ends["user"])
    first = {}
    for edge_type, edges in numbers.items():
        own = edges[ends["user"][edges] < n]
        table = owner.new_full(owner.shape, none)
        first[edge_type] = table.scatter_reduce(0, ends["item"][own], own, "amin")
    either = torch.minimum(first[RATES], first[REV_RATES])
    item = (either < none).nonzero().flatten()
    if time is not None:
        item = item[time[either[item]].argsort(stable=True)]
    item = item[owner[item].argsort(stable=True)]
    return {t: edge.where(edge < none, either)[item] for t, edge in first.items()}


def _item_numbers(owner: Tensor, shown: Tensor, slot: Tensor, n: int) -> Tensor:
    """Return each item's number in its episode: support items have their slots, others follow."""
    is_other = torch.ones_like(owner, dtype=torch.bool)
    is_other[shown] = False
    out = torch.empty_like(owner)
    out[shown] = slot
    out[is_other] = _width(slot) + _rank(owner[is_other], n)
    return out


def _support(
    batch: HeteroData, item: Tensor, edges: Tensor, at: tuple[Tensor, Tensor, int, int]
) -> Support:
    rating, time = _of_edges(batch, "rating"), _of_edges(batch, "time")
    return Support(
        _table(batch["item"].n_id[item], *at, -1),
        None if rating is None else _table(rating[edges].float(), *at, 0.0),
        None if time is None else _table(time[edges].double(), *at, 0.0),
        batch["user"].x[: at[2]].float() if "x" in batch["user"] else None,
    )


def _relation_features(batch: HeteroData, n_edges: int) -> Tensor:
    """Return the features of all edges; float32, `[n_edges, edge_dim]`."""
    attr = _of_edges(batch, "edge_attr")
    if attr is None:
        return torch.zeros(n_edges, EDGE_DIM, device=batch[RATES].edge_index.device)
    return (attr.unsqueeze(1) if attr.dim() == 1 else attr).float()


def _rank(owner: Tensor, n: int) -> Tensor:
    """Return each row's number among the rows of the same owner, in their order."""
    order = owner.argsort(stable=True)
    count = torch.bincount(owner, minlength=n)
    out = torch.empty_like(owner)
    number = torch.arange(len(owner), device=owner.device)
    out[order] = number - (count.cumsum(0) - count)[owner[order]]
    return out


def _width(number: Tensor) -> int:
    return int(number.max()) + 1 if number.numel() else 0


def _table(values: Tensor, row: Tensor, column: Tensor, n: int, width: int, fill: float) -> Tensor:
    out = values.new_full((n, width, *values.shape[1:]), fill)
    out[row, column] = values
    return out


def _of_edges(batch: HeteroData, name: str) -> Tensor | None:
    """Return an attribute of all edges, those of `RATES` first; None where there is none."""
    values = [batch[edge_type].get(name) for edge_type in (RATES, REV_RATES)]
    known = [value for value in values if isinstance(value, Tensor)]
    if len(known) == 1:
        raise DataError(
            f"only one of {RATES} and {REV_RATES} has {name!r}; give it to both, as ToUndirected "
            "does"
        )
    return torch.cat(known) if known else None


def _refuse_unfit(batch: HeteroData) -> None:
    """Refuse a batch that is not one of disjoint user-item subgraphs around users."""
    if not isinstance(batch, HeteroData):
        raise DataError(f"expected a HeteroData batch, got {type(batch).__name__}")
    for edge_type in (RATES, REV_RATES):
        if edge_type not in batch.edge_types or "edge_index" not in batch[edge_type]:
            raise DataError(
                f"the batch has no edges {edge_type}, only {batch.edge_types}; make the graph with "
                "from_pyg, and the loader with a fan-out for both directions"
            )
    for edge_type in batch.edge_types:
        if edge_type not in (RATES, REV_RATES) and batch[edge_type].num_edges:
            raise DataError(
                f"the batch has edges {edge_type}, which episodes do not hold; set their fan-outs "
                "to 0"
            )
    if "batch_size" not in batch["user"]:
        raise DataError(
            "the seeds of the batch are not users; pass input_nodes='user' to NodeLoader"
        )
    for node_type in TYPES:
        if "n_id" not in batch[node_type] or not isinstance(batch[node_type].get("batch"), Tensor):
            raise DataError(
                f"the batch does not say whose its {node_type!r} nodes are; sample with "
                "disjoint=True"
            )

"""The leakage audit that runs before every training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.cold_users import ColdSplit, ColdUsers
from graphmeta.data.id_map import IdMap
from graphmeta.errors import DataError, LeakageError


@dataclass(frozen=True)
class AuditReport:
    """How much an audit looked at; it found nothing, else it would have raised.

    Args:
        message_edges: Edges of the message graph, both directions counted once.
        held_out_users: Held-out users that were looked for in the message graph.
        supervision_edges: Supervision edges that were looked for in the message graph.
        support_edges: Support edges compared with the query.
        query_edges: Query edges compared with the support.
        timed_edges: Edges whose time was compared with the split time.
        negatives: Sampled negatives compared with the known positives.
        false_negative_rate: Share of the negatives that are known positives.
    """

    message_edges: int = 0
    held_out_users: int = 0
    supervision_edges: int = 0
    support_edges: int = 0
    query_edges: int = 0
    timed_edges: int = 0
    negatives: int = 0
    false_negative_rate: float = 0.0


def audit_leakage(
    graph: HeteroData,
    *,
    edge_type: tuple[str, str, str] = FORWARD,
    held_out: Iterable[Any] | None = None,
    supervision: Tensor | None = None,
    support: Tensor | None = None,
    query: Tensor | None = None,
    split_time: float | None = None,
    negatives: Tensor | None = None,
    positives: Tensor | None = None,
    max_false_negative_rate: float = 0.0,
) -> AuditReport:
    """Check that nothing held out reaches training, in any PyG bipartite pipeline.

    Both directions between the two node types of `edge_type` are searched. External ids come
    from the `id_map` of a node store, else row numbers stand for ids.

    Args:
        graph: The message-passing graph.
        edge_type: User type, relation, item type.
        held_out: External ids of users that must have no edge in `graph`.
        supervision: Edges to be predicted, which must not be in `graph`.
        support: Edges a user has shown.
        query: Edges to be ranked, which must not be among `support`.
        split_time: No edge of `graph` may have a `time` above it.
        negatives: Sampled negative edges.
        positives: Known positive edges besides those of `graph`.
        max_false_negative_rate: Share of `negatives` that may be known positives.

    Shapes:
        supervision, support, query, negatives, positives: int64, `[2, n]`, user rows above
        item rows.

    Raises:
        LeakageError: Something leaks; the message names the first edge in external ids.
        DataError: `split_time` was given and the graph has no times, or `held_out` has texts
            where the graph's ids are numbers, or the other way round.
    """
    user_type, _, item_type = edge_type
    names = _Names(_ids(graph, user_type), _ids(graph, item_type))
    message, times = _message_edges(graph, user_type, item_type)
    checked: dict[str, Any] = {"message_edges": int(names.key(message).unique().numel())}
    if held_out is not None:
        checked["held_out_users"] = _check_held_out(names, message, list(held_out))
    if supervision is not None:
        names.refuse(supervision, message, "supervision edge {} is in its own message graph")
        checked["supervision_edges"] = supervision.size(1)
    if support is not None and query is not None:
        names.refuse(query, support, "query edge {} is also in the support")
        checked["support_edges"], checked["query_edges"] = support.size(1), query.size(1)
    if split_time is not None:
        checked["timed_edges"] = _check_times(names, message, times, split_time)
    if negatives is not None:
        known = message if positives is None else torch.cat([message, positives], dim=1)
        rate = _check_negatives(names, negatives, known, max_false_negative_rate)
        checked["negatives"], checked["false_negative_rate"] = negatives.size(1), rate
    return AuditReport(**checked)


def audit_split(split: ColdSplit, *, split_time: float | None = None) -> AuditReport:
    """Audit a split: held-out users against the training graph, support against query.

    Raises:
        LeakageError: Something leaks; the message names the edge or the user.
    """
    both = set(split.validation.user_ids.ids.tolist()) & set(split.test.user_ids.ids.tolist())
    if both:
        raise LeakageError(f"user {next(iter(both))!r} is both a validation and a test user")
    total: dict[str, Any] = {}
    for users in (split.validation, split.test):
        names = _Names(users.user_ids, split.train["item"].id_map)
        support, query = _cold_edges(users)
        names.refuse(query, support, "query edge {} is also in the support")
        report = audit_leakage(split.train, held_out=users.user_ids.ids, split_time=split_time)
        for field in fields(report):
            value = getattr(report, field.name)
            added = field.name in ("held_out_users", "support_edges", "query_edges")
            total[field.name] = total.get(field.name, 0) + value if added else value
        total["support_edges"] += support.size(1)
        total["query_edges"] += query.size(1)
    return AuditReport(**total)


class _Names:
    """Compares edges as single numbers and names them in external ids."""

    def __init__(self, users: IdMap | None, items: IdMap | None) -> None:
        self._users, self._items = users, items

    @staticmethod
    def key(edges: Tensor) -> Tensor:
        return edges[0].long().cpu() * 2**31 + edges[1].long().cpu()

    def edge(self, edges: Tensor, number: int) -> str:
        user, item = (int(row) for row in edges[:, number])
        return f"({self.user(user)}, {item if self._items is None else self._items.ids[item]})"

    def user(self, row: int) -> str:
        return str(row if self._users is None else self._users.ids[row])

    def rows(self, ids: list[Any]) -> Tensor:
        """Return the rows of users, -1 for those who are not in the graph.

        Raises:
            DataError: None could be found: they are texts and the graph's ids are not, or so.
        """
        known = [] if self._users is None else self._users.ids[:1].tolist()
        is_text = bool(known) and isinstance(known[0], str)
        if ids and all(isinstance(one, str) != is_text for one in ids):
            raise DataError(
                f"held_out has ids such as {ids[0]!r}, but the graph's users are known by "
                f"{'texts' if is_text else 'numbers'}, so that none would be found; give ids of "
                "that kind"
            )
        return torch.as_tensor(ids).long() if self._users is None else self._users.find(ids)

    def refuse(self, edges: Tensor, others: Tensor, message: str) -> None:
        hit = torch.isin(self.key(edges), self.key(others))
        if bool(hit.any()):
            name = self.edge(edges, int(hit.nonzero()[0]))
            raise LeakageError(
                f"{message.format(name)} ({int(hit.sum())} of {edges.size(1)}); remove it first"
            )


def _ids(graph: HeteroData, node: str) -> IdMap | None:
    known = graph[node].get("id_map")
    return known if isinstance(known, IdMap) else None


def _message_edges(
    graph: HeteroData, user_type: str, item_type: str
) -> tuple[Tensor, Tensor | None]:
    """Return the edges between the two types in both directions, and their times if all have."""
    edges: list[Tensor] = []
    times: list[Tensor | None] = []
    for source, relation, target in graph.edge_types:
        store = graph[source, relation, target]
        if {source, target} == {user_type, item_type} and "edge_index" in store:
            index = store.edge_index.cpu()
            edges.append(index if source == user_type else index.flip(0))
            times.append(store.get("time"))
    if not edges:
        raise DataError(f"no edges join {user_type!r} and {item_type!r} in {graph.edge_types}")
    known = [t.cpu() for t in times if t is not None]
    return torch.cat(edges, dim=1), torch.cat(known) if len(known) == len(edges) else None


def _check_held_out(names: _Names, message: Tensor, ids: list[Any]) -> int:
    rows = names.rows(ids)
    hit = torch.isin(message[0], rows[rows >= 0])
    if bool(hit.any()):
        name = names.edge(message, int(hit.nonzero()[0]))
        raise LeakageError(f"held-out user's edge {name} is in the message graph; remove it first")
    return len(ids)


def _check_times(names: _Names, message: Tensor, times: Tensor | None, split_time: float) -> int:
    if times is None:
        raise DataError("split_time was given but the graph has edges without time; add times")
    late = times > split_time
    if bool(late.any()):
        number = int(late.nonzero()[0])
        raise LeakageError(
            f"edge {names.edge(message, number)} has time {float(times[number]):g}, newer than "
            f"the split time {split_time:g}; remove it first"
        )
    return int(names.key(message).unique().numel())


def _check_negatives(names: _Names, negatives: Tensor, known: Tensor, allowed: float) -> float:
    hit = torch.isin(names.key(negatives), names.key(known))
    rate = float(hit.double().mean()) if hit.numel() else 0.0
    if rate > allowed:
        raise LeakageError(
            f"sampled negative {names.edge(negatives, int(hit.nonzero()[0]))} is a known positive "
            f"(rate {rate:.4f}, allowed {allowed:g}); draw it again"
        )
    return rate


def _cold_edges(users: ColdUsers) -> tuple[Tensor, Tensor]:
    row = torch.arange(len(users))
    mask = users.first.mask
    support = torch.stack([row.unsqueeze(1).expand_as(mask)[mask], users.first.item_index[mask]])
    query = torch.stack([row.repeat_interleave(users.query_ptr.diff()), users.query_index])
    return support, query

"""The largest scores of a large catalogue, exactly, without scoring most of it."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Items that are scored first; each further step scores twice as many.
FIRST_ITEMS = 4096


class PrunedProduct:
    """Finds the k items with the largest `q . F_j + w . c_j`.

    Items are scored in the order of their part that is the same for all users, `w . c_j` (here
    mostly popularity), largest first. By the inequality of Cauchy and Schwarz no item further down
    scores above the largest `w . c_j` left plus `|q|` times the largest `|F_j|` left: once the k-th
    best score is above that, none can come in (as in LEMP: Teflioudi et al., "LEMP: Fast Retrieval
    of Large Entries in a Matrix Product", SIGMOD 2015).

    Args:
        factors: F, one row for each item.
        columns: What w weighs, one row for each item.
        weights: A typical w, by which items are put in order.

    Shapes:
        factors: float32, `[n_items, c]`.
        columns: float32, `[n_items, d]`.
        weights: float32, `[d]`.
    """

    def __init__(
        self,
        factors: Float[Tensor, "n_items c"],
        columns: Float[Tensor, "n_items d"],
        weights: Float[Tensor, " d"],
    ) -> None:
        self._order = (columns @ weights).argsort(descending=True)
        self._place = torch.empty_like(self._order)
        self._place[self._order] = torch.arange(len(self._order), device=factors.device)
        self._factors, self._columns = factors[self._order], columns[self._order]
        self._norm = _largest_left(self._factors.norm(dim=1))
        # A user's w follows from how much the user has shown: there are few.
        self._shared = lru_cache(maxsize=32)(self._shared_part)

    def best(
        self,
        q: Float[Tensor, "n c"],
        w: Float[Tensor, "n d"],
        *,
        k: int,
        lifted: tuple[Int[Tensor, " m"], Int[Tensor, " m"], Float[Tensor, " m"]],
        excluded: Int[Tensor, "n e"],
        allowed: Bool[Tensor, "#n n_items"] | None = None,
    ) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
        """Return each user's best items and their scores, best first.

        Args:
            q: The users' factors.
            w: The users' weights.
            k: How many; at least as many must be left for every user.
            lifted: User, item and what is added to the score, each pair once.
            excluded: Items that are left out, -1 for none.
            allowed: The only items that may come in; None for all.
        """
        items = torch.empty(len(q), k, dtype=torch.long, device=q.device)
        scores = torch.empty(len(q), k, device=q.device)
        for weights in w.unique(dim=0):
            is_alike = (w == weights).all(1)
            number = is_alike.cumsum(0) - 1
            user, item, lift = (part[is_alike[lifted[0]]] for part in lifted)
            items[is_alike], scores[is_alike] = self._best(
                q[is_alike],
                tuple(weights.tolist()),
                k,
                (number[user], item, lift),
                excluded[is_alike],
                allowed if allowed is None or len(allowed) == 1 else allowed[is_alike],
            )
        return items, scores

    def _best(
        self,
        q: Tensor,
        weights: tuple[float, ...],
        k: int,
        lifted: tuple[Tensor, Tensor, Tensor],
        excluded: Tensor,
        allowed: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the best items of users with the same w."""
        shared, shared_left = self._shared(weights)
        user, item, lift = lifted
        place, n_items = self._place[item], len(shared)
        score = (q[user] * self._factors[place]).sum(1) + shared[place] + lift
        is_in = ~(excluded[user] == item.unsqueeze(1)).any(1)
        if allowed is not None:
            is_in &= allowed.expand(len(q), -1)[user, item]
        places, scores = _table(user[is_in], place[is_in], score[is_in], len(q), k)
        # Where they come up again, the lifted and the excluded are passed over.
        own, column = (excluded >= 0).nonzero().unbind(1)
        passed_user = torch.cat([user, own])
        passed = torch.cat([place, self._place[excluded[own, column]]])
        length, start, size = q.norm(dim=1), 0, FIRST_ITEMS
        while start < n_items:
            bound = shared_left[start] + length * self._norm[start]
            if bool((scores[:, -1] > bound).all()):
                break
            end = min(n_items, start + size)
            found = torch.addmm(shared[start:end], q, self._factors[start:end].T)
            is_here = (passed >= start) & (passed < end)
            found[passed_user[is_here], passed[is_here] - start] = -torch.inf
            if allowed is not None:
                found.masked_fill_(~allowed[:, self._order[start:end]], -torch.inf)
            best = found.topk(min(k, end - start))
            scores, column = torch.cat([scores, best.values], dim=1).topk(k)
            places = torch.cat([places, best.indices + start], dim=1).gather(1, column)
            start, size = end, 2 * size
        return self._order[places], scores

    def _shared_part(self, weights: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        """Return `w . c_j` in the order of the items, and the largest from each item on."""
        shared = self._columns @ self._columns.new_tensor(weights)
        return shared, _largest_left(shared)


def _largest_left(values: Tensor) -> Tensor:
    """Return the largest value from each place on."""
    return values.flip(0).cummax(0).values.flip(0)


def _table(user: Tensor, place: Tensor, score: Tensor, n: int, k: int) -> tuple[Tensor, Tensor]:
    """Return each user's k best of some scored places, padded with minus infinity."""
    order = score.argsort(descending=True)
    order = order[user[order].argsort(stable=True)]
    user, place, score = user[order], place[order], score[order]
    count = torch.bincount(user, minlength=n)
    rank = torch.arange(len(user), device=user.device) - (count.cumsum(0) - count)[user]
    kept = rank < k
    places = torch.zeros(n, k, dtype=torch.long, device=user.device)
    scores = torch.full((n, k), -torch.inf, device=user.device)
    places[user[kept], rank[kept]] = place[kept]
    scores[user[kept], rank[kept]] = score[kept]
    return places, scores

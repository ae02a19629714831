"""The catalogue head between trainings: the same scores for new users, with less work."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from graphmeta.encoders.item_table import ItemTable
from graphmeta.encoders.pruned_product import PrunedProduct
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.encoders.vote import Vote, closeness_to
from graphmeta.tasks.episode import EpisodeBatch

# Votes held at once, of users times items: what a processor's cache holds.
VOTES_AT_ONCE = 2**20
# The support size by whose weights the catalogue is put in order.
TYPICAL_SIZE = 5


class _Cast(NamedTuple):
    """A vote, the attention of each voter over the prior's share, and the vote's weight."""

    vote: Vote
    attention: Tensor
    weight: Tensor


class RestingHead:
    """Scores new users with what they share computed once.

    With `e` the prior's share of a vote, `a log((1 - e) vote_j + e pop_j)` is `a log(e pop_j)`
    plus `a log(1 + (1 - e) vote_j / (e pop_j))`. The first part is, like the embedding product,
    linear in a row of item j that is the same for all users: together they are one matrix
    product. The second is zero for items without a vote, so that a few sampled voters touch few
    items. No gradient passes through it.

    Args:
        table: The item table.
        votes: The votes by the names of their curves.
        popularity: Each item's share of the interactions, as a new user meets it.
        curve: The head's curves: one for each vote, `product` and `prior`.
        bias: The items' biases.

    Shapes:
        popularity: float32, `[n_items]`.
        bias: float32, `[n_items]`.
    """

    @torch.no_grad()
    def __init__(
        self,
        table: ItemTable,
        votes: Mapping[str, Vote],
        popularity: Tensor,
        curve: SupportSizeCurve,
        bias: Tensor,
    ) -> None:
        self._votes, self._curve, self._channels = dict(votes), curve, table.channels
        self._tastes = {name: vote.tastes(table.embedding) for name, vote in votes.items()}
        self._rarity = 1 / popularity
        columns = torch.stack([popularity.log(), bias, torch.ones_like(bias)], dim=1)
        self._items = torch.cat([table.output, columns], dim=1).T.contiguous()
        self._pruned: PrunedProduct | None = None

    @torch.no_grad()
    def __call__(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n n_items"]:
        """Return every item's score for the n episodes' users, all of them new."""
        row, casts = self._row(z, episodes)
        scores = row @ self._items
        for cast in casts:
            voters = cast.vote.voters_of(episodes)
            if voters is None:
                lift = cast.vote.votes(cast.attention, episodes).mul_(self._rarity).log1p_()
                scores.addcmul_(lift, cast.weight)
            else:
                self._add_ballots(scores, cast.vote, cast.attention, voters, cast.weight)
        return scores

    @torch.no_grad()
    def best(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        *,
        k: int,
        excluded: Int[Tensor, "n e"],
        allowed: Bool[Tensor, "#n n_items"] | None = None,
    ) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
        """Return each user's best items and their scores, without scoring the whole catalogue.

        Args:
            z: The users' embeddings.
            episodes: The users, all of them new, with sampled voters for every vote.
            k: How many; at least as many must be left for every user.
            excluded: Items that are left out, -1 for none.
            allowed: The only items that may come in; None for all.
        """
        row, casts = self._row(z, episodes)
        n_items = self._items.size(1)
        pairs, lifts = [], []
        for cast in casts:
            voters = cast.vote.voters_of(episodes)
            if voters is None:
                raise ValueError("everyone votes; there is nothing to leave out")
            user, item, ballot = cast.vote.ballots(cast.attention, voters)
            pair, place = (user * n_items + item).unique(return_inverse=True)
            votes = ballot.new_zeros(len(pair)).index_add(0, place, ballot)
            pairs.append(pair)
            lifts.append(
                (votes * self._rarity[pair % n_items]).log1p() * cast.weight[pair // n_items, 0]
            )
        pair, place = torch.cat(pairs).unique(return_inverse=True)
        lift = torch.zeros(len(pair), device=z.device).index_add(0, place, torch.cat(lifts))
        c = z.size(1)
        if self._pruned is None:
            typical = self._curve(torch.tensor([TYPICAL_SIZE], device=z.device))
            prior = typical["prior"] + torch.stack([typical[name] for name in self._votes]).sum(0)
            weights = torch.cat([prior[0], torch.ones_like(prior[0])])
            self._pruned = PrunedProduct(self._items[:c].T, self._items[c : c + 2].T, weights)
        items, scores = self._pruned.best(
            row[:, :c],
            row[:, c : c + 2],
            k=k,
            lifted=(pair // n_items, pair % n_items, lift),
            excluded=excluded,
            allowed=allowed,
        )
        return items, scores + row[:, c + 2 :]

    def _row(self, z: Tensor, episodes: EpisodeBatch) -> tuple[Tensor, list[_Cast]]:
        """Return what each user's row of the product is, and what the voters add to it."""
        at = self._curve(episodes.support.size)
        casts, shares = [], []
        for name, vote in self._votes.items():
            closeness = closeness_to(self._tastes[name], z, vote.voters_of(episodes))
            attention = vote.attention(episodes, closeness)
            share = vote.prior_share(attention, episodes)
            total = vote.cast(attention, episodes).clamp(min=1e-9)
            casts.append(_Cast(vote, attention * ((1 - share) / share / total), at[name]))
            shares.append(at[name] * share.log())
        row = [
            at["product"] * self._channels**-0.5 * z,
            at["prior"] + torch.stack([at[name] for name in self._votes]).sum(0),
            torch.ones_like(at["prior"]),
            torch.stack(shares).sum(0),
        ]
        only_popular = torch.cat([torch.zeros_like(z[:1]), torch.eye(3, device=z.device)[:1]], 1)
        is_shown = (episodes.support.size > 0).unsqueeze(1)
        return torch.where(is_shown, torch.cat(row, dim=1), only_popular), casts

    def _add_ballots(
        self, scores: Tensor, vote: Vote, attention: Tensor, voters: Tensor, weight: Tensor
    ) -> None:
        """Add the lift of the items that some sampled voter knows."""
        n, n_items = scores.shape
        row, item, ballot = vote.ballots(attention, voters)
        ballot = ballot * self._rarity.index_select(0, item)
        place, weight = row * n_items + item, weight.flatten().index_select(0, row)
        flat = scores.view(-1)
        # A few users at a time, whose votes the processor's cache holds.
        n_at_once = max(1, VOTES_AT_ONCE // n_items)
        ends = torch.searchsorted(row, torch.arange(0, n + n_at_once, n_at_once, device=row.device))
        for block, (start, end) in enumerate(pairwise(ends.tolist())):
            part = place[start:end]
            here = part - block * n_at_once * n_items
            votes = flat.new_zeros(n_at_once * n_items).index_add_(0, here, ballot[start:end])
            lift = votes.index_select(0, here)
            # An item with several voters is written as often, each time with the same number.
            flat[part] = flat.index_select(0, part).addcmul_(lift.log1p_(), weight[start:end])

"""The catalogue head between trainings: the same scores for new users, with less work."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from graphmeta.encoders.item_table import ItemTable
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.encoders.vote import Vote
from graphmeta.tasks.episode import EpisodeBatch

# Votes held at once, of users times items: what a processor's cache holds.
VOTES_AT_ONCE = 2**20


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

    @torch.no_grad()
    def __call__(
        self, z: Float[Tensor, "n c"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n n_items"]:
        """Return every item's score for the n episodes' users, all of them new."""
        at = self._curve(episodes.support.size)
        attention = {
            name: vote.attention(z, episodes, self._tastes[name])
            for name, vote in self._votes.items()
        }
        share = {n: vote.prior_share(attention[n], episodes) for n, vote in self._votes.items()}
        row = [
            at["product"] * self._channels**-0.5 * z,
            at["prior"] + torch.stack([at[name] for name in self._votes]).sum(0),
            torch.ones_like(at["prior"]),
            torch.stack([at[name] * share[name].log() for name in self._votes]).sum(0),
        ]
        only_popular = torch.cat([torch.zeros_like(z[:1]), torch.eye(3, device=z.device)[:1]], 1)
        is_shown = (episodes.support.size > 0).unsqueeze(1)
        scores = torch.where(is_shown, torch.cat(row, dim=1), only_popular) @ self._items
        for name, vote in self._votes.items():
            voters = vote.voters_of(episodes)
            cast = _cast(vote, attention[name], voters).clamp(min=1e-9)
            lifted = attention[name] * ((1 - share[name]) / share[name] / cast)
            if voters is None:
                lift = vote.votes(lifted, episodes).mul_(self._rarity).log1p_()
                scores.addcmul_(lift, at[name])
            else:
                self._add_ballots(scores, vote, lifted, voters, at[name])
        return scores

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


def _cast(vote: Vote, attention: Tensor, voters: Tensor | None) -> Tensor:
    """Return the votes that each user's voters cast in all; `[n, 1]`."""
    if voters is None:
        return attention @ vote.voter_degree.unsqueeze(1)
    return (attention * vote.voter_degree[voters.clamp(min=0)]).sum(1, keepdim=True)

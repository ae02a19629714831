"""A vote over a bipartite graph: from the support to all that share an item, to their items."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as fn

from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.encoders.log_mixture import log_mixture
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.place_among import place_among

# A product is as fast as looking up one of so many.
FEW_OF = 16


class Vote(nn.Module):
    """Message passing support -> voters -> their items, whose attention over voters is learnt.

    For a user with support S and embedding z, and voters v with items N(v), degree d_v and mean
    item embedding h_v:

        overlap_v   = sum over i in S and N(v) of degree_i^-r
        attention_v = softmax of p log(overlap_v) - q log(d_v + s) + t cos(z, h_v)
                      over the voters with an overlap
        vote_j      = (1 - e) normalised(sum over v of attention_v [j in N(v)]) + e popularity_j

    The sharpness `p`, the normalisations `q` and `r`, the weight `t` of taste against overlap
    and the share `e` of the prior are learnt per support size.

    Args:
        interactions: Which voter has which item.
        start: Initial values of p (`overlap`), q (`degree`), r (`rarity`), t (`taste`) and the
            logit of e (`prior`).
        k_max: Largest support that training draws.
    """

    def __init__(
        self, interactions: InteractionMatrix, start: Mapping[str, float], *, k_max: int = 10
    ) -> None:
        super().__init__()
        self.interactions = interactions
        for name, pointer in (
            ("voter_degree", interactions.user_pointer),
            ("item_degree", interactions.item_pointer),
        ):
            self.register_buffer(name, pointer.diff().float(), persistent=False)
        mean = self.item_degree.log1p().mean()
        self.register_buffer("mean_log_degree", mean, persistent=False)
        self.curve = SupportSizeCurve(start, k_max=k_max)
        self.log_smoothing = nn.Parameter(torch.tensor(3.0))

    voter_degree: Tensor
    item_degree: Tensor
    mean_log_degree: Tensor

    def own_of(self, episodes: EpisodeBatch) -> Int[Tensor, " n"]:
        """Return the voter that each episode's user is, -1 for none; it does not vote."""
        return episodes.own_user

    def voters_of(self, episodes: EpisodeBatch) -> Int[Tensor, "n n_voters"] | None:
        """Return the sampled voters, None where all vote."""
        return episodes.voters

    def forward(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        embedding: Float[Tensor, "n_items c"],
        popularity: Float[Tensor, "#n m"],
        items: Int[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "n m"]:
        """Return the logarithm of the vote, whose exponential sums to 1 like the popularity.

        Args:
            z: Embeddings of the episodes' users.
            episodes: The users.
            embedding: The item embeddings whose means are the voters' tastes.
            popularity: Of all items, or of those asked for.
            items: The only items to vote for, distinct and ascending; None for the catalogue.
        """
        closeness = self.closeness(z, embedding, self.voters_of(episodes))
        attention = self.attention(episodes, closeness)
        vote = self.votes(attention, episodes, items)
        share = self.prior_share(attention, episodes)
        each = (1 - share) / self.cast(attention, episodes).clamp(min=1e-9)
        return log_mixture(vote, popularity, each, share)

    def attention(
        self, episodes: EpisodeBatch, closeness: Float[Tensor, "n n_voters"]
    ) -> Float[Tensor, "n n_voters"]:
        """Return the weight of every voter's vote, or of the sampled voters' votes.

        Args:
            episodes: The users.
            closeness: Of every voter, or of the sampled ones, to each user.
        """
        at = self.curve(episodes.support.size)
        item = episodes.support.item_index.clamp(min=0)
        own, voters = self.own_of(episodes), self.voters_of(episodes)
        weight = self.support_weight(episodes)
        if voters is None:
            shown = weight.new_zeros(item.size(0), len(self.item_degree))
            shown = shown.scatter_add(1, item, weight)
            overlap = self.interactions.to_users(shown)
            everyone = torch.arange(overlap.size(1), device=own.device)
            overlap = overlap * (everyone != own.unsqueeze(1))
            degree = self.voter_degree
        else:
            voter = voters.clamp(min=0)
            shared = self.interactions.has(voter.unsqueeze(2), item.unsqueeze(1)).to(weight.dtype)
            overlap = (shared @ weight.unsqueeze(2)).squeeze(2) * (voters >= 0)
            degree = self.voter_degree[voter]
        logit = (
            at["overlap"] * overlap.clamp(min=1e-9).log()
            - at["degree"] * (degree + self.log_smoothing.exp()).log()
            + at["taste"] * closeness
        )
        return logit.masked_fill(overlap <= 0, -1e9).softmax(1) * (overlap > 0)

    def support_weight(self, episodes: EpisodeBatch) -> Float[Tensor, "n k"]:
        """Return what each support item adds to the overlap of the voters who have it."""
        item, own = episodes.support.item_index.clamp(min=0), self.own_of(episodes)
        # A training user's items count as if the user were new, without the user's own edge.
        degree = (self.item_degree[item] - (own >= 0).unsqueeze(1).float()).clamp(min=0)
        log_rarity = self.mean_log_degree - degree.log1p()
        rarity = self.curve(episodes.support.size)["rarity"]
        counts = torch.exp(rarity * log_rarity) * episodes.support.mask
        return counts if episodes.support.weight is None else counts * episodes.support.weight

    def votes(
        self,
        attention: Float[Tensor, "n n_voters"],
        episodes: EpisodeBatch,
        items: Int[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "n m"]:
        """Return the attention that each item's voters have; of all items, or of some."""
        voters = self.voters_of(episodes)
        if voters is None:
            some = self.interactions if items is None else self.interactions.columns(items)
            return some.to_items(attention)
        n, n_items = len(attention), self.interactions.shape[1]
        row, item, weight = self.ballots(attention, voters)
        if items is not None:
            n_items, item = len(items), place_among(items, item)
            is_asked = item >= 0
            row, item, weight = row[is_asked], item[is_asked], weight[is_asked]
        place = row * n_items + item
        return weight.new_zeros(n * n_items).index_add(0, place, weight).view(n, n_items)

    def ballots(
        self, attention: Float[Tensor, "n n_voters"], voters: Int[Tensor, "n n_voters"]
    ) -> tuple[Int[Tensor, " n_ballots"], Int[Tensor, " n_ballots"], Float[Tensor, " n_ballots"]]:
        """Return each vote of a sampled voter: for whom (ascending), which item, how much."""
        voter, item = self.interactions.items_of(voters.flatten())
        row = voter // max(1, voters.size(1))
        return row, item, attention.flatten().index_select(0, voter)

    def cast(
        self, attention: Float[Tensor, "n n_voters"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n 1"]:
        """Return the votes that each user's voters cast in all."""
        voters = self.voters_of(episodes)
        if voters is None:
            return attention @ self.voter_degree.unsqueeze(1)
        return (attention * self.voter_degree[voters.clamp(min=0)]).sum(1, keepdim=True)

    def prior_share(
        self, attention: Float[Tensor, "n n_voters"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n 1"]:
        """Return the share of the popularity in the vote; all of it where nobody votes."""
        share = self.curve(episodes.support.size)["prior"].sigmoid()
        return share.where(attention.sum(1, keepdim=True) > 0, torch.ones_like(share))

    def tastes(self, embedding: Float[Tensor, "n_items c"]) -> Float[Tensor, "n_all_voters c"]:
        """Return the direction of the mean embedding of every voter's items."""
        total = self.interactions.to_users(embedding.T.contiguous()).T
        return fn.normalize(total / self.voter_degree.clamp(min=1).unsqueeze(1), dim=1)

    def closeness(
        self,
        z: Float[Tensor, "n c"],
        embedding: Float[Tensor, "n_items c"],
        voters: Int[Tensor, "n n_voters"] | None = None,
    ) -> Float[Tensor, "n n_voters"]:
        """Return the cosine of each user's embedding and of voters' tastes.

        Args:
            z: Embeddings of the users.
            embedding: The item embeddings.
            voters: The only voters to tell of, at the cost of their items alone; None for all.
        """
        z = fn.normalize(z, dim=1)
        if voters is None:
            return z @ self.tastes(embedding).T
        voter, place = voters.unique(return_inverse=True)
        row, item = self.interactions.items_of(voter)
        first = torch.searchsorted(row, torch.arange(len(voter), device=row.device))
        tastes = fn.normalize(fn.embedding_bag(item, embedding, first, mode="mean"), dim=1)
        return (z @ tastes.T).gather(1, place)


def closeness_to(
    tastes: Float[Tensor, "n_all_voters c"],
    z: Float[Tensor, "n c"],
    voters: Int[Tensor, "n n_voters"] | None,
) -> Float[Tensor, "n n_voters"]:
    """Return `Vote.closeness` for tastes that are at hand.

    Args:
        tastes: What `Vote.tastes` returned.
        z: Embeddings of the users.
        voters: The only voters to tell of; None for all.
    """
    z = fn.normalize(z, dim=1)
    if voters is None:
        return z @ tastes.T
    voter = voters.clamp(min=0)
    # A product with all takes less time than to look up many; where traced, their number is open.
    if not torch.compiler.is_compiling() and len(tastes) < FEW_OF * voter.size(1):
        return (z @ tastes.T).gather(1, voter)
    return (tastes[voter] @ z.unsqueeze(2)).squeeze(2)

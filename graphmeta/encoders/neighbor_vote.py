"""Message passing from the support over all its other users to those users' items."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as fn
from torch_geometric.data import HeteroData

from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.tasks.episode import RATES, EpisodeBatch


class NeighborVote(nn.Module):
    """A neighbourhood recommender whose attention over users is learnt.

    For a new user with support S and embedding z, and training users v with items N(v),
    degree d_v and mean item embedding h_v, over all of the training graph:

        overlap_v   = sum over i in S and N(v) of degree_i^-r
        attention_v = softmax of p log(overlap_v) - q log(d_v + s) + t cos(z, h_v)
                      over the users with an overlap
        vote_j      = (1 - e) normalised(sum over v of attention_v [j in N(v)]) + e popularity_j

    The sharpness `p`, the normalisations `q` and `r`, the weight `t` of taste against overlap
    and the share `e` of the prior are learnt per support size. At t = 0 this is UserKNN with
    similarities to the power p. An episode's own user neither votes nor counts as popularity;
    a user without support is served the popularity. Where the episodes carry sampled `voters`
    only they vote, and the cost depends on their number, not on that of the training users.

    Args:
        graph: The training graph.
    """

    def __init__(self, graph: HeteroData) -> None:
        super().__init__()
        edge_index = graph[RATES].edge_index
        num_users, num_items = int(graph["user"].num_nodes), int(graph["item"].num_nodes)
        self.interactions = InteractionMatrix(edge_index, num_users=num_users, num_items=num_items)
        for side, (name, n) in enumerate((("user_degree", num_users), ("item_degree", num_items))):
            degree = torch.bincount(edge_index[side], minlength=n).float()
            self.register_buffer(name, degree, persistent=False)
        self.curve = SupportSizeCurve(
            {"overlap": 3.0, "degree": 0.8, "rarity": 0.3, "taste": 1.5, "prior": -3.0}
        )
        self.log_smoothing = nn.Parameter(torch.tensor(3.0))

    user_degree: Tensor
    item_degree: Tensor

    def forward(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        embedding: Float[Tensor, "n_items c"],
    ) -> tuple[Float[Tensor, "n n_items"], Float[Tensor, "#n n_items"]]:
        """Return the logarithms of the vote and of the popularity, whose exponentials sum to 1.

        The popularity has one row where all n users are new.
        """
        attention = self.attention(z, episodes, self.tastes(embedding))
        vote = self.votes(attention, episodes)
        vote = vote / vote.sum(1, keepdim=True).clamp(min=1e-9)
        popularity = self.popularity(episodes.own_user)
        share = self.prior_share(attention, episodes)
        return ((1 - share) * vote + share * popularity).log(), popularity.log()

    def attention(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        tastes: Float[Tensor, "n_users c"],
    ) -> Float[Tensor, "n n_voters"]:
        """Return the weight of every training user's vote, or of the sampled voters' votes.

        Args:
            z: Embeddings of the episodes' users.
            episodes: The users.
            tastes: What `tastes` returned.
        """
        at = self.curve(episodes.support.size)
        log_degree = self.item_degree.log1p()
        item, mask = episodes.support.item_index.clamp(min=0), episodes.support.mask
        weight = torch.exp(-at["rarity"] * (log_degree[item] - log_degree.mean())) * mask
        z, own = fn.normalize(z, dim=1), episodes.own_user
        if episodes.voters is None:
            shown = weight.new_zeros(len(item), len(log_degree)).scatter_add(1, item, weight)
            overlap = self.interactions.to_users(shown)
            everyone = torch.arange(overlap.size(1), device=own.device)
            overlap = overlap * (everyone != own.unsqueeze(1))
            degree, taste = self.user_degree, z @ tastes.T
        else:
            voter = episodes.voters.clamp(min=0)
            shared = self.interactions.has(voter.unsqueeze(2), item.unsqueeze(1)).to(weight.dtype)
            overlap = (shared @ weight.unsqueeze(2)).squeeze(2) * (episodes.voters >= 0)
            degree, taste = self.user_degree[voter], (tastes[voter] @ z.unsqueeze(2)).squeeze(2)
        logit = (
            at["overlap"] * overlap.clamp(min=1e-9).log()
            - at["degree"] * (degree + self.log_smoothing.exp()).log()
            + at["taste"] * taste
        )
        return logit.masked_fill(overlap <= 0, -1e9).softmax(1) * (overlap > 0)

    def votes(
        self, attention: Float[Tensor, "n n_voters"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n n_items"]:
        """Return the attention that each item's users have."""
        if episodes.voters is None:
            return self.interactions.to_items(attention)
        n, n_items = len(attention), self.interactions.shape[1]
        row, item, weight = self.ballots(attention, episodes.voters)
        place = row * n_items + item
        return weight.new_zeros(n * n_items).index_add(0, place, weight).view(n, n_items)

    def ballots(
        self, attention: Float[Tensor, "n n_voters"], voters: Int[Tensor, "n n_voters"]
    ) -> tuple[Int[Tensor, " n_ballots"], Int[Tensor, " n_ballots"], Float[Tensor, " n_ballots"]]:
        """Return each vote of a sampled voter: for whom (ascending), which item, how much."""
        voter, item = self.interactions.items_of(voters.flatten())
        row = voter // max(1, voters.size(1))
        return row, item, attention.flatten().index_select(0, voter)

    def prior_share(
        self, attention: Float[Tensor, "n n_voters"], episodes: EpisodeBatch
    ) -> Float[Tensor, "n 1"]:
        """Return the share of the popularity in the vote; all of it where nobody votes."""
        share = self.curve(episodes.support.size)["prior"].sigmoid()
        return share.where(attention.sum(1, keepdim=True) > 0, torch.ones_like(share))

    def tastes(self, embedding: Float[Tensor, "n_items c"]) -> Float[Tensor, "n_users c"]:
        """Return the direction of the mean embedding of every training user's items."""
        total = self.interactions.to_users(embedding.T.contiguous()).T
        return fn.normalize(total / self.user_degree.clamp(min=1).unsqueeze(1), dim=1)

    def popularity(self, own_user: Int[Tensor, " n"]) -> Float[Tensor, "#n n_items"]:
        """Return each item's share of the interactions of all users but one's own, plus one.

        A new user is -1; where all are new there is one row.
        """
        if bool((own_user < 0).all()):
            count = self.item_degree.unsqueeze(0) + 1
        else:
            count = self.item_degree + 1 - self.interactions.rows(own_user)
        return count / count.sum(1, keepdim=True)

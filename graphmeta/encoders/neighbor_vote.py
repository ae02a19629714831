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
    a user without support is served the popularity.

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
        at = self.curve(episodes.support.size)
        attention = self.attention(z, episodes, embedding)
        vote = self.interactions.to_items(attention)
        vote = vote / vote.sum(1, keepdim=True).clamp(min=1e-9)
        popularity = self.popularity(episodes.own_user)
        has_voter = attention.sum(1, keepdim=True) > 0
        share = at["prior"].sigmoid().where(has_voter, torch.ones(()))
        return ((1 - share) * vote + share * popularity).log(), popularity.log()

    def attention(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        embedding: Float[Tensor, "n_items c"],
    ) -> Float[Tensor, "n n_users"]:
        """Return the weight of every training user's vote."""
        at = self.curve(episodes.support.size)
        log_degree = self.item_degree.log1p()
        rarity = torch.exp(-at["rarity"] * (log_degree - log_degree.mean()))
        shown = episodes.support.to_dense(len(log_degree))
        overlap = self.interactions.to_users(shown * rarity)
        own = episodes.own_user
        overlap = overlap * (torch.arange(overlap.size(1), device=own.device) != own.unsqueeze(1))
        taste = fn.normalize(z, dim=1) @ fn.normalize(self.tastes(embedding), dim=1).T
        logit = (
            at["overlap"] * overlap.clamp(min=1e-9).log()
            - at["degree"] * (self.user_degree + self.log_smoothing.exp()).log()
            + at["taste"] * taste
        )
        return logit.masked_fill(overlap <= 0, -1e9).softmax(1) * (overlap > 0)

    def tastes(self, embedding: Float[Tensor, "n_items c"]) -> Float[Tensor, "n_users c"]:
        """Return the mean embedding of every training user's items."""
        total = self.interactions.to_users(embedding.T.contiguous()).T
        return total / self.user_degree.clamp(min=1).unsqueeze(1)

    def popularity(self, own_user: Int[Tensor, " n"]) -> Float[Tensor, "#n n_items"]:
        """Return each item's share of the interactions of all users but one's own, plus one.

        A new user is -1; where all are new there is one row.
        """
        if bool((own_user < 0).all()):
            count = self.item_degree.unsqueeze(0) + 1
        else:
            count = self.item_degree + 1 - self.interactions.rows(own_user)
        return count / count.sum(1, keepdim=True)

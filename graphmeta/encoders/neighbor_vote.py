"""Message passing from the support over all its other users to those users' items."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.encoders.vote import Vote
from graphmeta.tasks.episode import RATES

START = {"overlap": 3.0, "degree": 0.8, "rarity": 0.3, "taste": 1.5, "prior": -3.0}


class NeighborVote(Vote):
    """A neighbourhood recommender whose attention over users is learnt: training users vote.

    At t = 0 (see `Vote`) this is UserKNN with similarities to the power p. An episode's own user
    neither votes nor counts, as popularity or in an item's degree; a user without support is
    served the popularity. Where the episodes carry sampled `voters` only they vote, and the cost
    depends on their number, not on that of the training users.

    Args:
        graph: The training graph.
    """

    def __init__(self, graph: HeteroData) -> None:
        interactions = InteractionMatrix(
            graph[RATES].edge_index,
            num_users=int(graph["user"].num_nodes),
            num_items=int(graph["item"].num_nodes),
        )
        super().__init__(interactions, START)

    def popularity(self, own_user: Int[Tensor, " n"]) -> Float[Tensor, "#n n_items"]:
        """Return each item's share of the interactions of all users but one's own, plus one.

        A new user is -1; where all are new there is one row.
        """
        if bool((own_user < 0).all()):
            count = self.item_degree.unsqueeze(0) + 1
        else:
            count = self.item_degree + 1 - self.interactions.rows(own_user)
        return count / count.sum(1, keepdim=True)

    def popularity_at(
        self, own_user: Int[Tensor, " n"], item: Int[Tensor, "#n m"]
    ) -> Float[Tensor, "#n m"]:
        """Return `popularity` at some items of each episode, without a row of the catalogue."""
        count = self.item_degree[item] + 1
        total = self.item_degree.sum() + len(self.item_degree)
        own = own_user.unsqueeze(1)
        is_known, row = own >= 0, own.clamp(min=0)
        if not bool(is_known.any()):
            return count / total
        is_own = self.interactions.has(row, item) & is_known
        return (count - is_own.float()) / (total - self.voter_degree[row] * is_known)

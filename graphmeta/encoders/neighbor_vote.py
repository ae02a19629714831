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
        k_max: Largest support that training draws.
    """

    def __init__(self, graph: HeteroData, *, k_max: int = 10) -> None:
        interactions = InteractionMatrix(
            graph[RATES].edge_index,
            num_users=int(graph["user"].num_nodes),
            num_items=int(graph["item"].num_nodes),
        )
        super().__init__(interactions, START, k_max=k_max)

    def popularity(
        self, own_user: Int[Tensor, " n"], items: Int[Tensor, " m"] | None = None
    ) -> Float[Tensor, "#n m"]:
        """Return each item's share of the interactions of all users but one's own, plus one.

        A new user is -1; where all are new there is one row. Of some items, distinct and
        ascending, their columns.
        """
        count = (self.item_degree if items is None else self.item_degree[items]).unsqueeze(0) + 1
        if bool((own_user < 0).all()):
            return count / self._total(own_user[:1])
        total = self._total(own_user)
        share = count / total
        row, column = self.interactions.entries(own_user, items)
        share[row, column] = (count[0, column] - 1) / total[row, 0]
        return share

    def popularity_at(
        self, own_user: Int[Tensor, " n"], item: Int[Tensor, "#n m"]
    ) -> Float[Tensor, "#n m"]:
        """Return `popularity` at some items of each episode, without a row of the catalogue."""
        count = self.item_degree[item] + 1
        own = own_user.unsqueeze(1)
        is_known = own >= 0
        if bool(is_known.any()):
            is_own = self.interactions.has(own.clamp(min=0), item) & is_known
            count = count - is_own.float()
        return count / self._total(own_user)

    def _total(self, own_user: Int[Tensor, " n"]) -> Float[Tensor, "n 1"]:
        """Return what the counts of the whole catalogue sum to."""
        total = self.item_degree.sum() + len(self.item_degree)
        own = self.voter_degree[own_user.clamp(min=0)] * (own_user >= 0)
        return (total - own).unsqueeze(1)

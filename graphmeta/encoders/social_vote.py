"""Message passing over social links: from a user to the linked users to their items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from graphmeta.encoders.neighbor_vote import NeighborVote
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.tasks.episode import EpisodeBatch

START = {"weight": 0.3, "degree": 0.5, "taste": 1.0, "overlap": 1.0, "prior": 3.0}
# A user who has shown nothing has neither tastes nor items in common with others.
ALONE = {"weight": 1.0, "degree": 0.5, "prior": 3.0}


class SocialVote(nn.Module):
    """What the users to whom this one is linked add to the scores, with learnt attention.

    For a user with links to the training users L, support S and embedding z, and a linked user v
    with items N(v), degree d_v (d is the mean) and mean item embedding h_v:

        attention_v = ((d + s) / (d_v + s))^q exp(t cos(z, h_v)) (1 + overlap_v)^p
        vote_j      = sum over v in L of attention_v [j in N(v)]
        lift_j      = log (vote_j / popularity_j + e^m) / (sum over i of vote_i + e^m)

    and the scores gain `w lift_j`. With w = 1, `log popularity_j + lift_j` is the share of j among
    the votes and `e^m` votes by popularity (Dirichlet smoothing; Zhai and Lafferty, SIGIR 2001), so
    that few links to users with few items say little. Without links the lift is 0. `overlap_v` is
    that of `Vote`. The weight w, the normalisation q (`degree`), t (`taste`), p (`overlap`) and m
    (`prior`) are learnt per support size; w, q and m for a user without support on their own.

    Args:
        vote: Holds what the training users have.
        k_max: Largest support that training draws.
    """

    def __init__(self, vote: NeighborVote, *, k_max: int = 10) -> None:
        super().__init__()
        self.register_buffer("mean_degree", vote.voter_degree.mean(), persistent=False)
        self.curve = SupportSizeCurve(START, k_max=k_max)
        self.alone = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(value)) for name, value in ALONE.items()}
        )
        self.log_smoothing = nn.Parameter(torch.tensor(3.0))

    mean_degree: Tensor

    def leave_out(self) -> None:
        """Fix the weight at 0, which training then leaves."""
        self.curve.hold("weight", 0.0)
        self.alone["weight"].data.zero_()
        self.alone["weight"].requires_grad_(False)

    @torch.no_grad()
    def scale(self, factors: Mapping[int, float]) -> None:
        """Multiply the weight at some support sizes, and at those whose nearest they are.

        Args:
            factors: By support size.
        """
        shown = [size for size in factors if size]
        for at, knot in enumerate(self.curve.sizes if shown else ()):
            nearest = min(shown, key=lambda size: (abs(size - knot), size))
            self.curve.values["weight"][at] *= factors[nearest]
        self.alone["weight"] *= factors.get(0, 1.0)

    def forward(
        self,
        z: Float[Tensor, "n c"],
        episodes: EpisodeBatch,
        links: Int[Tensor, "n n_links"],
        vote: NeighborVote,
        embedding: Float[Tensor, "n_items c"],
        popularity: Float[Tensor, "#n m"],
        items: Int[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "n m"]:
        """Return what the links add to the scores of the episodes' users.

        Args:
            z: Embeddings of the users.
            episodes: The users.
            links: The training users to whom each is linked, -1 for padding.
            vote: What `__init__` was given.
            embedding: The item embeddings whose means are the linked users' tastes.
            popularity: Of all items, or of those asked for.
            items: The only items to score, distinct and ascending; None for the catalogue.
        """
        at = self._at(episodes.support.size)
        linked = replace(episodes, voters=links)
        attention = self._attention(at, z, linked, links, vote, embedding)
        smoothing = at["prior"].exp()
        total = vote.cast(attention, linked) + smoothing
        lift = vote.votes(attention, linked, items) / popularity + smoothing
        return at["weight"] * (lift / total).log()

    def _at(self, size: Int[Tensor, " n"]) -> dict[str, Tensor]:
        """Return every number of the users with so many interactions; `[n, 1]` each."""
        at, is_shown = self.curve(size), (size > 0).unsqueeze(1)
        alone = dict.fromkeys(at, 0.0) | dict(self.alone.items())
        return {name: torch.where(is_shown, value, alone[name]) for name, value in at.items()}

    def _attention(
        self,
        at: dict[str, Tensor],
        z: Tensor,
        linked: EpisodeBatch,
        links: Tensor,
        vote: NeighborVote,
        embedding: Tensor,
    ) -> Tensor:
        """Return the weight of each linked user's vote, 0 for padding; `[n, n_links]`."""
        voter, item = links.clamp(min=0), linked.support.item_index.clamp(min=0)
        smoothing = self.log_smoothing.exp()
        degree = (vote.voter_degree[voter] + smoothing) / (self.mean_degree + smoothing)
        closeness = vote.closeness(z, embedding, links)
        weight = vote.support_weight(linked)
        shared = vote.interactions.has(voter.unsqueeze(2), item.unsqueeze(1)).to(weight.dtype)
        overlap = (shared @ weight.unsqueeze(2)).squeeze(2)
        logit = (
            at["taste"] * closeness + at["overlap"] * overlap.log1p() - at["degree"] * degree.log()
        )
        return logit.exp() * (links >= 0)

"""A learnt inner loss that judges a user's ranking, items without a label included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.meta.learner import FastWeights
from graphmeta.meta.maml import MAML
from graphmeta.tasks.episode import EpisodeBatch

# Width of the task's embedding that the critic reads.
TASK = 8
# Standard deviation of the critic's last layer: at zero, the layers before it would not learn.
START = 0.01


class MetaCritic(MAML):
    """MAML whose inner steps also descend a critic, learnt and told which task it judges.

    Antoniou and Storkey, "Learning to learn via self-critique", NeurIPS 2019, after Sung et al.,
    "Learning to learn: meta-critic networks for sample efficient learning", 2017. Inner steps
    descend `L_u + C_u`, with L_u the loss of `MAML` and, for m catalogue items J without a label,

        C_u = mean_{j in J} MLP(log(m p_j), log(n q_j), W z_u)

    where p is the softmax over J of the scores under the user's current weights, q_j the share
    of item j in the popularity, n the size of the catalogue and z_u the user's embedding under
    the shared weights, a constant. The critic needs no label, so that a user with one edge, for
    whom nothing can be left out, adapts by it alone; users without any keep the shared weights.

    The critic learns from the outer loss, through the gradient of its own gradient. That is
    kept with `first_order` as well, which makes a constant of the gradient of L_u alone.

    In training J is drawn by popularity, one item from each of m equal shares of the
    interactions, and shared by the users of a call; a new user has the middle of each share.

    Departures: the unlabelled items are of the whole catalogue, as a recommender's query is not
    given; and the critic's loss is added to each step on the support, where the paper's steps
    on it follow those, so that both have the same step sizes. Of what the paper shows the
    critic, the base model's parameters are left out.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        channels: Width of its embeddings.
        unlabelled: m, items that the critic sees; all where the catalogue has no more.
        hidden: Width of the critic.
        options: The options of `MAML`.

    Raises:
        ConfigError: As `MAML`, or a width or `unlabelled` is out of its range.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: int,
        unlabelled: int = 64,
        hidden: int = 32,
        **options: Any,
    ) -> None:
        super().__init__(encoder, **options)
        if unlabelled < 2:
            raise ConfigError(f"unlabelled={unlabelled} must be at least 2: one has no ranking")
        if min(channels, hidden) < 1:
            raise ConfigError(f"channels={channels} and hidden={hidden} must be at least 1")
        self.channels, self.unlabelled = channels, unlabelled
        self.task = nn.Linear(channels, TASK, bias=False)
        # No bias at the end: a constant has no gradient.
        last = nn.Linear(hidden, 1, bias=False)
        nn.init.normal_(last.weight, std=START)
        self.critic = nn.Sequential(nn.Linear(2 + TASK, hidden), nn.GELU(), last)

    @property
    def min_support(self) -> int:
        """One edge is enough."""
        return 1

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: step sizes move ten times as fast as encoder and critic."""
        rest = [p for p in self.parameters() if p is not self.log_step_size]
        return [{"params": rest, "lr": lr}, {"params": [self.log_step_size], "lr": 10 * lr}]

    def unlabelled_items(
        self, head: CatalogueHead, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the items that the critic sees, the most popular first.

        An item with more interactions than a share may be returned more than once.

        Args:
            head: Knows how often each item occurs.
            generator: Draws an item of each share; without it, or in evaluation mode, it is
                the one in the middle.

        Shapes:
            output: int64, `[m]`.
        """
        count = head.vote.item_degree + 1
        order = count.argsort(descending=True, stable=True)
        m = self.unlabelled
        if m >= len(count):
            return order
        place = torch.full((m,), 0.5)
        if self.training and generator is not None:
            place = torch.rand(m, generator=generator, device=generator.device)
        total = count[order].cumsum(0)
        share = (torch.arange(m, device=total.device) + place.to(total)) / m
        found = torch.searchsorted(total, share * total[-1])
        return order[found.clamp(max=len(count) - 1)]

    def _adapted(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        generator: torch.Generator | None,
        *,
        first_row: int,
    ) -> FastWeights:
        keeps_graph = torch.is_grad_enabled()
        learns = keeps_graph and self.training
        objectives = [(self._critic_objective(episodes, head, generator), learns)]
        if episodes.support.item_index.size(1) >= super().min_support:
            support_loss = self._inner_objective(episodes, head, generator)
            objectives.append((support_loss, learns and not self.first_order))
        with torch.enable_grad():
            # A view of a parameter made without gradients is no node of the inner graph.
            fast = {
                n: w if keeps_graph and w.requires_grad else w.detach().clone().requires_grad_()
                for n, w in self.shared_weights(len(episodes)).items()
            }
            for step in range(self.inner_steps):
                loss, gradients = _sum_of_gradients(objectives, fast)
                finite = self._checked([*fast], loss, gradients, step, first_row)
                fast = self._descend(fast, finite, step)
        return fast

    def _critic_objective(
        self, episodes: EpisodeBatch, head: CatalogueHead, generator: torch.Generator | None
    ) -> Callable[[FastWeights], Tensor]:
        """Return the critic's loss of each user, `[n_episodes]`, given the fast weights."""
        x_dict = head.x_dict(episodes)
        with torch.no_grad():
            z = self.encode(episodes, self.shared_weights(len(episodes)), x_dict)
        if z.size(1) != self.channels:
            raise EncoderError(
                f"{type(self.encoder).__name__} embeds a user in {z.size(1)} numbers, not in "
                f"channels={self.channels}; give the width of its output"
            )
        items = self.unlabelled_items(head, generator)
        share = head.vote.popularity(episodes.own_user)
        popularity = (share[:, items] * share.size(1)).log().expand(len(z), -1)
        task = self.task(z).unsqueeze(1).expand(-1, len(items), -1)
        is_shown = episodes.support.size > 0

        def loss(fast: FastWeights) -> Tensor:
            z = self._for_head(self.encode(episodes, fast, x_dict), head)
            scores = head.inner_scores(z, episodes)
            predicted = scores[:, items].log_softmax(1) + math.log(len(items))
            read = torch.cat([torch.stack([predicted, popularity], 2), task], 2)
            return self.critic(read).squeeze(2).mean(1) * is_shown

        return loss


def _sum_of_gradients(
    objectives: Sequence[tuple[Callable[[FastWeights], Tensor], bool]], fast: FastWeights
) -> tuple[Tensor, list[Tensor | None]]:
    """Return the sum of the losses, detached, and of their gradients, with or without a graph."""
    losses: list[Tensor] = []
    total: list[Tensor | None] = [None] * len(fast)
    for objective, keeps_graph in objectives:
        loss = objective(fast)
        found = torch.autograd.grad(
            loss.sum(), list(fast.values()), create_graph=keeps_graph, allow_unused=True
        )
        total = [
            a if b is None else b if a is None else a + b for a, b in zip(total, found, strict=True)
        ]
        losses.append(loss.detach())
    return torch.stack(losses).sum(0), total

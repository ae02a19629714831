"""Reptile: the shared weights move towards the users' adapted weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.learner import FastWeights
from graphmeta.meta.maml import MAML
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.sampled_items import SampledItems


class Reptile(MAML):
    """MAML whose adapted weights learn from where the inner loop ends, not from the query.

    Nichol, Achiam and Schulman, "On first-order meta-learning algorithms", 2018. With `phi_u`
    the weights of user u after `inner_steps` steps of size `alpha`, the shared weights that
    adapt follow `(theta - phi_u) / alpha`, mean over users: here the gradient of

        1 / (2 alpha) * mean over users of |theta - phi_u|^2,   phi_u a constant.

    The paper's outer step size epsilon is the optimiser's. `alpha` is fixed: no outer gradient
    could teach it. Users with fewer edges than `min_support` have no direction and are not in
    the mean.

    By the paper's expansion, what several steps add to joint training is the inner product of
    the gradients of a task's *different* minibatches. So while training every step leaves
    `max_views` edges out anew, which differ where a user has more edges than that. A new user
    adapts as with MAML, on all edges at every step.

    The paper puts all of a task's data in the inner loop and has no other weights. Here the
    inner loop sees the support alone, for the query is not in the user's subgraph; head and
    non-adapted weights descend the query loss at `phi_u`, and batches of unadapted users descend
    theirs in all weights.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        inner_steps: Gradient steps per user; one is joint training on the inner loss.
        inner_lr: Step size of all steps.
        max_views: Support edges left out per user and step while training; None for all.
        options: The other options of `MAML`, less `first_order`.

    Raises:
        ConfigError: As `MAML`, or `first_order` is given.
    """

    step_size: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        inner_steps: int = 3,
        inner_lr: float = 0.1,
        max_views: int | None = 1,
        **options: Any,
    ) -> None:
        if "first_order" in options:
            raise ConfigError("Reptile differentiates no inner step; leave first_order out")
        super().__init__(
            encoder,
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            max_views=max_views,
            first_order=True,
            **options,
        )
        del self.log_step_size
        self.register_buffer("step_size", torch.tensor(inner_lr))

    def step_sizes(self, step: int) -> Sequence[Tensor]:
        """Return the step sizes of one step: the same number for each adapted parameter."""
        return self.step_size.expand(len(self.adapted_names)).unbind()

    def outer_loss(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        seen: Tensor,
        *,
        is_adapted: bool,
        sampled: SampledItems | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the query loss at the adapted weights, plus the distance to them.

        Args:
            episodes: Training users, each with some of the own items as support.
            head: Embeds the nodes and scores the catalogue.
            seen: Each user's whole row; what is not support is the query.
            is_adapted: False for the query loss of the shared weights.
            sampled: Items that stand for the catalogue, as `Learner.outer_loss` takes them.
            generator: Draws the edges to leave out where `max_views` binds.

        Shapes:
            seen: float32, `[n_episodes, n_items]`; ones at support and query items.
            output: a number.

        Raises:
            EncoderError: As `adapt`.
            NonFiniteError: As `adapt`.
        """
        if not (is_adapted and self.is_adaptive):
            return super().outer_loss(
                episodes,
                head,
                seen,
                is_adapted=is_adapted,
                sampled=sampled,
                generator=generator,
            )
        adapted = self.adapt(episodes, head, generator=generator)
        fast = {name: weight.detach() for name, weight in adapted.items()}
        loss = self.query_loss(episodes, fast, head, seen, sampled)
        return loss + self._distance(fast, episodes.support.size >= self.min_support)

    def _distance(self, fast: FastWeights, adapts: Tensor) -> Tensor:
        """Return half the users' mean squared distance to their weights over the step size."""
        shared = self.shared_weights(len(adapts))
        each = [(shared[n] - w).square().reshape(len(w), -1).sum(1) for n, w in fast.items()]
        total = (torch.stack(each).sum(0) * adapts).sum()
        return total / (2 * self.step_size * adapts.sum().clamp(min=1))

    def _inner_objective(
        self, episodes: EpisodeBatch, head: CatalogueHead, generator: torch.Generator | None
    ) -> Callable[[FastWeights], Tensor]:
        draw = super()._inner_objective
        if not self.training:
            return draw(episodes, head, generator)
        return lambda fast: draw(episodes, head, generator)(fast)

"""The outer loss of training users: their supports drawn, their subgraphs sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import NonFiniteError
from graphmeta.meta.learner import Learner
from graphmeta.meta.precision import Precision, computing_in
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.sampled_items import SampledItems, sampler_for
from graphmeta.tasks.support_draws import shown_of


@dataclass(frozen=True)
class OuterDraw:
    """What all users of an outer step share.

    Args:
        k: Support size.
        in_order: The support is the first items in time, not random ones.
        is_adapted: The loss is that of adapted users.
    """

    k: int
    in_order: bool
    is_adapted: bool


class OuterLoss:
    """Returns the learner's outer loss on episodes of training users, made by its `loader`.

    Args:
        learner: Adapts and scores.
        head: On the device of the learner.
        loader: Draws the episodes.
        adapted_share: How often a draw asks for adapted users.
        num_sampled: Draws that stand for the catalogue (`sampler_for`); 0 for all of it.
        precision: What losses are computed in (`computing_in`).

    Raises:
        ConfigError: `num_sampled` is out of its range, or there is no such precision.
    """

    def __init__(
        self,
        learner: Learner,
        head: CatalogueHead,
        loader: EpisodeLoader,
        *,
        adapted_share: float,
        num_sampled: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.learner, self.head, self.loader = learner, head, loader
        self.adapted_share = adapted_share
        self._computing = computing_in(precision, device=head.bias.device)
        self._item_sampler = sampler_for(head.vote.item_degree, num_sampled)

    def draw(self, generator: torch.Generator) -> OuterDraw:
        """Return what the users of the next step share."""
        size, adapted = torch.rand(2, generator=generator).tolist()
        in_order = self.loader.in_order(generator)
        return OuterDraw(self.loader.support_size(size), in_order, adapted < self.adapted_share)

    def n_query(self, users: Tensor, draw: OuterDraw) -> int:
        """Return how many items are left to predict once every user has shown the support."""
        n_items = self.loader.n_items[users]
        return int((n_items - shown_of(n_items, draw.k, self.loader.share)).sum())

    def __call__(
        self,
        users: Tensor,
        draw: OuterDraw,
        generator: torch.Generator,
        *,
        names_culprits: bool = True,
    ) -> Tensor:
        """Return the outer loss of the users.

        Args:
            users: Rows of the training graph.
            draw: What they share.
            generator: Draws supports, neighbours and left-out edges.
            names_culprits: Find out by single runs which users make a loss not finite.

        Shapes:
            users: int64, `[n_users]`.
            output: a number.

        Raises:
            NonFiniteError: The loss, or one inside, is NaN or infinite; the message names the
                users, and the weights that are.
        """
        device, sampled = self.head.bias.device, None
        episodes, items = self.loader.draw(
            users, draw.k, in_order=draw.in_order, generator=generator
        )
        if self._item_sampler is None:
            seen = items.to_dense(len(self.head.bias))
        else:
            sampled = self._item_sampler.draw(generator, seen=items.item)
            seen = items.among(sampled.item)
            sampled = sampled.to(device)
        episodes, seen = episodes.to(device), seen.to(device)
        try:
            return self._loss(episodes, seen, sampled, draw, generator)
        except NonFiniteError as error:
            found = self._culprits(episodes, seen, sampled, draw) if names_culprits else []
            modules = nn.ModuleDict({"learner": self.learner, "head": self.head})
            weights = not_finite(dict(modules.named_parameters()))
            named = told(users[found] if found else users)
            raise NonFiniteError(
                f"{error}, for {named} in a batch of {len(users)}; "
                + (f"the weights {weights[:3]} are not finite; " if weights else "")
                + "lower lr or check the features"
            ) from error

    def _loss(
        self,
        episodes: EpisodeBatch,
        seen: Tensor,
        sampled: SampledItems | None,
        draw: OuterDraw,
        generator: torch.Generator,
    ) -> Tensor:
        with self._computing:
            loss = self.learner.outer_loss(
                episodes,
                self.head,
                seen,
                is_adapted=draw.is_adapted,
                sampled=sampled,
                generator=generator,
            )
        if not bool(loss.isfinite()):
            raise NonFiniteError(f"the outer loss is {loss.item()}")
        return loss

    @torch.no_grad()
    def _culprits(
        self, episodes: EpisodeBatch, seen: Tensor, sampled: SampledItems | None, draw: OuterDraw
    ) -> list[int]:
        """Return the rows of the batch whose loss is not finite when they are alone."""
        rows = []
        for row in range(len(episodes)):
            one, generator = slice(row, row + 1), torch.Generator().manual_seed(row)
            try:
                self._loss(episodes[one], seen[one], sampled, draw, generator)
            except NonFiniteError:
                rows.append(row)
        return rows


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that hold NaN or an infinite number."""
    return [name for name, value in tensors.items() if not bool(value.isfinite().all())]


def told(users: Tensor) -> str:
    """Return the first few training users in words."""
    rest = f" and {len(users) - 5} more" if len(users) > 5 else ""
    return f"training users {users[:5].tolist()}{rest}"

"""TaNP: a neural process that reads a user's weights off the support, without a gradient step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from graphmeta.data.cold_users import Support
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.head_width import refuse_other_width
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.sampled_items import SampledItems

# Standard deviation of the map to changes of weights: at zero, nothing before it would learn.
START = 0.01
# Log-variance that the latent starts from: with more, its draws would drown its mean.
LOG_VARIANCE = -4.0


class NeuralProcess(Learner):
    """Conditions the encoder on a latent of the user's task, inferred from the support.

    Lin et al., "Task-adaptive neural process for user cold-start recommendation", WWW 2021, with
    the modulation of FiLM (Perez et al., AAAI 2018). With S the support and E the items' input
    embeddings,

        r = mean_{i in S} MLP(E_i)
        q(z | S) = N(mu(r), diag(sigma(r)^2))
        theta_u = theta + D (z + sum_m a_m c_m),   a_m = 1 / (1 + |z - c_m|^2), made to sum to 1

    where D, a matrix that starts near zero, changes the adapted parameters, such as the scales
    and shifts of a `RelationEncoder`, and the `clusters` centres c_m are kinds of tasks that the
    latent is softly assigned to. A new user has the mean of q(z | S) for z: one pass, no gradient.
    In training z is drawn from the posterior, which sees the query Q too, and the outer loss is

        query_loss + kl_weight * mean over users of KL(q(z | S and Q) || q(z | S))

    `query_loss` is a mean over query items; with `kl_weight` one over the usual length of a query
    the sum is the evidence lower bound per item. A user without support keeps the shared weights.

    Departures: the paper decodes pairs of user and item features, and here the whole graph
    encoder and the catalogue head decode, with item embeddings for features. With no ratings the
    items alone are encoded. One latent does the work of the paper's two (a drawn one to decode,
    a deterministic one to modulate). The centres learn from the outer loss alone, without the
    paper's clustering loss, which ties the users of a batch.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        channels: Width of the head's embeddings.
        adapt: Patterns (as in `fnmatch`) of the parameter names to adapt.
        latent: Width of z.
        clusters: How many centres; 0 leaves them out.
        kl_weight: Weight of the divergence.
        is_batched: As in `Learner`.

    Raises:
        ConfigError: A pattern matches no parameter, or a number is out of its range.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: int,
        adapt: Sequence[str] = ("*",),
        latent: int = 16,
        clusters: int = 0,
        kl_weight: float = 0.01,
        is_batched: bool = True,
    ) -> None:
        super().__init__(encoder, adapt=adapt, is_batched=is_batched)
        if not self.adapted_names:
            raise ConfigError("adapt is empty; name the parameters that adapt, '*' for all")
        if min(channels, latent) < 1:
            raise ConfigError(f"channels={channels} and latent={latent} must be at least 1")
        if clusters < 0 or not kl_weight >= 0:
            raise ConfigError(f"clusters={clusters} and kl_weight={kl_weight} must be 0 or more")
        self.channels, self.kl_weight = channels, kl_weight
        shapes = {name: parameter.shape for name, parameter in encoder.named_parameters()}
        self._shapes = {name: shapes[name] for name in self.adapted_names}
        width = sum(shape.numel() for shape in self._shapes.values())
        self.item_map = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.hidden = nn.Linear(channels, channels)
        self.mean = nn.Linear(channels, latent)
        self.log_variance = nn.Linear(channels, latent)
        nn.init.constant_(self.log_variance.bias, LOG_VARIANCE)
        self.change = nn.Parameter(START * torch.randn(latent, width))
        self.centres = nn.Parameter(0.1 * torch.randn(clusters, latent)) if clusters else None

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: what starts near zero moves ten times as fast."""
        small = [self.change] if self.centres is None else [self.change, self.centres]
        known = {id(parameter) for parameter in small}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [{"params": rest, "lr": lr}, {"params": small, "lr": 10 * lr}]

    def of_support(self, support: Support, head: CatalogueHead) -> Normal:
        """Return q(z | S), for any order and padding of the supports.

        Shapes:
            output: mean and stddev, `[n_episodes, latent]`.

        Raises:
            ConfigError: The head's embeddings are not `channels` wide.
        """
        refuse_other_width(head, self.channels)
        # Not `embedding[...]`: threads add up the gradient of that in any order.
        shown = nn.functional.embedding(support.item_index.clamp(min=0), head.table.embedding)
        total = (self.item_map(shown) * support.mask.unsqueeze(2)).sum(1)
        return self._gaussian(total, support.size)

    def of_rows(self, rows: Tensor, head: CatalogueHead, items: Tensor | None = None) -> Normal:
        """Return q(z | the items of each row).

        Args:
            rows: The users' rows of the catalogue, or their columns of some items.
            head: Embeds the items.
            items: What the columns are; None for the catalogue.

        Shapes:
            rows: float32, `[n_episodes, n_items]`; ones at the user's items.
            items: int64, `[m]`, where rows are `[n_episodes, m]`.
            output: mean and stddev, `[n_episodes, latent]`.

        Raises:
            ConfigError: The head's embeddings are not `channels` wide.
        """
        refuse_other_width(head, self.channels)
        everything = head.table.embedding
        embedding = everything if items is None else nn.functional.embedding(items, everything)
        mapped = self.item_map(embedding)
        return self._gaussian(rows.to(mapped.dtype) @ mapped, rows.sum(1))

    def weights(self, z: Tensor, size: Tensor) -> FastWeights:
        """Return the weights that the latents call for; the shared ones where the size is 0.

        Shapes:
            z: float32, `[n_episodes, latent]`.
            size: int64, `[n_episodes]`; how many items each user has shown.
            output: `[n_episodes, *parameter_shape]` for each adapted parameter.
        """
        if self.centres is not None:
            distance = (z.unsqueeze(1) - self.centres).square().sum(2)
            kernel = 1 / (1 + distance)  # Student's t with one degree of freedom.
            z = z + kernel / kernel.sum(1, keepdim=True) @ self.centres
        change = (z * (size > 0).unsqueeze(1)) @ self.change
        parts = change.split([shape.numel() for shape in self._shapes.values()], dim=1)
        shared = self.shared_weights(len(z))
        return {
            name: shared[name] + part.view(-1, *shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def adapt(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        *,
        generator: torch.Generator | None = None,
    ) -> FastWeights:
        """Return each user's own weights, from the mean of the latent; nothing is drawn.

        Shapes:
            output: `[n_episodes, *parameter_shape]` for each adapted parameter.

        Raises:
            ConfigError: The head's embeddings are not `channels` wide.
        """
        support = episodes.support
        return self.weights(self.of_support(support, head).mean, support.size)

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
        """Return the negative evidence bound in training mode, else the query loss.

        Args:
            episodes: Training users, each with some of the own items as support.
            head: Embeds the nodes and scores the catalogue.
            seen: Each user's whole row; what is not support is the query.
            is_adapted: False for the query loss of the shared weights.
            sampled: Items that stand for the catalogue, as `Learner.outer_loss` takes them.
            generator: Draws the latents; without it they are the posterior's means.

        Shapes:
            seen: float32, `[n_episodes, n_items]`; ones at support and query items.
            output: a number.

        Raises:
            ConfigError: The head's embeddings are not `channels` wide.
        """
        if not (is_adapted and self.training):
            return super().outer_loss(
                episodes,
                head,
                seen,
                is_adapted=is_adapted,
                sampled=sampled,
                generator=generator,
            )
        size = episodes.support.size
        items = None if sampled is None else sampled.item
        prior, posterior = self.of_support(episodes.support, head), self.of_rows(seen, head, items)
        z = posterior.mean
        if generator is not None:
            noise = torch.randn(
                z.shape, generator=generator, device=generator.device, dtype=z.dtype
            )
            z = z + posterior.stddev * noise.to(z.device)
        loss = self.query_loss(episodes, self.weights(z, size), head, seen, sampled)
        adapts = size > 0
        divergence = kl_divergence(posterior, prior).sum(1) * adapts
        mean = divergence.sum() / adapts.sum().clamp(min=1)
        return loss + self.kl_weight * mean

    def _gaussian(self, total: Tensor, size: Tensor) -> Normal:
        """Return the latent's distribution from the sum over each user's items."""
        pooled = total / size.clamp(min=1).unsqueeze(1)
        hidden = self.hidden(pooled).relu()
        deviation = (0.5 * self.log_variance(hidden)).exp()
        # Unchecked: a NaN is for the outer loss to report, which knows the user.
        return Normal(self.mean(hidden), deviation, validate_args=False)

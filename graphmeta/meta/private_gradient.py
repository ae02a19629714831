"""The outer gradient of each user apart, and their sum in which no user counts for much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.meta.query_loss import query_loss
from graphmeta.tasks.episode import EpisodeBatch


def user_gradients(
    learner: Learner,
    head: CatalogueHead,
    episodes: EpisodeBatch,
    seen: Tensor,
    *,
    is_adapted: bool,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return each user's gradient of the outer loss by the weights that users adapt from.

    The loss is the `query_loss` of the user alone. Every user gets an own copy of the shared
    weights, a row each, and the batch runs as one: the gradient of the summed losses by a row is
    that user's gradient, through the inner loop where `is_adapted`.

    Args:
        learner: Has adapted parameters; changed by nobody.
        head: Embeds the nodes and scores the catalogue.
        episodes: The users.
        seen: Each user's whole row; what is not support is the query.
        is_adapted: Score the users after adaptation; otherwise with the shared weights.
        generator: For learners that draw.

    Shapes:
        seen: float32, `[n_episodes, n_items]`; ones at support and query items.
        output: float32, `[n_episodes, *parameter_shape]` for each adapted parameter.

    Raises:
        ConfigError: The learner adapts no parameters of the encoder, or has an outer loss of its
            own.
    """
    refuse_unclippable(learner)
    rows = {name: w.detach().clone() for name, w in learner.shared_weights(len(episodes)).items()}
    for row in rows.values():
        row.requires_grad_()
    with _shared(learner, rows):
        fast = learner.adapt(episodes, head, generator=generator) if is_adapted else rows
        scores = learner.score(episodes, fast, head)
    losses = [
        query_loss(scores[one], episodes.support[one], seen[one], weight=head.query_weight)
        for one in (slice(i, i + 1) for i in range(len(episodes)))
    ]
    found = torch.autograd.grad(torch.stack(losses).sum(), [*rows.values()], allow_unused=True)
    return {
        name: torch.zeros_like(row) if gradient is None else gradient
        for (name, row), gradient in zip(rows.items(), found, strict=True)
    }


def clipped_sum(gradients: Mapping[str, Tensor], clip: float) -> dict[str, Tensor]:
    """Return the sum over users of their gradients, each shortened to a norm of `clip` at most.

    Whoever joins or leaves changes the sum by a vector of norm `clip` at most, over all
    parameters together (Abadi et al., CCS 2016). A gradient that is not finite counts as zero.

    Args:
        gradients: What `user_gradients` returned.
        clip: Largest norm, above 0; infinite for the plain sum.

    Shapes:
        gradients: `[n_users, *parameter_shape]` each.
        output: `[*parameter_shape]` each.

    Raises:
        ConfigError: `clip` is not above 0.
    """
    if not clip > 0:
        raise ConfigError(f"clip={clip} must be above 0")
    flat = torch.cat([rows.reshape(len(rows), -1) for rows in gradients.values()], dim=1).double()
    norm = flat.norm(dim=1)
    share = (clip / norm.clamp(min=1e-30)).clamp(max=1.0) if math.isfinite(clip) else norm * 0 + 1
    flat = (flat * share.unsqueeze(1)).where(norm.isfinite().unsqueeze(1), 0.0)
    sizes = [rows[0].numel() for rows in gradients.values()]
    return {
        name: total.view(rows.shape[1:]).to(rows.dtype)
        for (name, rows), total in zip(gradients.items(), flat.sum(0).split(sizes), strict=True)
    }


def refuse_unclippable(learner: Learner) -> None:
    """Check that a learner's outer gradient is a sum over users.

    Raises:
        ConfigError: It adapts no parameters of the encoder, or has an outer loss of its own.
    """
    name = type(learner).__name__
    if not learner.adapted_names:
        raise ConfigError(
            f"{name} adapts no parameters of the encoder, and these are what private users train; "
            "use MAML or another learner with `adapt` patterns"
        )
    if type(learner).outer_loss is not Learner.outer_loss:
        raise ConfigError(
            f"{name} has an outer loss of its own, which need not be a sum over users; use a "
            "learner with the default one, such as MAML"
        )


@contextmanager
def _shared(learner: Learner, rows: FastWeights) -> Iterator[None]:
    """Let the learner take these rows for its shared weights: it then adapts from them."""
    vars(learner)["shared_weights"] = lambda n_episodes: rows
    try:
        yield
    finally:
        del vars(learner)["shared_weights"]

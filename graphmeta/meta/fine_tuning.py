"""Transfer learning: a general model, fine-tuned to each user by plain gradient steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn

from graphmeta.encoders.adapter import WithAdapters
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.anil import last_module
from graphmeta.meta.maml import MAML, InnerLoss, OnNonFinite
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.sampled_items import SampledItems

Part = Literal["all", "head", "bias", "adapters"]


class FineTuning(MAML):
    """A model trained without an inner loop, of which each user tunes a part.

    What meta-learning must beat. Training never adapts: `outer_loss` is that of the general
    model. A new user's weights are then `theta_u <- theta_u - a * grad L_u(theta_u)`,
    `inner_steps` times from the general ones, with one step size `a` that is set and not learnt,
    and `L_u` the loss on all of the support, see `MAML`. Settings that need no training are for
    validation users to choose: `with_steps` returns the same model with others.

    What is tuned is one `part` of the encoder:

    - `"all"`: every parameter.
    - `"head"`: the last module.
    - `"bias"`: the biases alone (BitFit: Ben Zaken, Goldberg and Ravfogel, ACL 2022).
    - `"adapters"`: a bottleneck after the encoder (Houlsby et al., ICML 2019), see
      `WithAdapters`, which is put around the encoder here. It is trained with the general model,
      as the paper's is not: its first weights would let a user's first step move one half only.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        part: What is tuned.
        adapt: Patterns (as in `fnmatch`) of the parameter names to tune, in place of a part.
        channels: Width of the encoder's embeddings; needed for adapters only.
        bottleneck: Width of the adapters' bottleneck.
        inner_steps: Gradient steps per user.
        inner_lr: Size of every step.
        inner_loss: What a step descends, see `MAML`.
        on_non_finite: As in `MAML`.
        is_batched: As in `Learner`.

    Raises:
        ConfigError: As `MAML`, or the encoder lacks the part, or adapters have no `channels`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        part: Part = "all",
        adapt: Sequence[str] | None = None,
        channels: int | None = None,
        bottleneck: int = 8,
        inner_steps: int = 1,
        inner_lr: float = 0.1,
        inner_loss: InnerLoss = "support",
        on_non_finite: OnNonFinite = "raise",
        is_batched: bool = True,
    ) -> None:
        if part not in get_args(Part):
            raise ConfigError(f"part={part!r} must be one of {get_args(Part)}")
        if adapt is not None and part != "all":
            raise ConfigError(f"part={part!r} and adapt={list(adapt)} both say what; give one")
        if part == "adapters":
            if channels is None:
                raise ConfigError("part='adapters' needs channels, the width of the embeddings")
            # Nothing but the user's embedding is scored, so that no other type needs one.
            encoder = WithAdapters(
                encoder, channels=channels, bottleneck=bottleneck, node_types=("user",)
            )
        super().__init__(
            encoder,
            adapt=_patterns(encoder, part) if adapt is None else adapt,
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            inner_loss=inner_loss,
            max_views=None,
            on_non_finite=on_non_finite,
            is_batched=is_batched,
        )
        del self.log_step_size
        self.inner_lr = inner_lr

    def with_steps(self, *, inner_steps: int, inner_lr: float) -> Self:
        """Return the same general model, not a copy of it, tuned by other steps.

        Args:
            inner_steps: Gradient steps per user.
            inner_lr: Size of every step.

        Raises:
            ConfigError: A number is out of its range.
        """
        other = type(self)(
            self.encoder,
            adapt=self.adapted_names,
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            inner_loss=self.inner_loss,
            on_non_finite=self.on_non_finite,
            is_batched=self.is_batched,
        )
        return other.train(self.training)

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
        """Return the loss of the general model, whatever `is_adapted` asks for."""
        return super().outer_loss(
            episodes, head, seen, is_adapted=False, sampled=sampled, generator=generator
        )

    def step_sizes(self, step: int) -> Sequence[Tensor]:
        """Return the step sizes of one step: the same number for each adapted parameter."""
        return [torch.tensor(self.inner_lr, dtype=torch.float64)] * len(self.adapted_names)


def _patterns(encoder: nn.Module, part: Part) -> Sequence[str]:
    if part == "head":
        return (f"{last_module(encoder)}*",)
    if part == "adapters":
        return ("adapters.*",)
    if part == "all":
        return ("*",)
    names = [name for name, _ in encoder.named_parameters()]
    found = [name for name in names if "bias" in name.rpartition(".")[2].split("_")]
    if not found:
        raise ConfigError(
            f"{type(encoder).__name__} has no parameter named bias, but {names[:5]}; choose "
            "another part, or name the parameters in adapt"
        )
    return found

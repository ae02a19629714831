"""MAMO: memories of other users choose where a user's adaptation starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.meta.learner import FastWeights
from graphmeta.meta.maml import MAML
from graphmeta.tasks.episode import EpisodeBatch

# The user's matrix among the fast weights. No parameter's name can start with a dot.
MATRIX = ".matrix"
# Standard deviation of what the memories first hold; at zero, attention would learn nothing.
START = 0.01


class MemoryAugmented(MAML):
    """MAML that starts each user from weights, and a matrix, read from memories by attention.

    MAMO: Dong, Yuan, Yao, Xu and Zhu, "MAMO: memory-augmented meta-optimization for cold-start
    recommendation", KDD 2020. With p_u the profile of user u and `slots` rows or slices in
    each memory, `a_u = softmax(cos(p_u, M_P))` reads

    - from the feature-specific memory, the start `theta_u = theta - tau * a_u^T M_U`, with M_U
      as wide as all adapted parameters together;
    - from the task-specific memory, a cube M_C, the matrix `A_u = a_u^T M_C`, which transforms
      the user's embedding before it is scored: `z + A_u z`.

    Inner steps then descend as in `MAML`, the matrix with the weights, as in the paper.

    The profile is the shared encoder's embedding of the user, where the paper has features, which
    not all users have. The paper writes the memories by momentum, `M_P <- b a_u p_u^T + (1 - b)
    M_P` and alike with the user's gradients and matrix; here they learn by the outer gradient,
    as what is written user by user depends on the order and the batch. The paper's matrix maps
    user and item embedding joined; as the catalogue is scored at once, this one maps z alone.

    One edge is enough to read the memories, though not for a leave-one-out step. Users without
    any keep the shared weights.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        channels: Width of its embeddings.
        slots: How many patterns of users the memories hold.
        tau: Step size from the shared weights along what M_U holds.
        options: The options of `MAML`. With `inner_steps=0` the memories alone adapt.

    Raises:
        ConfigError: As `MAML`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: int,
        slots: int = 8,
        tau: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(encoder, **options)
        for name, value in (("channels", channels), ("slots", slots)):
            if value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
        if not tau > 0:
            raise ConfigError(f"tau={tau} must be above 0")
        self.tau = tau
        shapes = {name: parameter.shape for name, parameter in encoder.named_parameters()}
        self._shapes = {name: shapes[name] for name in self.adapted_names}
        width = sum(shape.numel() for shape in self._shapes.values())
        self.profiles = nn.Parameter(torch.randn(slots, channels))
        self.weights = nn.Parameter(START * torch.randn(slots, width))
        self.cube = nn.Parameter(START * torch.randn(slots, channels, channels))
        # The matrix has a step size of its own, after those of the parameters.
        column = self.log_step_size.detach()[:, :1]
        self.log_step_size = nn.Parameter(torch.cat([self.log_step_size.detach(), column], 1))

    @property
    def is_adaptive(self) -> bool:
        """True: with no step at all the memories still tell users apart."""
        return True

    @property
    def min_support(self) -> int:
        """One edge is enough."""
        return 1

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: memories, wide as the encoder, move like it."""
        memories = [self.profiles, self.weights, self.cube]
        return [
            {"params": [*self.encoder.parameters(), *memories], "lr": lr},
            {"params": [self.log_step_size], "lr": 10 * lr},
        ]

    def attention(self, profile: Tensor) -> Tensor:
        """Return how much each slot is read.

        Shapes:
            profile: float32, `[n_episodes, channels]`.
            output: float32, `[n_episodes, slots]`; rows sum to 1.

        Raises:
            EncoderError: The encoder's embeddings are not `channels` wide.
        """
        if profile.size(1) != self.profiles.size(1):
            raise EncoderError(
                f"{type(self.encoder).__name__} embeds a user in {profile.size(1)} numbers, not in "
                f"channels={self.profiles.size(1)}; give the width of its output"
            )
        cosine = fn.normalize(profile, dim=1) @ fn.normalize(self.profiles, dim=1).T
        return cosine.softmax(1)

    def initial_weights(self, episodes: EpisodeBatch, head: CatalogueHead) -> FastWeights:
        """Return where each user's inner steps start: the shared weights and what is remembered.

        Shapes:
            output: `[n_episodes, *parameter_shape]` for each adapted parameter, and the matrix
                `[n_episodes, channels, channels]`.
        """
        shared = self.shared_weights(len(episodes))
        read = self.attention(self.encode(episodes, shared, head.x_dict(episodes)))
        read = read * (episodes.support.size > 0).unsqueeze(1)
        sizes = [shape.numel() for shape in self._shapes.values()]
        parts = (self.tau * read @ self.weights).split(sizes, dim=1)
        start = {
            name: shared[name] - part.view(-1, *shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }
        return {**start, MATRIX: torch.einsum("ns,sij->nij", read, self.cube)}

    def encode(
        self, episodes: EpisodeBatch, fast: FastWeights, x_dict: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the users' embeddings, transformed where there is a matrix.

        Shapes:
            x_dict: float32, `[n_episodes, n_nodes_of_type, c]`.
            output: float32, `[n_episodes, channels]`.

        Raises:
            EncoderError: As in `Learner`.
        """
        of_encoder = {name: weight for name, weight in fast.items() if name != MATRIX}
        z = super().encode(episodes, of_encoder, x_dict)
        if MATRIX not in fast:
            return z
        return z + (fast[MATRIX] @ z.unsqueeze(2)).squeeze(2)

    def _adapted(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        generator: torch.Generator | None,
        *,
        first_row: int,
    ) -> FastWeights:
        start = self.initial_weights(episodes, head)
        if self.inner_steps == 0 or episodes.support.item_index.size(1) < super().min_support:
            return start
        return self._inner_loop(start, self._inner_objective(episodes, head, generator), first_row)

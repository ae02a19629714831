"""Meta-SGD: a learnt step size, of either sign, for every number that adapts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphmeta.meta.maml import MAML


class MetaSGD(MAML):
    """MAML whose steps have a direction and size of their own for each adapted number.

    Li et al., "Meta-SGD: learning to learn quickly for few-shot learning", 2017:
    `theta_u <- theta_u - alpha * grad L_u(theta_u)` elementwise, with `alpha` of the shape of
    `theta`, learnt together with it.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        inner_lr: What every entry of `alpha` starts from.
        options: The other options of `MAML`.

    Raises:
        ConfigError: As `MAML`.
    """

    def __init__(self, encoder: nn.Module, *, inner_lr: float = 0.1, **options: Any) -> None:
        super().__init__(encoder, inner_lr=inner_lr, **options)
        del self.log_step_size
        shapes = {name: parameter.shape for name, parameter in encoder.named_parameters()}
        self.alpha = nn.ParameterList(
            nn.Parameter(torch.full((self.inner_steps, *shapes[name]), inner_lr))
            for name in self.adapted_names
        )

    def step_sizes(self, step: int) -> list[Tensor]:
        """Return the step sizes of one step, of each adapted parameter's shape."""
        return [alpha[step] for alpha in self.alpha]

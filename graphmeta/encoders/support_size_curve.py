"""Scalars that depend on how many interactions a user has shown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# Optima move with log k; beyond the last knot a curve stays flat.
KNOTS = (1, 3, 5, 10, 30, 100, 300)


class SupportSizeCurve(nn.Module):
    """Learnt numbers as functions of the support size, piecewise linear in its logarithm.

    Neighbouring sizes share their knots, so that every training batch, whatever its k, moves
    the curve for the sizes near it.

    Args:
        start: Initial value of each named curve, the same at every size.
        k_max: Largest support that training draws. There are knots up to it, at least up to 10.

    Attributes:
        sizes: The support sizes at the knots.
    """

    def __init__(self, start: Mapping[str, float], *, k_max: int = 10) -> None:
        super().__init__()
        self.sizes = tuple(k for k in KNOTS if k <= max(10, k_max))
        n = len(self.sizes)
        self.values = nn.ParameterDict(
            {name: nn.Parameter(torch.full((n,), float(v))) for name, v in start.items()}
        )
        self.register_buffer("knots", torch.tensor(self.sizes).float().log(), persistent=False)

    knots: Tensor

    def hold(self, name: str, value: float) -> None:
        """Fix a curve at a value, which training then leaves."""
        self.values[name].data.fill_(value)
        self.values[name].requires_grad_(False)

    def forward(self, size: Int[Tensor, " n"]) -> dict[str, Float[Tensor, "n 1"]]:
        """Return each curve at the given support sizes."""
        at = size.clamp(min=1).to(self.knots.dtype).log().clamp(max=self.knots[-1])
        right = (self.knots < at.unsqueeze(1)).sum(1).clamp(1, len(self.sizes) - 1)
        left = right - 1
        share = (at - self.knots[left]) / (self.knots[right] - self.knots[left])
        values = torch.stack([*self.values.values()])
        found = values[:, left] * (1 - share) + values[:, right] * share
        return dict(zip(self.values, found.unsqueeze(2).unbind(), strict=True))

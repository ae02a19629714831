"""Scalars that depend on how many interactions a user has shown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# Few-shot optima move with log k; beyond the last knot a curve stays flat.
KNOTS = (1, 3, 5, 10)


class SupportSizeCurve(nn.Module):
    """Learnt numbers as functions of the support size, piecewise linear in its logarithm.

    Neighbouring sizes share their knots, so that every training batch, whatever its k, moves
    the curve for the sizes near it.

    Args:
        start: Initial value of each named curve, the same at every size.
    """

    def __init__(self, start: Mapping[str, float]) -> None:
        super().__init__()
        self.values = nn.ParameterDict(
            {name: nn.Parameter(torch.full((len(KNOTS),), float(v))) for name, v in start.items()}
        )
        self.register_buffer("knots", torch.tensor(KNOTS).float().log(), persistent=False)

    knots: Tensor

    def hold(self, name: str, value: float) -> None:
        """Fix a curve at a value, which training then leaves."""
        self.values[name].data.fill_(value)
        self.values[name].requires_grad_(False)

    def forward(self, size: Int[Tensor, " n"]) -> dict[str, Float[Tensor, "n 1"]]:
        """Return each curve at the given support sizes."""
        at = size.clamp(min=1).to(self.knots.dtype).log().clamp(max=self.knots[-1])
        right = (self.knots < at.unsqueeze(1)).sum(1).clamp(1, len(KNOTS) - 1)
        left = right - 1
        share = (at - self.knots[left]) / (self.knots[right] - self.knots[left])
        values = torch.stack([*self.values.values()])
        found = values[:, left] * (1 - share) + values[:, right] * share
        return dict(zip(self.values, found.unsqueeze(2).unbind(), strict=True))

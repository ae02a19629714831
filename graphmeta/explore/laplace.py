"""A Gaussian posterior over a user's own correction of the scores, from yes and no."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

# Newton steps; from the second on they at least double the digits that are right.
MOST_STEPS = 25
TOLERANCE = 1e-5


def laplace(offset: Tensor, features: Tensor, label: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mode of each user's vector w, and what the answers took from its covariance.

    With `w ~ N(0, I)` and answers `P(y_j = 1) = sigmoid(offset_j + x_j . w)` the posterior is
    approximated by a Gaussian at its mode, whose covariance is the inverse of the Hessian there
    (Chapelle and Li, "An empirical evaluation of Thompson sampling", NIPS 2011). Newton's steps
    are taken in the space of the m answers (Rasmussen and Williams, "Gaussian processes for machine
    learning", 2006, algorithm 3.1), so that a user costs systems of the number of answers,
    whatever the width c; a step that would lower the posterior is halved.

    Shapes:
        offset: float32, `[n, m]`.
        features: float32, `[n, m, c]`.
        label: bool, `[n, m]`.
        mask: bool, `[n, m]`; False is padding.
        output: float32, `[n, c]` the mode, and `[n, m, c]` a root R by which the covariance is
            `I - R^T R`.
    """
    seen, said = mask.to(offset.dtype), label.to(offset.dtype)
    features = features * seen.unsqueeze(2)
    kernel = features @ features.transpose(1, 2)
    identity = torch.eye(offset.size(1), dtype=offset.dtype, device=offset.device)

    def posterior(dual: Tensor) -> Tensor:
        """Return the logarithm, up to a constant, where w = X^T dual."""
        shift = _times(kernel, dual)
        likelihood = (logsigmoid((2 * said - 1) * (offset + shift)) * seen).sum(1)
        return likelihood - (dual * shift).sum(1) / 2

    def root_of(dual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        chance = (offset + _times(kernel, dual)).sigmoid()
        weight = (chance * (1 - chance) * seen).sqrt()
        inner = identity + weight.unsqueeze(2) * kernel * weight.unsqueeze(1)
        return torch.linalg.cholesky(inner), weight, (said - chance) * seen

    dual, value = torch.zeros_like(offset), posterior(torch.zeros_like(offset))
    for _ in range(MOST_STEPS):
        factor, weight, gradient = root_of(dual)
        right = weight.square() * _times(kernel, dual) + gradient
        inner = (weight * _times(kernel, right)).unsqueeze(2)
        newton = right - weight * torch.cholesky_solve(inner, factor).squeeze(2)
        taken = newton
        found = posterior(taken)
        for _ in range(MOST_STEPS):
            is_lower = found < value - TOLERANCE
            if not bool(is_lower.any()):
                break
            taken = torch.where(is_lower.unsqueeze(1), (taken + dual) / 2, taken)
            found = posterior(taken)
        moved = (taken - dual).abs().max() if dual.numel() else dual.new_zeros(())
        dual, value = taken, found
        if float(moved) < TOLERANCE:
            break
    factor, weight, _ = root_of(dual)
    root = torch.linalg.solve_triangular(factor, weight.unsqueeze(2) * features, upper=False)
    return (dual.unsqueeze(1) @ features).squeeze(1), root


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(2)).squeeze(2)

"""iMAML: the outer gradient at the optimum of a proximal inner problem, whatever led there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.learner import FastWeights
from graphmeta.meta.maml import MAML
from graphmeta.tasks.episode import EpisodeBatch


class ImplicitMAML(MAML):
    """MAML that stays near the shared weights and whose outer gradient ignores the inner path.

    Rajeswaran, Finn, Kakade and Levine, "Meta-learning with implicit gradients", NeurIPS 2019.
    User u gets, by `inner_steps` gradient steps from the shared weights theta,

        phi_u ~ argmin over phi of L_u(phi) + lambda / 2 |phi - theta|^2

    and an outer gradient g at phi_u reaches theta as `(I + H_u / lambda)^-1 g`, with H_u the
    Hessian of `L_u` at phi_u: the derivative of the optimum by the implicit function theorem.
    Conjugate gradients solve every user's system with Hessian-vector products, which share one
    graph of the inner gradient at phi_u; so memory does not grow with `inner_steps`, and the
    gradient is as exact as the inner problem is solved.

    Conjugate gradients start at g, the first-order gradient, and need a positive curvature
    `p . (I + H_u / lambda) p`. (An encoder's loss is not convex.) A user whose curvature is not
    positive stops there and keeps what was reached. So does, at g, a user below `min_support`,
    whose Hessian is zero.

    The paper's theta is all there is. Here the optimum depends on the head and on the encoder's
    other weights too, and they learn as in first-order MAML, with phi_u taken as a constant.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        proximal: lambda. The larger, the closer to the shared weights and the fewer the steps
            needed, but `inner_lr` times it must stay below 2, or the steps diverge.
        cg_steps: Steps of conjugate gradients; 0 is the first-order gradient.
        inner_steps: Gradient steps per user.
        inner_lr: Step size of all steps; not learnt, as an optimum does not depend on it.
        options: The other options of `MAML`, less `first_order`.

    Raises:
        ConfigError: As `MAML`, `first_order` is given, or `proximal` or `cg_steps` is out of its
            range.
    """

    step_size: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        proximal: float = 2.0,
        cg_steps: int = 5,
        inner_steps: int = 5,
        inner_lr: float = 0.1,
        **options: Any,
    ) -> None:
        if "first_order" in options:
            raise ConfigError("ImplicitMAML differentiates no inner step; leave first_order out")
        super().__init__(
            encoder, inner_steps=inner_steps, inner_lr=inner_lr, first_order=True, **options
        )
        if not 0 < inner_lr * proximal < 2:
            raise ConfigError(
                f"proximal={proximal} must be above 0 and, times inner_lr={inner_lr}, below 2; "
                "lower one of them"
            )
        if cg_steps < 0:
            raise ConfigError(f"cg_steps={cg_steps} must be 0 or more")
        self.proximal = proximal
        self.cg_steps = cg_steps
        del self.log_step_size
        self.register_buffer("step_size", torch.tensor(inner_lr))

    def step_sizes(self, step: int) -> Sequence[Tensor]:
        """Return the step sizes of one step: the same number for each adapted parameter."""
        return self.step_size.expand(len(self.adapted_names)).unbind()

    def _adapted(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        generator: torch.Generator | None,
        *,
        first_row: int,
    ) -> FastWeights:
        theta = self.shared_weights(len(episodes))
        inner_loss = self._inner_objective(episodes, head, generator)
        with torch.no_grad():
            found = self._inner_loop(theta, inner_loss, first_row)
        phi = {name: weight.detach() for name, weight in found.items()}
        if not torch.is_grad_enabled() or not any(w.requires_grad for w in theta.values()):
            return phi
        multiply = self._system(inner_loss, phi)
        tensors = (list(phi.values()), *theta.values())
        solved = _Optimum.apply(multiply, self.cg_steps, *tensors)  # type: ignore[no-untyped-call]
        return dict(zip(phi, solved, strict=True))

    def _slopes(
        self, fast: FastWeights, gradients: Sequence[Tensor | None]
    ) -> Sequence[Tensor | None]:
        """Return the gradients with the pull towards the shared weights."""
        shared = self.shared_weights(len(next(iter(fast.values()))))
        return [
            None if gradient is None else gradient + self.proximal * (w - shared[name]).detach()
            for (name, w), gradient in zip(fast.items(), gradients, strict=True)
        ]

    def _system(
        self, inner_loss: Callable[[FastWeights], Tensor], phi: FastWeights
    ) -> Callable[[Tensor], Tensor]:
        """Return the product of each user's `I + H_u / lambda` with a vector; `[n, numbers]`."""
        at = {name: weight.clone().requires_grad_() for name, weight in phi.items()}
        weights = list(at.values())
        gradients = torch.autograd.grad(
            inner_loss(at).sum(), weights, create_graph=True, allow_unused=True
        )
        reached = [i for i, g in enumerate(gradients) if g is not None and g.requires_grad]

        def multiply(vector: Tensor) -> Tensor:
            parts = _split(vector, weights)
            curved = torch.autograd.grad(
                [gradients[i] for i in reached],
                weights,
                [parts[i] for i in reached],
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            return vector + _flat(curved) / self.proximal

        return multiply


class _Optimum(torch.autograd.Function):
    """The optimum going forward; the solution of each user's system going backward."""

    @staticmethod
    def forward(
        ctx: Any,
        multiply: Callable[[Tensor], Tensor],
        steps: int,
        phi: Sequence[Tensor],
        *theta: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.multiply, ctx.steps = multiply, steps
        return tuple(weight.detach() for weight in phi)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        solution = conjugate_gradients(ctx.multiply, _flat(gradients), steps=ctx.steps)
        return None, None, None, *_split(solution, gradients)


def conjugate_gradients(
    multiply: Callable[[Tensor], Tensor], right: Tensor, *, steps: int
) -> Tensor:
    """Return, row by row, an `x` with `multiply(x)` near `right`, starting from `right`.

    Hestenes and Stiefel, 1952. A row stops at a curvature that is not above 0, as a residual of
    zero and one that is not finite have.

    Args:
        multiply: The product of each row's own symmetric matrix with that row.
        right: The right-hand sides.
        steps: Products with the matrices, after a first one for the residual.

    Shapes:
        right: `[n_users, n]`.
        output: `[n_users, n]`.
    """
    x = right
    residual = right - multiply(x)
    direction = residual
    size = residual.square().sum(1, keepdim=True)
    goes_on = torch.ones_like(size, dtype=torch.bool)
    for _ in range(steps):
        product = multiply(direction)
        curvature = (direction * product).sum(1, keepdim=True)
        goes_on = goes_on & (curvature > 0)
        step = size / curvature
        x = torch.where(goes_on, x + step * direction, x)
        residual = residual - step * product
        smaller = residual.square().sum(1, keepdim=True)
        direction = residual + smaller / size * direction
        size = smaller
    return x


def _flat(weights: Sequence[Tensor]) -> Tensor:
    """Return all numbers of each user side by side; `[n, numbers]`."""
    return torch.cat([weight.reshape(len(weight), -1) for weight in weights], dim=1)


def _split(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return what `_flat` joined."""
    parts = flat.split([weight[0].numel() for weight in like], dim=1)
    return [part.reshape(weight.shape) for part, weight in zip(parts, like, strict=True)]

"""Model-agnostic meta-learning of any PyG encoder, batched over users."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, EncoderError, NonFiniteError
from graphmeta.meta.learner import FastWeights, Learner
from graphmeta.tasks.episode import EpisodeBatch, LeaveOneOut

InnerLoss = Literal["leave_one_out", "support"]
OnNonFinite = Literal["raise", "keep"]
# Views that adapt at once where no gradient is kept; more cost memory and gain no speed.
VIEWS_AT_ONCE = 128


class MAML(Learner):
    """Adapts an encoder's weights to each user by gradient steps on the user's few edges.

    Finn, Abbeel and Levine, ICML 2017. For user u the fast weights are
    `theta_u <- theta_u - alpha * grad L_u(theta_u)`, `inner_steps` times from the shared
    weights. `L_u` is the leave-one-out loss: the softmax cross-entropy, over the whole
    catalogue, of each support item predicted from the user's *other* support items, mean
    over edges, with `CatalogueHead.inner_log_share`. (The encoder has seen its support: the
    plain support loss is near zero and adapting on it teaches little.) The step sizes
    `alpha`, one per adapted parameter and step, are learnt. A user with fewer than two edges
    keeps the shared weights, as every user does with `inner_steps=0`.

    With `inner_loss="support"` each item is predicted from all of the support, itself too:
    plain fine-tuning, the step of transfer learning, which one edge is enough for.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        adapt: Patterns (as in `fnmatch`) of the parameter names to adapt.
        inner_steps: Gradient steps per user.
        inner_lr: Step size that training starts from.
        inner_loss: What a step descends, see above.
        first_order: Treat the inner gradients as constants in the outer gradient.
        max_views: Support edges left out per user and step while training; None for all. Fewer
            are cheaper and noisier; a new user's edges are always all used.
        on_non_finite: What to do about a user whose inner loss or gradient is NaN or infinite:
            raise, or warn and let that user keep the weights reached before.
        is_batched: Run all users at once with `vmap`; otherwise one after the other, for
            encoders whose operations `vmap` cannot batch.

    Raises:
        ConfigError: A pattern matches no parameter, or an option is out of its range.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        adapt: Sequence[str] = ("*",),
        inner_steps: int = 2,
        inner_lr: float = 0.1,
        inner_loss: InnerLoss = "leave_one_out",
        first_order: bool = True,
        max_views: int | None = 3,
        on_non_finite: OnNonFinite = "raise",
        is_batched: bool = True,
    ) -> None:
        super().__init__(encoder, adapt=adapt, is_batched=is_batched)
        if not self.adapted_names:
            raise ConfigError("adapt is empty; name the parameters that adapt, '*' for all")
        if inner_steps < 0:
            raise ConfigError(f"inner_steps={inner_steps} must be 0 or more")
        if max_views is not None and max_views < 1:
            raise ConfigError(f"max_views={max_views} must be at least 1, or None for all")
        if not inner_lr > 0:
            raise ConfigError(f"inner_lr={inner_lr} must be above 0")
        if inner_loss not in get_args(InnerLoss):
            raise ConfigError(f"inner_loss={inner_loss!r} must be one of {get_args(InnerLoss)}")
        if on_non_finite not in get_args(OnNonFinite):
            raise ConfigError(
                f"on_non_finite={on_non_finite!r} must be one of {get_args(OnNonFinite)}"
            )
        self.inner_steps = inner_steps
        self.inner_loss = inner_loss
        self.first_order = first_order
        self.max_views = max_views
        self.on_non_finite = on_non_finite
        start = torch.full((inner_steps, len(self.adapted_names)), inner_lr)
        self.log_step_size = nn.Parameter(start.log())

    @property
    def is_adaptive(self) -> bool:
        """False where no inner step is taken."""
        return self.inner_steps > 0

    @property
    def min_support(self) -> int:
        """Two edges where one is left out, else one."""
        return 2 if self.inner_loss == "leave_one_out" else 1

    def adapt(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        *,
        generator: torch.Generator | None = None,
    ) -> FastWeights:
        """Return each user's own weights, from the shared ones and the user's support.

        Args:
            episodes: The users' subgraphs.
            head: Embeds the nodes and scores the catalogue.
            generator: Draws the edges to leave out where `max_views` binds.

        Raises:
            EncoderError: No adapted parameter has a part in the users' embeddings.
            NonFiniteError: An inner loss or gradient is NaN or infinite, and `on_non_finite` is
                "raise"; the message names the row in the batch, the step and the parameter.
        """
        k = episodes.support.item_index.size(1)
        if not self.is_adaptive or k < self.min_support:
            return self.shared_weights(len(episodes))
        if torch.is_grad_enabled():
            return self._adapted(episodes, head, generator, first_row=0)
        # Nothing ties users together once no outer gradient is wanted: memory stays flat.
        views_per_user = k if self.inner_loss == "leave_one_out" else 1
        size = max(1, VIEWS_AT_ONCE // views_per_user)
        blocks = [
            self._adapted(episodes[start : start + size], head, generator, first_row=start)
            for start in range(0, len(episodes), size)
        ]
        return {n: torch.cat([block[n].detach() for block in blocks]) for n in blocks[0]}

    def _adapted(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        generator: torch.Generator | None,
        *,
        first_row: int,
    ) -> FastWeights:
        inner_loss = self._inner_objective(episodes, head, generator)
        return self._inner_loop(self.shared_weights(len(episodes)), inner_loss, first_row)

    def _inner_objective(
        self, episodes: EpisodeBatch, head: CatalogueHead, generator: torch.Generator | None
    ) -> Callable[[FastWeights], Tensor]:
        """Return each user's inner loss, `[n_episodes]`, as a function of the fast weights."""
        if self.inner_loss == "support":
            return lambda fast: self._support_loss(episodes, fast, head)
        max_views = self.max_views if self.training else None
        held_out = episodes.leave_one_out(max_views=max_views, generator=generator)
        return lambda fast: self._leave_one_out_loss(held_out, fast, head)

    def _inner_loop(
        self, fast: FastWeights, inner_loss: Callable[[FastWeights], Tensor], first_row: int
    ) -> FastWeights:
        second_order = self.training and not self.first_order
        keeps_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            # A view of a parameter made without gradients is no node of the inner graph.
            fast = {
                n: w if keeps_graph and w.requires_grad else w.detach().clone().requires_grad_()
                for n, w in fast.items()
            }
            for step in range(self.inner_steps):
                loss = inner_loss(fast)
                gradients = torch.autograd.grad(
                    loss.sum(), list(fast.values()), create_graph=second_order, allow_unused=True
                )
                slopes = self._slopes(fast, gradients)
                finite = self._checked([*fast], loss, slopes, step, first_row)
                fast = self._descend(fast, finite, step)
        return fast

    def _support_loss(
        self, episodes: EpisodeBatch, fast: FastWeights, head: CatalogueHead
    ) -> Tensor:
        """Return each user's loss on the items that the encoder sees; `[n_episodes]`."""
        z = self._for_head(self.encode(episodes, fast, head.x_dict(episodes)), head)
        support = episodes.support
        each = head.inner_log_share(z, episodes, support.item_index.clamp(min=0))
        if support.weight is not None:
            return -(each * support.weight).sum(1) / support.weight.sum(1).clamp(min=1e-9)
        return -(each * support.mask).sum(1) / support.size.clamp(min=1)

    def _leave_one_out_loss(
        self, held_out: LeaveOneOut, fast: FastWeights, head: CatalogueHead
    ) -> Tensor:
        """Return each user's loss on items hidden from the encoder in turn; `[n_episodes]`."""
        n = len(next(iter(fast.values())))
        v = len(held_out.views) // n
        repeated = {name: w.repeat_interleave(v, 0) for name, w in fast.items()}
        z = self.encode(held_out.views, repeated, head.x_dict(held_out.views))
        z = self._for_head(z, head)
        log_share = head.inner_log_share(z, held_out.views, held_out.target.unsqueeze(1))
        return (-log_share.squeeze(1) * held_out.weight).view(n, v).sum(1)

    def step_sizes(self, step: int) -> Sequence[Tensor]:
        """Return the step sizes of one step: a number for each adapted parameter."""
        return self.log_step_size[step].exp().unbind()

    def _slopes(
        self, fast: FastWeights, gradients: Sequence[Tensor | None]
    ) -> Sequence[Tensor | None]:
        """Return the gradients of all that a step descends, given those of the inner loss."""
        return gradients

    def _descend(
        self, fast: FastWeights, gradients: Sequence[Tensor | None], step: int
    ) -> FastWeights:
        return {
            name: weight if gradient is None else weight - size * gradient
            for (name, weight), gradient, size in zip(
                fast.items(), gradients, self.step_sizes(step), strict=True
            )
        }

    def _checked(
        self,
        names: Sequence[str],
        loss: Tensor,
        gradients: Sequence[Tensor | None],
        step: int,
        first_row: int,
    ) -> Sequence[Tensor | None]:
        """Return the gradients, zero for users with something that is not finite."""
        if all(gradient is None for gradient in gradients):
            raise EncoderError(
                f"none of the adapted parameters {self.adapted_names[:3]} reaches the "
                "user's embedding; name others in adapt"
            )
        each = {"the inner loss": loss.detach().isfinite()}
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None:  # A scalar has no more axes.
                rows = gradient.detach().reshape(len(loss), -1).isfinite().all(1)
                each[f"the inner gradient of {name}"] = rows
        finite = torch.stack([*each.values()]).all(0)
        if bool(finite.all()):
            return gradients
        row = int((~finite).nonzero()[0])
        culprit = next(name for name, rows in each.items() if not rows[row])
        found = f"{culprit} is not finite for row {first_row + row} of the batch at step {step}"
        if self.on_non_finite == "raise":
            raise NonFiniteError(
                f"{found}; lower inner_lr or check the features of that user's items, or pass "
                "on_non_finite='keep' to go on without that user's step"
            )
        warnings.warn(
            f"{found}, one of {int((~finite).sum())} users who keep the weights reached before",
            RuntimeWarning,
            stacklevel=2,
        )
        return [None if g is None else g.where(_like(finite, g), 0) for g in gradients]


def _like(rows: Tensor, weights: Tensor) -> Tensor:
    """Return one truth per user, shaped to meet that user's weights."""
    return rows.view(-1, *[1] * (weights.dim() - 1))

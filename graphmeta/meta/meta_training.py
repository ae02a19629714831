"""Meta-training: episodes from training users, an outer step per batch of them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta.data_parallel import DataParallelGroup, refuse_wrapped
from graphmeta.meta.estimate_memory import MemoryEstimate, estimate_of
from graphmeta.meta.learner import Learner
from graphmeta.meta.outer_gradient import OuterGradient
from graphmeta.meta.outer_loss import OuterLoss, not_finite, told
from graphmeta.meta.precision import Precision
from graphmeta.meta.weight_average import WeightAverage
from graphmeta.tasks.episode_loader import EpisodeLoader

OnNonFinite = Literal["raise", "skip"]
MAX_NORM = 5.0


class MetaTrainer:
    """Trains a learner and its head on episodes of the training users.

    An epoch visits every training user with at least two items once, and again in another order
    where that makes fewer than `min_steps` outer steps. The loader draws their episodes: a support
    size per batch, supports and queries, subgraphs without the user's own row. The learner's
    `outer_loss` is that of adapted users in a share of the batches and of unadapted ones in
    the others: both stay good, and the inner loop is paid for only where it teaches. Between
    epochs the modules hold the mean of the weights over the latest steps (`WeightAverage`).

    A batch runs in `n_shards` parts, each with draws of its own, and the outer gradient is the
    mean of theirs weighted by query items, as in `query_loss`. In one process they run in turn,
    with the memory of one; under `torchrun` the processes share them out and sum the gradients
    once per step (`GradientSum`). The number of processes does not change the result, that of
    the shards changes the draws.

    Args:
        learner: Changed in place; on the device of the head.
        head: Changed in place.
        loader: Draws the episodes. The trainer's `seed` sets them; that of the loader is for those
            who iterate it.
        lr: Step size of the encoder; items' embeddings take three tenths of it, curves and inner
            step sizes ten times.
        adapted_share: Share of the batches that train through adaptation.
        num_sampled: Items drawn for every outer step, by popularity, to stand for the catalogue in
            the softmax; 0 for the catalogue, None for it up to 50,000 items and 4,096 draws above.
        precision: What losses are computed in: "bfloat16" for mixed precision (`computing_in`).
        min_steps: Least outer steps of an epoch. An epoch of a small set is a few steps, after
            which there is little to see and little to choose the best epoch by.
        max_steps: Most outer steps of an epoch; None for as many as its users make.
        users: Rows of the only users to visit, of whom some must have two items; None for all.
        n_shards: Parts of a batch; None for one per process.
        on_non_finite: Whether an outer step whose loss or gradient is NaN or infinite ends the
            training, or is left out on all processes with one warning per epoch.
        seed: Draws batches, supports, neighbours and left-out edges.

    Raises:
        ConfigError: A number is out of its range, a module is wrapped (`refuse_wrapped`), or
            processes differ in settings, model or graph.
        DataError: None of the `users` has two items.
        DistributedError: A process is gone.
    """

    def __init__(
        self,
        learner: Learner,
        head: CatalogueHead,
        loader: EpisodeLoader,
        *,
        lr: float = 3e-3,
        adapted_share: float = 0.5,
        num_sampled: int | None = None,
        precision: Precision = "float32",
        min_steps: int = 1,
        max_steps: int | None = None,
        users: Tensor | None = None,
        n_shards: int | None = None,
        on_non_finite: OnNonFinite = "raise",
        seed: int = 0,
    ) -> None:
        refuse_wrapped(learner, head)
        if min_steps < 1 or not lr > 0 or not 0 <= adapted_share <= 1:
            raise ConfigError(
                f"min_steps={min_steps} must be at least 1, lr={lr} above 0 and "
                f"adapted_share={adapted_share} in 0..1"
            )
        if max_steps is not None and max_steps < min_steps:
            raise ConfigError(
                f"max_steps={max_steps} must be at least min_steps={min_steps}; lower min_steps too"
            )
        if on_non_finite not in get_args(OnNonFinite):
            raise ConfigError(
                f"on_non_finite={on_non_finite!r} must be one of {get_args(OnNonFinite)}"
            )
        self.learner, self.head, self.loader = learner, head, loader
        self.adapted_share = adapted_share
        self.num_sampled, self.precision = num_sampled, precision
        self.min_steps, self.max_steps = min_steps, max_steps
        self.on_non_finite = on_non_finite
        self.losses: list[float] = []
        self.group = DataParallelGroup(head.bias.device)
        self.n_shards = _checked_shards(n_shards, self.group)
        self._outer_loss = OuterLoss(
            learner,
            head,
            loader,
            adapted_share=adapted_share,
            num_sampled=num_sampled,
            precision=precision,
        )
        self._users = _visited(loader.users, users)
        self._generator = torch.Generator().manual_seed(seed)
        self._modules = nn.ModuleDict({"learner": learner, "head": head})
        self._gradient = OuterGradient(
            self._outer_loss,
            self._modules,
            self.group,
            n_shards=self.n_shards,
            names_culprits=on_non_finite == "raise",
        )
        if self.group.size > 1:
            self.group.refuse_other_settings({"lr": lr, "seed": seed, **self._settings()})
            self.group.copy_from_first(self.weights().values())
        self._optimizer = torch.optim.AdamW(
            [*head.parameter_groups(lr), *learner.parameter_groups(lr)],
            weight_decay=0.0,
            # One pass over the item embeddings in place of a dozen, where PyTorch has it.
            fused=head.bias.device.type in ("cpu", "cuda"),
        )
        self._average = WeightAverage(dict(self._modules.named_parameters()))

    def _settings(self) -> dict[str, object]:
        """Return what all processes must agree on."""
        parameters = self._modules.named_parameters()
        shapes = str([(name, p.shape, p.requires_grad) for name, p in parameters]).encode()
        names = (
            "adapted_share",
            "num_sampled",
            "precision",
            "min_steps",
            "max_steps",
            "n_shards",
            "on_non_finite",
        )
        return {
            **self.loader.settings(),
            **{name: getattr(self, name) for name in names},
            "learner": type(self.learner).__name__,
            **_told_by(self.learner),
            "a model with the hash": hashlib.sha256(shapes).hexdigest()[:8],
        }

    def estimate_memory(self) -> MemoryEstimate:
        """Return what an outer step will hold (`graphmeta.meta.estimate_memory`)."""
        return estimate_of(self._outer_loss, n_shards=self.n_shards)

    def run_epoch(self) -> float:
        """Train for an epoch; return the mean outer loss, which `losses` keeps.

        Raises:
            NonFiniteError: An outer loss or gradient is NaN or infinite; the message names the
                epoch, the step, the users and, where a weight or its gradient is to blame, the
                weight. With `on_non_finite="skip"` only if that is so in every step.
            DistributedError: A process is gone, or processes hold different weights.
        """
        self._modules.train()
        self._average.put_back()
        epoch, total, n_users, left_out = len(self.losses) + 1, 0.0, 0, []
        batches = self._user_batches()
        for step, batch in enumerate(batches, start=1):
            try:
                total += self._descend(batch) * len(batch)
                n_users += len(batch)
            except NonFiniteError as error:
                left_out.append(f"epoch {epoch}, step {step}: {error}")
                if self.on_non_finite == "raise":
                    advice = "; on_non_finite='skip' leaves such steps out"
                    raise NonFiniteError(left_out[0] + advice) from error
        if len(left_out) == len(batches):
            raise NonFiniteError(f"no outer step was finite; {left_out[0]}")
        self._modules.eval()
        self._average.use()
        parameters = dict(self._modules.named_parameters())
        self.group.refuse_other_weights(parameters)
        # Running statistics are of one process's users; the checkpoint has those of the first.
        self.group.copy_from_first(w for n, w in self.weights().items() if n not in parameters)
        if left_out and self.group.rank == 0:
            count = f"{len(left_out)} of {len(batches)} outer steps of epoch {epoch}"
            warnings.warn(f"{count} were left out ({left_out[0]})", RuntimeWarning, stacklevel=2)
        self.losses.append(total / n_users)
        return self.losses[-1]

    def _user_batches(self) -> list[Tensor]:
        """Return the users of each outer step of an epoch."""
        batches: list[Tensor] = []
        while len(batches) < self.min_steps:
            order = self._users[torch.randperm(len(self._users), generator=self._generator)]
            batches += order.split(self.loader.batch_size)
        return batches[: self.max_steps]

    def _descend(self, users: Tensor) -> float:
        """Take one outer step; return its loss."""
        self._optimizer.zero_grad()
        loss = self._gradient.backward(users, self._generator)
        named = dict(self._modules.named_parameters())
        gradients = {n: p.grad for n, p in named.items() if p.grad is not None}
        norm = nn.utils.get_total_norm(gradients.values())
        if not bool(norm.isfinite()):
            culprits = not_finite(gradients) or list(gradients)  # Or their squares overflow.
            raise NonFiniteError(
                f"the outer gradient of {culprits[:3]} is not finite for {told(users)}; lower lr"
            )
        nn.utils.clip_grads_with_norm_(named.values(), MAX_NORM, norm)
        self._optimizer.step()
        self._average.note_step()
        return loss

    def weights(self) -> dict[str, Tensor]:
        """Return the trained parameters of learner and head by name; not copies."""
        return dict(self._modules.state_dict())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Give learner and head the parameters that `weights` returned.

        Raises:
            DataError: They belong to another model.
        """
        try:
            self._modules.load_state_dict(weights)
        except RuntimeError as error:
            raise DataError(
                "the training state belongs to a model of another shape; remove it, or train "
                f"with the settings that wrote it ({str(error).splitlines()[-1].strip()})"
            ) from error

    def state(self) -> dict[str, Tensor]:
        """Return all that training needs to go on to the same result, as named tensors."""
        out = {f"modules.{name}": value for name, value in self.weights().items()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            out |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        out |= {f"average.{name}": value for name, value in self._average.state().items()}
        out["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        out["generator"] = self._generator.get_state()
        out["n_shards"] = torch.tensor(self.n_shards)
        return out

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` returned.

        Raises:
            DataError: The state belongs to another model, or to another number of shards.
        """
        n_shards = int(state.get("n_shards", torch.tensor(1)))
        if n_shards != self.n_shards:
            raise DataError(
                f"the training state was written with n_shards={n_shards}, this training has "
                f"{self.n_shards}; pass the former to go on to the same result, or remove the state"
            )
        self.load_weights(_below("modules.", state))
        self._average.restore(_below("average.", state))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith("optimizer."):
                _, index, kind = name.split(".")
                moments.setdefault(int(index), {})[kind] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.losses = state["losses"].tolist()
        self._generator.set_state(state["generator"])


def _told_by(learner: Learner) -> dict[str, object]:
    """Return the learner's settings: its plain public attributes, and the names that adapt."""
    plain = {
        f"learner.{name}": value
        for name, value in vars(learner).items()
        if isinstance(value, bool | int | float | str | None)
        and not name.startswith("_")
        and name != "training"
    }
    return {**plain, "learner.adapted_names": learner.adapted_names}


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def _visited(users: Tensor, only: Tensor | None) -> Tensor:
    """Return the users that training visits."""
    if only is None:
        return users
    found = users[torch.isin(users, only)]
    if not len(found):
        raise DataError(
            f"none of the {len(only)} users to visit has two items that others have too; name more"
        )
    return found


def _checked_shards(n_shards: int | None, group: DataParallelGroup) -> int:
    if n_shards is None:
        return group.size
    if n_shards < group.size:
        raise ConfigError(
            f"n_shards={n_shards} must be at least {group.size}, the number of processes; raise "
            "it, or start fewer processes"
        )
    return n_shards

"""Meta-training: episodes from training users, an outer step per batch of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta.learner import Learner
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.support_draws import SupportDraws


class MetaTrainer:
    """Trains a learner and its head on episodes of the training users.

    An epoch visits every training user with at least two items once. A batch draws one k,
    log-uniform in 1 to `k_max`, from 0 where users have features. k items of a user (random
    ones, or where edges have times the first ones every other time) become the support and
    all others the query; the user's own row is neither sampled nor counted. The learner's
    `outer_loss` is that of adapted users in a share of the batches and of unadapted ones in
    the others: both stay good, and the inner loop is paid for only where it teaches.

    Args:
        learner: Changed in place; on the device of the head.
        head: Changed in place.
        graph: The training graph.
        sampler: Samples that graph.
        batch_size: Users per outer step.
        lr: Step size of embeddings and encoder; curves and inner step sizes take ten times that.
        k_max: Largest support.
        adapted_share: Share of the batches that train through adaptation.
        seed: Draws batches, supports, neighbours and left-out edges.

    Raises:
        ConfigError: A number is out of its range.
        DataError: No user has two items.
    """

    def __init__(
        self,
        learner: Learner,
        head: CatalogueHead,
        graph: HeteroData,
        *,
        sampler: EpisodeSampler,
        batch_size: int = 128,
        lr: float = 1e-3,
        k_max: int = 10,
        adapted_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        if min(batch_size, k_max) < 1 or not lr > 0 or not 0 <= adapted_share <= 1:
            raise ConfigError(
                f"batch_size={batch_size} and k_max={k_max} must be at least 1, lr={lr} above 0 "
                f"and adapted_share={adapted_share} in 0..1"
            )
        self.learner, self.head, self.sampler = learner, head, sampler
        self.batch_size, self.k_max, self.adapted_share = batch_size, k_max, adapted_share
        self.losses: list[float] = []
        self._device = head.bias.device
        self._k_min = 0 if "x" in graph["user"] else 1
        self._draws = SupportDraws(graph)
        self._generator = torch.Generator().manual_seed(seed)
        self._modules = nn.ModuleDict({"learner": learner, "head": head})
        self._optimizer = torch.optim.AdamW(
            [*head.parameter_groups(lr), *learner.parameter_groups(lr)], weight_decay=0.0
        )

    def run_epoch(self) -> float:
        """Train on every user once; return the mean outer loss, which `losses` keeps.

        Raises:
            NonFiniteError: The outer loss is NaN or infinite; the message names the epoch.
        """
        self._modules.train()
        total, users = 0.0, self._draws.users
        order = users[torch.randperm(len(users), generator=self._generator)]
        for batch in order.split(self.batch_size):
            loss = self._loss(batch)
            if not bool(loss.isfinite()):
                raise NonFiniteError(
                    f"the outer loss is {loss.item()} in epoch {len(self.losses)}; lower lr"
                )
            self._optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._modules.parameters(), 5.0)
            self._optimizer.step()
            total += loss.item() * len(batch)
        self._modules.eval()
        self.losses.append(total / len(users))
        return self.losses[-1]

    def _loss(self, users: Tensor) -> Tensor:
        draw = torch.rand(3, generator=self._generator).tolist()
        k = self._support_size(draw[0])
        in_order = self._draws.is_timed and draw[1] < 0.5
        support, seen = self._draws.draw(users, k, in_order=in_order, generator=self._generator)
        episodes = self.sampler.sample(support, generator=self._generator, own_user=users)
        episodes, seen = episodes.to(self._device), seen.to(self._device)
        return self.learner.outer_loss(
            episodes,
            self.head,
            seen,
            is_adapted=draw[2] < self.adapted_share,
            generator=self._generator,
        )

    def _support_size(self, draw: float) -> int:
        """Return k from a uniform draw: log-uniform from 1, or 0 every tenth time if allowed."""
        if self._k_min == 0 and draw < 0.1:
            return 0
        return min(self.k_max, int(math.exp(draw * math.log(self.k_max + 1))))

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
        out["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        out["generator"] = self._generator.get_state()
        return out

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` returned.

        Raises:
            DataError: The state belongs to another model.
        """
        prefix = "modules."
        self.load_weights(
            {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
        )
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith("optimizer."):
                _, index, kind = name.split(".")
                moments.setdefault(int(index), {})[kind] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.losses = state["losses"].tolist()
        self._generator.set_state(state["generator"])

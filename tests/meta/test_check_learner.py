"""The contract, and that it finds each way of breaking it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError, ProtocolError
from graphmeta.meta import MAML, FastWeights, Learner, RidgeHead, check_learner
from graphmeta.tasks.episode import EpisodeBatch

Build = Callable[[nn.Module], Learner]
LEARNERS: dict[str, Build] = {
    "maml": lambda e: MAML(e, inner_lr=0.5),
    "maml, support loss": lambda e: MAML(e, inner_lr=0.5, inner_loss="support"),
    "maml, one by one": lambda e: MAML(e, inner_lr=0.5, is_batched=False),
    "maml, no step": lambda e: MAML(e, inner_steps=0),
    "ridge": lambda e: RidgeHead(e, ridge=1.0),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_keep_the_contract(
    name: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    check_learner(LEARNERS[name](encoder).eval(), episodes, head)


class Broken(Learner):
    """Breaks one rule."""

    def __init__(self, encoder: nn.Module, fault: str) -> None:
        super().__init__(encoder)
        self.fault = fault
        self.calls = 0

    @property
    def is_adaptive(self) -> bool:
        return True

    @property
    def min_support(self) -> int:
        return 2

    def adapt(
        self, episodes: EpisodeBatch, head: CatalogueHead, *, generator: Any = None
    ) -> FastWeights:
        size = episodes.support.size.float()
        shift = size * (size >= 2)
        self.calls += 1
        if self.fault == "mutates":
            next(self.encoder.parameters()).data.add_(1.0)
        if self.fault == "mixes":
            shift = shift + shift.mean()
        if self.fault == "too few":
            shift = size
        if self.fault == "idle":
            shift = torch.zeros_like(size)
        if self.fault == "fickle":
            shift = shift * self.calls
        if self.fault == "infinite":
            shift = shift / 0.0
        return {"shift": shift.unsqueeze(1)}

    def score(
        self,
        episodes: EpisodeBatch,
        fast: FastWeights,
        head: CatalogueHead,
        items: Tensor | None = None,
    ) -> Tensor:
        scores = super().score(episodes, {}, head, items)
        ramp = torch.arange(scores.size(1)).float()
        if items is not None and self.fault != "columns":
            ramp = items.float()
        return scores + fast["shift"] * ramp if "shift" in fast else scores


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("columns", "Broken scores some items otherwise than in the catalogue"),
        ("mutates", "Broken changed the shared weights"),
        ("mixes", r"Broken scores a user differently alone than in a batch \(row"),
        ("too few", r"adapts a user with fewer than min_support=2 edges \(row 2"),
        ("idle", "says is_adaptive but scores every user as the shared weights"),
        ("fickle", "differently a second time"),
        ("infinite", "scores that are not finite"),
    ],
)
def test_each_fault_is_found(
    fault: str, message: str, encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    with pytest.raises(ProtocolError, match=message):
        check_learner(Broken(encoder, fault).eval(), episodes, head)
    check_learner(Broken(encoder, "none").eval(), episodes, head)


def test_an_encoder_without_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no parameters"):
        Broken(nn.Identity(), "none")

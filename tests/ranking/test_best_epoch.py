"""The best epoch is kept, and patience ends the training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphmeta.ranking.best_epoch import BestEpoch


class Trainer(nn.Module):
    """Stands for a trainer whose only weight is the number of its epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def weights(self) -> dict[str, Tensor]:
        return {"epoch": torch.tensor(self.epoch)}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.epoch = int(weights["epoch"])

    def state(self) -> dict[str, Tensor]:
        return {"now": torch.tensor(self.epoch)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.epoch = int(state["now"])


def test_the_best_is_loaded_and_an_equal_one_is_not_better() -> None:
    trainer, best = Trainer(), BestEpoch(patience=2)
    assert not best.is_over
    for trainer.epoch, figure in enumerate((0.1, 0.5, 0.5, 0.4)):
        assert not best.is_over
        best.note(trainer, figure)
    assert best.is_over
    best.load_best(trainer)
    assert trainer.epoch == 1


def test_without_a_figure_the_last_weights_stay() -> None:
    trainer = Trainer()
    trainer.epoch = 7
    BestEpoch(patience=1).load_best(trainer)
    assert trainer.epoch == 7


def test_a_restored_one_goes_on_alike() -> None:
    trainer, best = Trainer(), BestEpoch(patience=3)
    for trainer.epoch, figure in enumerate((0.2, 0.9, 0.3)):
        best.note(trainer, figure)
    state = best.state(trainer)
    other, again = Trainer(), BestEpoch(patience=3)
    again.restore(other, state)
    assert (other.epoch, again.figures, again.is_over) == (2, best.figures, False)
    other.epoch = 3
    again.note(other, 0.1)
    again.load_best(other)
    assert other.epoch == 1

"""Early stopping that survives an interruption."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.meta.meta_training import MetaTrainer


class BestEpoch:
    """Keeps the weights of the best epoch, and says when to stop."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.figures: list[float] = []
        self._weights: dict[str, Tensor] = {}

    @property
    def is_over(self) -> bool:
        """True once `patience` epochs have passed since the best."""
        since_best = len(self.figures) - 1 - _argmax(self.figures)
        return bool(self.figures) and since_best >= self.patience

    def note(self, trainer: MetaTrainer, figure: float) -> None:
        """Take the figure of the epoch that has just ended."""
        self.figures.append(figure)
        if _argmax(self.figures) == len(self.figures) - 1:
            self._weights = {n: v.clone() for n, v in trainer.weights().items()}

    def load_best(self, trainer: MetaTrainer) -> None:
        """Give the trainer's modules the best weights; the last where none was noted."""
        if self._weights:
            trainer.load_weights(self._weights)

    def state(self, trainer: MetaTrainer) -> dict[str, Tensor]:
        """Return the state of the training and of this."""
        best = {f"best.{name}": value for name, value in self._weights.items()}
        figures = torch.tensor(self.figures, dtype=torch.float64)
        return {**trainer.state(), **best, "figures": figures}

    def restore(self, trainer: MetaTrainer, state: dict[str, Tensor]) -> None:
        """Go back to what `state` returned."""
        trainer.restore(state)
        self.figures = state["figures"].tolist()
        prefix = "best."
        self._weights = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }


def _argmax(figures: list[float]) -> int:
    return figures.index(max(figures)) if figures else -1

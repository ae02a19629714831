"""What a method is given to prepare itself on one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, ColdUsers
from graphmeta.experiments.run_recommender import build_recommender
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.ranking import ColdStartRecommender

OnEpoch = Callable[[int, int, float], None]


@dataclass(frozen=True)
class SeedRun:
    """The training and validation users of one split; the test users are out of reach.

    Args:
        train: The training graph.
        validation: Users that tuning and early stopping may look at.
        settings: The run's settings, with every rule replaced by its outcome.
        seed: The split seed, which also seeds the methods.
        checkpoints: Existing folder where training states are kept, to continue from.
        on_epoch: Told of each epoch: its number from 1, how many there are, and the loss.
    """

    train: HeteroData
    validation: ColdUsers
    settings: ColdStartSettings
    seed: int
    checkpoints: Path
    on_epoch: OnEpoch

    @classmethod
    def of(
        cls, split: ColdSplit, settings: ColdStartSettings, checkpoints: Path, on_epoch: OnEpoch
    ) -> SeedRun:
        """Return the run of a split, without its test users."""
        return cls(split.train, split.validation, settings, split.seed, checkpoints, on_epoch)

    @property
    def k(self) -> tuple[int, ...]:
        """The support sizes."""
        return self.settings.k or ()

    @cached_property
    def recommender(self) -> ColdStartRecommender:
        """The meta-learned recommender, trained once and shared by the methods that score with it.

        Raises:
            GraphMetaError: Training fails.
        """
        return self._trained(f"seed-{self.seed}", is_meta=True)

    @cached_property
    def general(self) -> ColdStartRecommender:
        """The recommender trained without adaptation, as transfer learning would have it.

        Raises:
            GraphMetaError: Training fails.
        """
        return self._trained(f"seed-{self.seed}-general", is_meta=False)

    def _trained(self, name: str, *, is_meta: bool) -> ColdStartRecommender:
        untrained = build_recommender(self.settings, self.train, seed=self.seed, is_meta=is_meta)
        return untrained.fit(
            self.train,
            self.validation,
            checkpoint=self.checkpoints / f"{name}.safetensors",
            on_epoch=self.on_epoch,
        )

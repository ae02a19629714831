"""Recommenders kept for the next experiment."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from graphmeta.data import ColdSplit
from graphmeta.experiments.fitted_splits import fitted_splits, split_options
from graphmeta.ranking import ColdStartRecommender


def _typed(folder: Path, *words: str) -> Namespace:
    parser = split_options("graphmeta.experiments.any")
    return parser.parse_args(["--seeds", "0", "--epochs", "0", "--models", str(folder), *words])


def _best(split: ColdSplit, model: ColdStartRecommender) -> torch.Tensor:
    return model.score(split.test.support(3)).topk(10).indices


def test_a_kept_model_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((split, fitted),) = fitted_splits(_typed(tmp_path))
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("default-0-")
    monkeypatch.setattr(ColdStartRecommender, "fit", None)  # Would be called in vain.
    ((again, kept),) = fitted_splits(_typed(tmp_path))
    assert torch.equal(_best(split, fitted), _best(again, kept))


def test_other_settings_are_other_models(tmp_path: Path) -> None:
    list(fitted_splits(_typed(tmp_path)))
    list(fitted_splits(_typed(tmp_path), random_share=0.5))
    assert len(list(tmp_path.iterdir())) == 2

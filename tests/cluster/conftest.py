from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import pytest
import ray.train.torch


@pytest.fixture(scope="package")
def cluster(start_cluster: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """A cluster of the caller's, with two processors; to start one is what takes time."""
    with start_cluster(
        RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="0.2", RAY_TRAIN_ENABLE_PREEMPTION_WATCHER="0"
    ):
        yield


@pytest.fixture
def in_this_process(cluster: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Ray Train without its workers, whose start takes long; holds how it was called."""
    calls: list[Any] = []

    class Trainer:
        def __init__(self, run: Callable[[Any], Any], **options: Any) -> None:
            calls.append(options)
            self._run, self._config = run, options["train_loop_config"]

        def fit(self) -> SimpleNamespace:
            return SimpleNamespace(return_value=self._run(self._config))

    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Trainer)
    return calls

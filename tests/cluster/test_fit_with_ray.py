"""Workers of Ray train what one process trains, whoever is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray.train.torch
import torch

from graphmeta.cluster import fit_with_ray
from graphmeta.cluster.fit_with_ray import CHECKPOINT
from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.encoders import RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import (
    ConfigError,
    DataError,
    DistributedError,
    GraphMetaError,
    OutOfMemoryError,
    OutputError,
)
from graphmeta.meta import MAML
from graphmeta.ranking import ColdStartRecommender

SETTINGS: dict[str, Any] = {"channels": 8, "batch_size": 16, "epochs": 3, "min_steps": 1}


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    return split_cold_users(from_frame(planted_interactions(80, skew=0.3), time="time"), seed=0)


def encoder_of(split: ColdSplit) -> RelationEncoder:
    with weights_drawn_by(0):
        return RelationEncoder(split.train.metadata(), out_channels=8, num_layers=2)


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_in_mid_epoch_changes_nothing(
    split: ColdSplit, tmp_path: Path
) -> None:
    n_steps = -(-split.train["user"].num_nodes // SETTINGS["batch_size"])
    killed, told = tmp_path / "killed", tmp_path / "told"

    class KilledInTheSecondEpoch(MAML):  # Here, so that the workers are sent its code.
        n_calls = 0

        def outer_loss(self, *args: Any, **options: Any) -> torch.Tensor:
            self.n_calls += 1
            # The first call estimates memory, and a worker has one shard of each step.
            is_in_mid_epoch = self.n_calls == 1 + n_steps + 3
            if is_in_mid_epoch and torch.distributed.get_rank() == 1 and not killed.exists():
                killed.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return super().outer_loss(*args, **options)

    def tell(epoch: int, epochs: int, loss: float) -> None:
        with told.open("a") as file:
            file.write(f"{torch.distributed.get_rank()}:{epoch}/{epochs} ")

    adapt = ("layers.*.shift.*",)
    learner = KilledInTheSecondEpoch(encoder_of(split), adapt=adapt, inner_steps=1)
    model = ColdStartRecommender(learner, **SETTINGS)
    before = signal.getsignal(signal.SIGINT)
    found = fit_with_ray(
        model, split.train, split.validation, folder=tmp_path / "run", workers=2, on_epoch=tell
    )
    assert int(killed.read_text()) != os.getpid()
    # The first epoch was in the checkpoint.
    assert sorted(told.read_text().split()) == [f"{r}:{n}/3" for r in (0, 1) for n in (1, 2, 3)]
    assert [path.name for path in (tmp_path / "run").iterdir()] == [CHECKPOINT]
    assert signal.getsignal(signal.SIGINT) is before
    assert ray.is_initialized()
    assert model.losses == []

    alone = ColdStartRecommender(
        MAML(encoder_of(split), adapt=adapt, inner_steps=1), **SETTINGS, n_shards=2
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # As many as a worker has.
    alone.fit(split.train, split.validation)
    torch.set_num_threads(threads)
    for part in ("learner", "head"):
        weights, wanted = (getattr(m.fitted, part).state_dict() for m in (found, alone))
        torch.testing.assert_close(weights, wanted, atol=1e-6, rtol=0)
    assert found.losses == pytest.approx(alone.losses, abs=1e-6)
    assert found.validation_scores == pytest.approx(alone.validation_scores, abs=1e-6)
    assert (found.gate, found.blend) == (alone.gate, alone.blend)
    support = split.test.support(5)
    torch.testing.assert_close(found.score(support), alone.score(support), atol=1e-5, rtol=0)


def test_an_error_of_the_call_is_raised_and_not_tried_again(
    split: ColdSplit, tmp_path: Path, in_this_process: list[Any]
) -> None:
    (tmp_path / CHECKPOINT).write_text("no tensors")
    model = ColdStartRecommender(**SETTINGS)
    with pytest.raises(DataError, match="cannot read the checkpoint"):
        fit_with_ray(model, split.train, folder=tmp_path, workers=2, restarts=5)
    (options,) = in_this_process
    assert options["run_config"].failure_config.max_failures == 5
    assert options["scaling_config"].num_workers == 2
    assert not options["scaling_config"].use_gpu


def test_a_call_on_a_finished_folder_trains_no_more(
    split: ColdSplit, tmp_path: Path, in_this_process: list[Any]
) -> None:
    model, told = ColdStartRecommender(**SETTINGS), tmp_path / "told"

    def tell(epoch: int, epochs: int, loss: float) -> None:
        told.write_text(str(epoch))

    first = fit_with_ray(model, split.train, folder=tmp_path, on_epoch=tell)
    assert in_this_process[0]["scaling_config"].num_workers == 2  # All processors.
    told.unlink()
    again = fit_with_ray(model, split.train, folder=tmp_path, workers=1, on_epoch=tell)
    assert not told.exists()
    assert again.losses == first.losses
    support = split.test.support(3)
    assert torch.equal(first.score(support), again.score(support))


@pytest.mark.parametrize(
    ("failures", "kind", "match"),
    [
        ({0: DistributedError("a rank is gone")}, DistributedError, r"DistributedError: a rank is"),
        ({0: DistributedError("x"), 1: OutOfMemoryError("lower it")}, OutOfMemoryError, "^lower"),
        (None, DistributedError, r"\(RuntimeError: the actor is dead\); run it again to"),
    ],
)
def test_workers_that_die_again_and_again_are_told_of(
    failures: dict[int, Exception] | None,
    kind: type[GraphMetaError],
    match: str,
    split: ColdSplit,
    tmp_path: Path,
    in_this_process: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ray.train.ControllerError(RuntimeError("the actor is dead\nwhere it was"))
    if failures is not None:
        error = ray.train.WorkerGroupError("workers failed", failures)

    def fit(self: Any) -> None:
        raise error

    monkeypatch.setattr(ray.train.torch.TorchTrainer, "fit", fit)
    with pytest.raises(kind, match=match):
        fit_with_ray(ColdStartRecommender(**SETTINGS), split.train, folder=tmp_path, workers=2)


@pytest.mark.usefixtures("cluster")
def test_bad_input(split: ColdSplit, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"workers": 0}, ConfigError, "workers=0 must be at least 1"),
        ({"restarts": -1}, ConfigError, "restarts=-1 0 or more"),
        ({"workers": 3}, ConfigError, "workers=3 exceeds the 2 processors"),
        ({"folder": tmp_path / "file"}, OutputError, "cannot make the folder"),
    ]
    for options, error, wanted in cases:
        with pytest.raises(error, match=wanted):
            fit_with_ray(ColdStartRecommender(), split.train, **{"folder": tmp_path, **options})

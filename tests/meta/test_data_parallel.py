"""Data-parallel training in two processes against the same shards in one."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from graphmeta.errors import ConfigError
from graphmeta.meta.data_parallel import DataParallelGroup, refuse_wrapped

WORKER = Path(__file__).with_name("data_parallel_worker.py")
worker = SimpleNamespace(**runpy.run_path(str(WORKER)))
PAGE = Path(__file__).parents[2] / "docs" / "data_parallel.md"
# Restarted ranks must not find the addresses of the dead in torchrun's own store.
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def torchrun(script: Path, *arguments: str, options: tuple[str, ...] = ()) -> str:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", *options, str(script), *arguments),
        ],
        env=ENV,
        cwd=script.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.terminate()  # Killed, it would leave its ranks behind.
        out, err = process.communicate()
    assert process.returncode == 0, err
    return out


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As many as the ranks have: threads add up in an order of their own."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def results(folder: Path, what: str) -> list[dict[str, Any]]:
    files = [folder / f"{what}-{rank}.pt" for rank in (0, 1)]
    return [torch.load(file, weights_only=True) for file in files if file.exists()]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("everything")
    torchrun(WORKER, "everything", str(folder))
    return results(folder, "everything")


@pytest.mark.parametrize(("name", "n_shards"), [("two shards", 2), ("five shards", 5)])
def test_two_processes_train_the_weights_of_one(
    ranks: list[dict[str, Any]], name: str, n_shards: int
) -> None:
    # 41 users in batches of 8: four shards of the last step are empty, or one.
    alone = worker.trained(worker.trainer_of(n_shards=n_shards))
    start = worker.trainer_of(n_shards=n_shards).weights()
    for rank in ranks:
        torch.testing.assert_close(rank[name]["weights"], alone["weights"], atol=1e-5, rtol=0)
        assert rank[name]["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    moved = (start["head.table.embedding"] - alone["weights"]["head.table.embedding"]).abs().max()
    assert float(moved) > 0.01  # Or equal weights would say nothing.


def test_left_out_all_reduce_goes_apart_and_is_noticed(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["unsynchronised"] for rank in ranks)
    for result in (first, second):
        assert re.search(r"no longer hold the same weights: \S+ is \S+ apart", result["error"])
    name = "head.table.embedding"
    assert float((first["weights"][name] - second["weights"][name]).abs().max()) > 1e-3


def test_wrapped_modules_do_not_synchronise_and_are_refused(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["wrapped"] for rank in ranks)
    # The inputs are (1, 0) and (1, 1): the mean gradient is (1, 1/2).
    assert first["own"].tolist() == second["own"].tolist() == [[1.0, 0.5]]
    assert first["functional"].tolist() == [[1.0, 0.0]]
    assert second["functional"].tolist() == [[1.0, 1.0]]
    for result in (first, second):
        assert "encoder of the MAML is wrapped in DistributedDataParallel" in result["error"]
    with pytest.raises(ConfigError, match="the module is wrapped in DataParallel, which"):
        refuse_wrapped(nn.Linear(1, 1), nn.DataParallel(nn.Linear(1, 1)))


def test_ranks_that_differ_are_told(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["settings"].startswith("rank 1 has batch_size=9 where rank 0 has 8; give")
        assert rank["learner"].startswith("rank 1 has learner.first_order=False where rank 0 has T")
        assert rank["one shard"].startswith("n_shards=1 must be at least 2, the number of proc")


def test_a_step_that_is_not_finite_is_left_out_on_all_ranks(ranks: list[dict[str, Any]]) -> None:
    with pytest.warns(RuntimeWarning, match="were left out"):
        alone = worker.trained(
            worker.trainer_of(worker.OneBadUser, n_shards=2, on_non_finite="skip")
        )
    for rank in ranks:
        found = rank["left out"]
        torch.testing.assert_close(found["weights"], alone["weights"], atol=1e-5, rtol=0)
        assert found["losses"] == pytest.approx(alone["losses"], abs=1e-5)
        message = r"^epoch 1, step \d: the outer loss is nan, for training users \[7\] in a batch"
        assert re.search(message, rank["stopped"])
    one, two = ranks[0]["left out"]["warnings"]
    assert one.startswith("1 of 6 outer steps of epoch 1 were left out")
    assert two.startswith("1 of 6 outer steps of epoch 2 were left out")
    assert ranks[1]["left out"]["warnings"] == []


def test_what_the_group_sums_and_sends(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        group = rank["group"]
        assert group["loss"] == 1.5
        # A gradient of both ranks, of one, of none, and of a frozen parameter.
        both, one, none, frozen = group["gradients"]
        assert (both.tolist(), one.tolist(), none, frozen) == ([3, 30], [5, 6], None, None)
        assert group["from_first"] == "rank 0"
        assert group["first_fails"] == "0"
        assert group["gathered"] == [0, 1]
    assert [rank["group"]["shards"] for rank in ranks] == [[0, 2, 4], [1, 3]]


def test_a_process_alone_needs_no_group() -> None:
    group = DataParallelGroup(torch.device("cpu"))
    weight = torch.tensor([1.0, 2.0])
    group.sum(weight)
    group.copy_from_first([weight])
    assert weight.tolist() == [1.0, 2.0]
    assert (group.from_first(lambda: 3), group.gather(4)) == (3, [4])
    assert list(group.shards(3)) == [0, 1, 2]
    group.refuse_other_weights({"weight": weight})
    with pytest.raises(ConfigError, match="only now"):
        group.from_first(lambda: worker.refuse("only now"))


@pytest.fixture(scope="module")
def fitted_alone() -> dict[str, Any]:
    return worker.fitted(None, n_shards=2)


def same_fit(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    torch.testing.assert_close(found["scores"], wanted["scores"], atol=1e-5, rtol=1e-5)
    assert found["losses"] == pytest.approx(wanted["losses"], abs=1e-5)
    assert found["validation"] == pytest.approx(wanted["validation"], abs=1e-5)
    assert found["gate"] == wanted["gate"]


def test_the_recommender_fits_in_two_processes_as_in_one(
    ranks: list[dict[str, Any]], fitted_alone: dict[str, Any]
) -> None:
    for rank in ranks:
        same_fit(rank["fitted"], fitted_alone)
        assert rank["fitted"]["told"] == [1, 2, 3]
        same_fit(rank["fitted again"], fitted_alone)
        assert rank["fitted again"]["told"] == []  # The checkpoint had it all.


def test_a_rank_dies_the_other_says_so_and_torchrun_restarts_both_to_the_same_result(
    tmp_path: Path, fitted_alone: dict[str, Any]
) -> None:
    torchrun(WORKER, "restarted", str(tmp_path), options=("--max-restarts", "1"))
    (survivor,) = tmp_path.glob("survivor-*.txt")
    assert survivor.name == "survivor-0.txt"
    said = r"a rank is gone, or slower than the group's timeout \(.+\); start all ranks again: with"
    assert re.match(said, survivor.read_text())
    both = results(tmp_path, "restarted")
    assert len(both) == 2
    for found in both:
        same_fit(found, fitted_alone)
        assert found["told"] == [2, 3]  # The first epoch was in the checkpoint.


def test_the_script_of_the_page_runs(tmp_path: Path) -> None:
    # The other block is run in tests/cluster.
    source, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    script = tmp_path / "train.py"
    script.write_text(source)
    lines = torchrun(script).splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2", "NDCG@10"]
    assert (tmp_path / "state.safetensors").exists()

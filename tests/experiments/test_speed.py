"""The speed benchmark measures the same work on both sides."""

from __future__ import annotations

import pytest
import torch

from graphmeta.experiments.speed import SMALL, Bench, in_turn, main, ranking_sides, training_sides


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench.of(SMALL)


def test_the_graph_knows_its_whole_catalogue(bench: Bench) -> None:
    assert bench.head.bias.numel() == SMALL.items
    assert len(bench.support) == SMALL.batch
    assert bool((bench.support.size >= 1).all())


def test_a_batch_and_a_loop_take_the_same_step(bench: Bench) -> None:
    sides = training_sides(bench)
    for run in sides.values():
        bench.head.zero_grad()
        run()
        assert bench.head.table.output.grad is not None
        assert bool(bench.head.table.output.grad.isfinite().all())
    sampler, generator = bench.sampler(), torch.Generator().manual_seed(0)
    episodes = sampler.sample(bench.support[:3], generator=generator)
    found = []
    for is_batched in (True, False):
        learner = bench.learner("maml").eval()
        learner.is_batched = is_batched
        found.append(learner.adapt(episodes, bench.head))
    for name, weights in found[0].items():
        torch.testing.assert_close(weights, found[1][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n_users", [1, SMALL.batch])
def test_every_side_ranks_ten_items(bench: Bench, n_users: int) -> None:
    for run in ranking_sides(bench, n_users).values():
        assert torch.cat(run()).shape == (n_users, 10)


def test_sides_run_in_turn() -> None:
    calls: list[str] = []
    seconds = in_turn({n: (lambda n=n: calls.append(n)) for n in "ab"}, 2)
    assert calls == list("ababab")
    assert {n: len(s) for n, s in seconds.items()} == {"a": 2, "b": 2}


def test_it_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in ("Meta-training", "batched", "loop", "bare product", "ridge", "maml"):
        assert word in shown


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", "--device", "abacus"]) == 2
    assert "device='abacus' cannot be used" in capsys.readouterr().err

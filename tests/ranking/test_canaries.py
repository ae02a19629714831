"""The canaries sing on a sound evaluation, and fall silent on each broken one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from graphmeta.data import ColdUsers, IdMap, Support, split_cold_users
from graphmeta.errors import ConfigError, ProtocolError
from graphmeta.ranking import ranking_metrics, run_canaries, top_k
from graphmeta.ranking.chance import chance_moments

# The package's `evaluate` is the function; these modules hold what it calls.
CALLED_IN = {
    "top_k": importlib.import_module("graphmeta.ranking.query_hits"),
    "ranking_metrics": importlib.import_module("graphmeta.ranking.evaluate"),
}


@pytest.fixture
def users() -> ColdUsers:
    """300 users over 80 items; the query lies at the front of the catalogue."""
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(300, 40, generator=generator).argsort(1)
    n_query = torch.randint(1, 30, (300,), generator=generator)
    query = [row[2 : 2 + n] for row, n in zip(order, n_query.tolist(), strict=True)]
    return ColdUsers(
        IdMap(range(300)),
        Support(order[:, :2]),
        torch.cat([torch.zeros(1).long(), n_query.cumsum(0)]),
        torch.cat(query),
        IdMap(range(80)),
        torch.ones(80).long(),
        10,
    )


def test_a_sound_evaluation_passes(users: ColdUsers) -> None:
    table = run_canaries(users, k=(0, 2))
    assert list(table) == ["canary", "k", "metric", "value", "expected", "tolerance"]
    assert table.groupby("canary").size().to_dict() == dict.fromkeys(
        ["constant", "oracle", "random", "reversed", "scaled"], 8
    )
    chance = float(chance_moments(users.query_ptr.diff(), 78)["ndcg@10"][0].mean())
    ndcg = table[table["metric"] == "ndcg@10"].groupby("canary")
    assert ndcg["value"].mean()["constant"] == pytest.approx(chance, abs=0.02)
    assert ndcg["tolerance"].mean()["constant"] < 0.02
    assert ndcg["value"].mean()["oracle"] == pytest.approx(1)
    assert ndcg["value"].mean()["reversed"] < chance


def test_passes_whatever_the_seed(users: ColdUsers) -> None:
    few = users.select(torch.arange(12))
    for seed in range(5):
        run_canaries(few, k=(1,), seed=seed)


def test_a_catalogue_that_the_query_almost_fills() -> None:
    ids, first = IdMap(["ann", "bob"]), Support(torch.tensor([[0], [3]]))
    query, ptr = torch.tensor([1, 2, 3, 4, 0, 1]), torch.tensor([0, 4, 6])
    users = ColdUsers(ids, first, ptr, query, IdMap("abcde"), torch.ones(5).long(), 5)
    table = run_canaries(users)
    assert table[table["canary"] == "reversed"]["expected"].max() == 1


def test_passes_on_a_real_split(planted_graph: Any) -> None:
    split = split_cold_users(planted_graph)
    run_canaries(split.test)
    with pytest.raises(ConfigError, match="k=99 is outside"):
        run_canaries(split.test, k=(99,))


def by_item_order(scores: Tensor, exclude: Tensor, *, k: int, generator: torch.Generator) -> Tensor:
    hidden = scores.scatter(1, exclude, -torch.inf)
    return hidden.sort(dim=1, descending=True, stable=True).indices[:, :k]


def without_exclusion(
    scores: Tensor, exclude: Tensor, *, k: int, generator: torch.Generator
) -> Tensor:
    return top_k(scores, exclude[:, :0], k=k, generator=generator)


def saturated(scores: Tensor, exclude: Tensor, *, k: int, generator: torch.Generator) -> Tensor:
    return top_k(scores.clamp(max=2), exclude, k=k, generator=generator)


def by_size(scores: Tensor, exclude: Tensor, *, k: int, generator: torch.Generator) -> Tensor:
    return top_k(scores.abs(), exclude, k=k, generator=generator)


def of_other_users(
    scores: Tensor, exclude: Tensor, *, k: int, generator: torch.Generator
) -> Tensor:
    return top_k(scores.roll(1, 0), exclude, k=k, generator=generator)


def without_discount(hits: Tensor, n_query: Tensor) -> dict[str, Tensor]:
    precise = hits[:, :10].double().mean(1)
    return {**ranking_metrics(hits, n_query), "ndcg@10": precise}


def against_ten(hits: Tensor, n_query: Tensor) -> dict[str, Tensor]:
    """The oracle gets 1 all the same: every denominator is capped at what it finds."""
    found = hits.sum(1)
    return ranking_metrics(hits, torch.minimum(n_query, found.clamp(min=1)))


@pytest.mark.parametrize(
    ("name", "broken", "canary"),
    [
        ("top_k", by_item_order, "constant scores"),
        ("top_k", without_exclusion, "oracle scores"),
        ("top_k", saturated, "scaled scores"),
        ("top_k", by_size, "reversed scores"),
        ("top_k", of_other_users, "oracle scores"),
        ("ranking_metrics", without_discount, "oracle scores ndcg@10"),
        ("ranking_metrics", against_ten, "constant scores"),
    ],
)
def test_a_broken_evaluation_is_caught(
    users: ColdUsers,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken: Callable[..., Any],
    canary: str,
) -> None:
    monkeypatch.setattr(CALLED_IN[name], name, broken)
    with pytest.raises(ProtocolError, match=f"the evaluation is broken.*{canary}"):
        run_canaries(users, k=(1,))


def test_a_query_that_was_shown_is_caught(users: ColdUsers) -> None:
    leaky = users.query_index.clone()
    leaky[users.query_ptr[:-1]] = users.first.item_index[:, 0]
    with pytest.raises(ProtocolError, match="oracle scores"):
        run_canaries(replace(users, query_index=leaky))

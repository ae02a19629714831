from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from graphmeta.errors import DataError, ProtocolError
from graphmeta.ranking import Evaluation, check_collapse


def report(seeds: dict[int, int], n_users: int = 30, score: float | None = None) -> Evaluation:
    """Figures and rankings drawn from one seed per support size."""
    users, per_user, rankings = [f"u{n}" for n in range(n_users)], [], []
    for k, seed in seeds.items():
        rng = np.random.default_rng(seed)
        per_user.append(pd.DataFrame({"user": users, "k": k, "ndcg@10": rng.random(n_users)}))
        rankings.append(
            pd.DataFrame(
                {
                    "user": np.repeat(users, 4),
                    "k": k,
                    "rank": np.tile([1, 2, 3, 4], n_users),
                    "item": rng.integers(0, 50, 4 * n_users),
                    "score": rng.random(4 * n_users) if score is None else score,
                }
            )
        )
    return Evaluation(pd.concat(per_user), pd.concat(rankings), pd.DataFrame())


def test_different_figures_pass() -> None:
    # At k = 0 personalised methods all serve popularity.
    reports = {"knn": report({0: 9, 1: 1, 3: 2}), "ease": report({0: 9, 1: 3, 3: 4})}
    assert check_collapse(reports) == []


def test_two_names_for_one_method_are_found() -> None:
    one, other = report({0: 9, 1: 1, 3: 2}), report({0: 9, 1: 1, 3: 5})
    shuffled = replace(other, per_user=other.per_user.sample(frac=1, random_state=0))
    with pytest.raises(ProtocolError, match=r"1 figures .*: maml and plain have the same .* k=1"):
        check_collapse({"maml": one, "plain": shuffled})
    assert check_collapse({"maml": one, "plain": other}, may_agree=[("plain", "maml", 1)]) == []
    assert len(check_collapse({"maml": one, "plain": other, "x": one}, is_strict=False)) == 4


def test_a_method_that_does_not_read_the_support_is_found() -> None:
    reports = {"knn": report({0: 1, 1: 1, 3: 2, 5: 2})}
    with pytest.raises(ProtocolError, match=r"knn has the same figures .* k=3 and k=5"):
        check_collapse(reports)
    assert check_collapse(reports, non_personalised=["knn"]) == []


def test_scores_without_variance_are_found() -> None:
    flat = report({0: 1, 3: 2}, score=0.25)
    findings = check_collapse({"nan": flat}, is_strict=False)
    assert [f"k={k}; it has no opinion" in f for k, f in zip((0, 3), findings, strict=True)]
    one_user = flat.rankings.assign(score=lambda t: t["score"] + t["rank"] * (t["user"] == "u7"))
    assert check_collapse({"knn": replace(flat, rankings=one_user)}) == []


def test_little_is_equal_by_chance() -> None:
    one, other = report({1: 1}), report({1: 2})
    missed = other.per_user.assign(**{"ndcg@10": 0.0})
    both = {"a": replace(one, per_user=missed), "b": replace(other, per_user=missed)}
    assert check_collapse(both) == []
    assert check_collapse({"a": both["a"], "b": both["a"]}, is_strict=False)


def test_other_users_are_refused() -> None:
    with pytest.raises(DataError, match="knn and ease hold different users"):
        check_collapse({"knn": report({1: 1}), "ease": report({1: 1}, n_users=29)})

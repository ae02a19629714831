from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import compare_paired, holm


def frame(values: np.ndarray, k: int = 1, **more: object) -> pd.DataFrame:
    users = [f"u{n}" for n in range(len(values))]
    return pd.DataFrame({"user": users, "k": k, "ndcg@10": values, **more})


def noisy(n: int, lift: float, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    b = rng.random(n)
    return frame(b + lift + rng.normal(0, 0.1, n)), frame(b)


def test_by_hand() -> None:
    a, b = frame(np.array([0.5, 0.2, 0.9, 0.4])), frame(np.array([0.4, 0.3, 0.5, 0.4]))
    row = compare_paired(a, b).iloc[0]
    assert row["difference"] == pytest.approx((0.1 - 0.1 + 0.4 + 0) / 4)
    assert (row["helped"], row["harmed"], row["n_users"]) == (0.5, 0.25, 4)
    # Of the 16 signings, a sum of .4 or more in size has the largest alone or with a zero
    # of the two smaller ones, or both of them on its side.
    sums = [abs(x * 0.1 + y * -0.1 + z * 0.4) for x, y, z in product((1, -1), repeat=3)]
    exact = np.mean([s >= 0.4 - 1e-9 for s in sums])
    assert row["p_value"] == pytest.approx(exact, abs=0.02)


def test_a_planted_difference_is_found_with_its_sign_and_size() -> None:
    a, b = noisy(400, 0.02)
    row = compare_paired(a, b.sample(frac=1, random_state=0)).iloc[0]
    assert row["difference"] == pytest.approx((a["ndcg@10"] - b["ndcg@10"]).mean())
    assert 0 < row["lower"] < 0.02 < row["upper"]
    assert row["upper"] - row["lower"] == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.15)
    assert row["p_value"] < 0.01
    swapped = compare_paired(b, a).iloc[0]
    assert swapped["difference"] == pytest.approx(-row["difference"])
    assert (swapped["helped"], swapped["p_value"]) == (row["harmed"], row["p_value"])


def test_no_difference_is_called_one_in_twenty_times() -> None:
    p = [compare_paired(*noisy(60, 0.0, seed=s)).iloc[0]["p_value"] for s in range(100)]
    assert np.mean(np.array(p) < 0.05) <= 0.11  # .05 within three standard errors
    assert 0.4 < np.mean(p) < 0.6


def test_p_value_agrees_with_scipy() -> None:
    a, b = noisy(50, 0.02, seed=4)
    theirs = permutation_test(
        (a["ndcg@10"], b["ndcg@10"]),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    assert compare_paired(a, b).iloc[0]["p_value"] == pytest.approx(theirs.pvalue, abs=0.02)


def test_identical_methods() -> None:
    b = noisy(30, 0.0)[1]
    row = compare_paired(b, b).iloc[0]
    assert row[["difference", "lower", "upper", "helped", "harmed"]].tolist() == [0] * 5
    assert row["p_value"] == 1


def test_each_support_size_has_its_row() -> None:
    pairs = [noisy(300, lift, seed=k) for k, lift in ((1, 0.0), (3, 0.05))]
    a = pd.concat([pairs[1][0].assign(k=3), pairs[0][0]])
    b = pd.concat([pairs[0][1], pairs[1][1].assign(k=3)])
    table = compare_paired(a, b)
    assert list(table) == [
        "k",
        "difference",
        "lower",
        "upper",
        "p_value",
        "helped",
        "harmed",
        "n_users",
    ]
    assert table["k"].tolist() == [1, 3]
    assert table["p_value"].iloc[0] > 0.05 > table["p_value"].iloc[1]
    alone = compare_paired(*(f.assign(k=3) for f in pairs[1]))
    assert alone["difference"].iloc[0] == pytest.approx(table["difference"].iloc[1])


def test_a_user_of_several_seeds_is_one_user() -> None:
    a, b = noisy(50, 0.02)
    once = compare_paired(a, b).iloc[0]
    pooled = compare_paired(
        *(pd.concat([f.assign(seed=s) for s in range(4)]) for f in (a, b))
    ).iloc[0]
    # Copies of the same users tell nothing new: the interval and the p-value stay.
    for name in ("difference", "lower", "upper", "p_value", "n_users", "helped"):
        assert pooled[name] == pytest.approx(once[name])
    apart = [pd.concat([f, f.assign(user=f["user"] + "x")]) for f in (a, b)]
    others = compare_paired(*apart).iloc[0]
    assert others["upper"] - others["lower"] < 0.85 * (once["upper"] - once["lower"])


def test_frames_that_do_not_match_are_refused() -> None:
    a, b = noisy(20, 0.0)
    with pytest.raises(DataError, match=r"1 of 20 rows are in one frame only .*u19.* in a"):
        compare_paired(a, b.iloc[:-1])
    seeded = a.assign(seed=0)
    with pytest.raises(DataError, match="40 of 40 rows are in one frame only"):
        compare_paired(seeded, b.assign(seed=1))
    with pytest.raises(DataError, match=r"frame b has .*'u0'.* twice"):
        compare_paired(a, pd.concat([b, b]))
    with pytest.raises(DataError, match="frame a has no column 'ndcg@5'"):
        compare_paired(a, b, metric="ndcg@5")
    with pytest.raises(DataError, match="frame b is empty"):
        compare_paired(a, b.iloc[:0])
    with pytest.raises(DataError, match="frame a has a ndcg@10 that is missing"):
        compare_paired(a.assign(**{"ndcg@10": np.nan}), b)


def test_holm_textbook_example() -> None:
    # .005 * 4; .01 * 3; .03 * 2; .04 * 1, lifted to the .06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(pd.Series([0.5, 0.9])).tolist() == [1, 1]
    assert holm([]).tolist() == []
    with pytest.raises(ConfigError, match="from 0 to 1"):
        holm([0.5, np.nan])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_as_the_step_down_procedure_does(p: list[float], level: float) -> None:
    rejected = set()
    left = list(range(len(p)))
    while left:
        smallest = min(left, key=lambda i: p[i])
        if p[smallest] * len(left) > level:
            break
        rejected.add(smallest)
        left.remove(smallest)
    assert set(np.flatnonzero(holm(p) <= level)) == rejected

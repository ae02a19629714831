"""Users in arms."""

import hashlib

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from graphmeta.errors import ConfigError, DataError
from graphmeta.live import Assignment


def test_by_hand() -> None:
    digest = int(hashlib.md5(b"list-2/318").hexdigest()[:8], 16) / 2**32
    expected = "control" if digest < 0.5 else "treatment"
    assert Assignment("list-2").arm(318) == Assignment("list-2").arm("318") == expected
    just = {"a": digest, "b": 1 - digest}
    assert Assignment("list-2", just).arm(318) == "b"  # below, not at, its share
    more = {"a": digest + 1e-9, "b": 1 - digest - 1e-9}
    assert Assignment("list-2", more).arm(318) == "a"


def test_shares_are_met_and_experiments_do_not_know_of_each_other() -> None:
    shares = {"old": 0.8, "new": 0.15, "newer": 0.05}
    first, second = Assignment("first", shares), Assignment("second", shares)
    arms = [first.arm(user) for user in range(10_000)]
    assert first.check_ratio(arms) > 0.001
    others = [second.arm(user) for user in range(10_000)]
    counts = np.array(
        [
            [sum(pair == (a, b) for pair in zip(arms, others, strict=True)) for b in shares]
            for a in shares
        ]
    )
    assert chi2_contingency(counts).pvalue > 0.001


def test_a_mismatch_is_refused() -> None:
    plan = Assignment("x")
    # (210 - 200)^2 / 200 twice is 1, at one degree of freedom.
    assert plan.check_ratio(["control"] * 210 + ["treatment"] * 190) == pytest.approx(
        0.3173, abs=1e-4
    )
    with pytest.raises(DataError, match=r"'treatment': 4800\} users .* planned"):
        plan.check_ratio(["control"] * 5200 + ["treatment"] * 4800)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="no name"):
        Assignment("")
    for shares in ({"a": 1.0}, {"a": 0.5, "b": 0.4}, {"a": 0.0, "b": 1.0}):
        with pytest.raises(ConfigError, match="with sum 1"):
            Assignment("x", shares)
    with pytest.raises(DataError, match="arms \\['other'\\]"):
        Assignment("x").check_ratio(["other"])
    with pytest.raises(DataError, match="expected"):
        Assignment("x").check_ratio([])

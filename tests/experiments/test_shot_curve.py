"""The k-shot curve: one line per method, intervals where the summary puts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from graphmeta.experiments.shot_curve import _in_the_picture, draw_shot_curve
from graphmeta.explain.figure import line_styles


def summary(n_methods: int) -> pd.DataFrame:
    rows = [
        (f"m{m}", k, "ndcg@10", 0.3 + 0.01 * m + 0.01 * k, 0.29 + 0.01 * m, 0.4 + 0.01 * m)
        for m in range(n_methods)
        for k in (0, 1, 3)
    ]
    return pd.DataFrame(rows, columns=["method", "k", "metric", "mean", "lower", "upper"])


def test_same_numbers_same_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_shot_curve(tmp_path / name, summary(3), title="t")
    changed = summary(3)
    changed.loc[0, "mean"] += 0.05
    draw_shot_curve(tmp_path / "c.png", changed, title="t")
    one, two, other = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert one == two
    assert one != other


def test_many_methods_are_told_apart() -> None:
    styles = line_styles(15)
    keys = {(s["color"], s["marker"], str(s["linestyle"])) for s in styles}
    assert len(keys) == 15
    pairs = {(s["color"], str(s["linestyle"])) for s in styles}
    assert len(pairs) == 15


def test_an_interval_that_misses_the_mean_is_drawn(tmp_path: Path) -> None:
    odd = summary(1).assign(lower=np.float64(0.9), upper=np.float64(0.95))
    draw_shot_curve(tmp_path / "a.png", odd, title="t")
    assert (tmp_path / "a.png").exists()


def test_a_method_far_below_is_named_and_not_drawn() -> None:
    low = summary(1).assign(method="random", mean=0.02, lower=0.01, upper=0.034)
    drawn, line = _in_the_picture(pd.concat([summary(2), low]))
    assert set(drawn["method"]) == {"m0", "m1"}
    assert line == "\nfar below the picture: random (at most 0.034)"
    assert _in_the_picture(summary(2))[1] == ""

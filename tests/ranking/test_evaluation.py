from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from graphmeta.errors import ConfigError
from graphmeta.ranking import Evaluation


@pytest.fixture
def report() -> Evaluation:
    rng = np.random.default_rng(0)
    per_user = pd.concat(
        pd.DataFrame({"user": range(200), "k": k, "a@10": rng.random(200) + k, "b@10": 0.5})
        for k in (3, 1)
    )
    return Evaluation(per_user, pd.DataFrame(), pd.DataFrame())


def test_summary_holds_mean_and_interval_of_each_metric(report: Evaluation) -> None:
    table = report.summary()
    assert list(table) == ["k", "metric", "mean", "lower", "upper", "n_users"]
    rows = table.set_index(["k", "metric"])
    assert rows.index.tolist() == [(1, "a@10"), (1, "b@10"), (3, "a@10"), (3, "b@10")]
    wanted = report.per_user.groupby("k")["a@10"].mean()
    assert rows.loc[(3, "a@10"), "mean"] == pytest.approx(wanted[3])
    width = rows.loc[(3, "a@10"), "upper"] - rows.loc[(3, "a@10"), "lower"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(1 / 12 / 200), rel=0.15)
    assert rows.loc[(1, "b@10"), ["mean", "lower", "upper"]].tolist() == pytest.approx([0.5] * 3)
    assert (table["n_users"] == 200).all()


def test_summary_follows_the_seed(report: Evaluation) -> None:
    pd.testing.assert_frame_equal(report.summary(), report.summary())
    assert not report.summary().equals(report.summary(seed=1))
    with pytest.raises(ConfigError, match="n_draws=0"):
        report.summary(n_draws=0)

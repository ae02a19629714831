"""The experiments on drift, on few users."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from graphmeta.data import ColdUsers, IdMap, Support
from graphmeta.errors import DataError
from graphmeta.experiments.drift import main
from graphmeta.experiments.drift_interest import main as main_interest
from graphmeta.experiments.drift_interest_report import interest_report
from graphmeta.experiments.drift_report import drift_report
from graphmeta.experiments.switched_users import CutModel, switched_users


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, rows = tmp_path / "drift.md", tmp_path / "rows"
    words = ["--windows", "2", "--seeds", "0", "--epochs", "0", "--steps", "1", "--first", ".7"]
    words += ["--out", str(out), "--rows", str(rows)]
    assert main(words) == 0
    text = out.read_text()
    assert "| fine-tuned |" in text
    assert out.with_suffix(".png").exists()
    assert text.strip() in capsys.readouterr().out
    (kept,) = rows.iterdir()
    found = pd.read_parquet(kept)
    assert set(found["way"]) == {"frozen", "refreshed", "fine-tuned", "retrained"}
    start = found[found["window"] == 0].groupby("way")["ndcg@10"].mean()
    assert start.nunique() == 1  # All ways start from one model.
    kept.touch()
    assert main(words) == 0  # From the rows.
    assert main(["--windows", "1"]) == 2
    assert "must be at least 2" in capsys.readouterr().err


def figures(quality: dict[str, float], cost: dict[str, float]) -> pd.DataFrame:
    """Twenty users in each of two windows, who differ between ways by a factor alone."""
    rng = np.random.default_rng(0)
    parts = []
    for window in (0, 1):
        base = rng.uniform(0.2, 0.6, 20)
        for way, factor in quality.items():
            values = base * (factor if window else 1.0)
            users = [f"{window}-{n}" for n in range(20)]
            part = pd.DataFrame({"user": users, "k": 1, "ndcg@10": values})
            parts.append(part.assign(way=way, window=window, cpu_s=cost[way] * window))
    about = {"seed": 0, "start": 1e9, "n_train_users": 9, "n_items": 8, "n_edges": 7}
    return pd.concat(parts, ignore_index=True).assign(**about)


def test_shares_and_verdicts_by_hand() -> None:
    quality = {"frozen": 0.5, "refreshed": 0.96, "fine-tuned": 0.99, "retrained": 1.0}
    cost = {"frozen": 0.0, "refreshed": 1.0, "fine-tuned": 6.0, "retrained": 100.0}
    text = drift_report(figures(quality, cost), name="made", out=None)
    rows = {line.split(" | ")[0][2:]: line for line in text.splitlines() if "%)" in line}
    assert rows["frozen"].endswith("50.0% (50.0% to 50.0%) | 0.00 | 0.00% | missed |")
    assert rows["refreshed"].endswith("96.0% (96.0% to 96.0%) | 1.00 | 1.00% | met, surely |")
    assert rows["fine-tuned"].endswith("| 6.00 | 6.00% | missed |")


def some_users(n: int, length: int) -> ColdUsers:
    """Users without a common item, but that neighbours share the first of the second half."""
    items = torch.arange(n * length).view(n, length)
    return ColdUsers(
        IdMap(range(n)),
        Support(items[:, :2]),
        torch.arange(n + 1) * (length - 2),
        items[:, 2:].flatten(),
        item_ids=IdMap(range(n * length)),
        item_count=torch.ones(n * length, dtype=torch.long),
        n_train_users=3,
    )


def test_switched_users_are_two() -> None:
    users = some_users(4, 12)
    made = switched_users(users, before=3, after=2, n_query=3, most=4).users
    shown = made.first.item_index
    assert shown.shape == (4, 5)
    for row, user in enumerate(made.user_ids.ids):
        assert set((shown[row, :3] // 12).tolist()) == {user}
        others = {*(shown[row, 3:] // 12).tolist(), *(made.query(row) // 12).tolist()}
        assert len(others) == 1
        assert user not in others
        assert (shown[row] % 12).tolist() == [0, 1, 2, 3, 4]  # Places stay places.
        assert (made.query(row) % 12).tolist() == [5, 6, 7]
    alone = switched_users(users, before=3, after=2, n_query=3, most=2, are_switched=False)
    assert bool(
        (
            alone.users.first.item_index // 12
            == alone.users.user_ids.to_ids(torch.arange(2)).reshape(-1, 1)
        ).all()
    )
    with pytest.raises(DataError, match="0 users have the 23 items"):
        switched_users(users, before=10, after=2, n_query=1, most=2)


class Counts:
    """Scores every item by how many are shown."""

    def fit(self, train: object) -> "Counts":
        return self

    def score(self, support: Support) -> torch.Tensor:
        return support.size.unsqueeze(1).float()


def test_a_cut_counts_from_its_alarm_on() -> None:
    users = switched_users(some_users(3, 12), before=3, after=2, n_query=3, most=3).users
    model = CutModel(Counts(), users, [None, (4, 3), (5, 1)])
    for k, expected in ((3, [3, 3, 3]), (4, [4, 1, 4]), (5, [5, 2, 4])):
        assert model.score(users.support(k)).flatten().tolist() == expected


def test_the_report_on_interests_by_hand() -> None:
    alarms = pd.DataFrame(
        {
            "seed": 0,
            "is_switched": [True, True, True, True, False],
            "change": 40,
            "alarm": [30, 44, 48, np.nan, np.nan],
            "cut": [20, 41, 38, np.nan, np.nan],
        }
    )
    rows = [
        {"user": u, "k": k, "n_after": k - 40, "ndcg@10": v, "way": way}
        for u in range(6)
        for k in (45, 50)
        for way, v in (("everything", 0.2), ("half-life 5", 0.2 + 0.01 * u))
    ]
    both = [pd.DataFrame(rows).assign(seed=0, is_switched=kind) for kind in (True, False)]
    text = interest_report(pd.concat(both), alarms, name="made")
    assert "| change | 25% | 25% | 50% | 6 | 2 |" in text
    assert "| do not change | 0% | 0% | 0% |  |  |" in text
    assert "| half-life 5 | 0.2250 (+0.0250" in text


def test_the_interest_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "interest.md"
    words = ["--seeds", "0", "--epochs", "0", "--users", "3", "--before", "6", "--after", "2"]
    words += ["--query", "4", "--out", str(out)]
    assert main_interest(words) == 0
    assert "| re-adapted after an alarm |" in out.read_text()
    assert main_interest(["--users", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err

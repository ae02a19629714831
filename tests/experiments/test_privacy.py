"""The experiment on private training, on planted users."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.experiments import privacy
from graphmeta.experiments.privacy_report import EVERYBODY, OPEN, report, shares, under
from graphmeta.privacy import open_users
from graphmeta.ranking import ColdStartRecommender


def planted(typed: Any = None) -> Iterator[tuple[ColdSplit, ColdStartRecommender]]:
    split = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1)
    yield split, model.fit(split.train, split.validation)


def test_the_command_and_that_it_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(privacy, "fitted_splits", planted)
    out, kept = tmp_path / "privacy.md", tmp_path / "kept"
    words = ["--epsilons", "8", "inf", "--open-share", "0.4", "--open-epochs", "1"]
    words += ["--min-steps", "1", "--private-steps", "2", "--kept", str(kept), "--out", str(out)]
    assert privacy.main(words) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}
    assert {EVERYBODY, OPEN, "epsilon 8", "no noise"} < rows.keys()
    assert "![NDCG@10 by epsilon](privacy.png)" in text
    assert out.with_suffix(".png").exists()
    assert len(list(kept.glob("*.parquet"))) == 4
    monkeypatch.setattr(privacy, "figures_of", lambda *_: pytest.fail("it was there"))
    assert privacy.main(words) == 0
    assert out.read_text().split("`")[0] == text.split("`")[0]
    monkeypatch.undo()
    monkeypatch.setattr(privacy, "fitted_splits", planted)
    assert privacy.main([*words, "--open-share", "0.3"]) == 0
    assert len(list(kept.glob("*.parquet"))) == 8  # Figures of other options take no one's place.


def test_members_are_private_users_cut_as_test_users_are() -> None:
    split, _ = next(planted())
    is_private = ~open_users(split.train, 0.5)
    members = privacy.members_of(split, is_private)
    private = set(split.train["user"].id_map.ids[is_private.numpy()])
    assert set(members.user_ids.ids) <= private
    assert members.k_max == split.test.k_max
    assert int(members.query_ptr.diff().min()) >= 5


def test_the_report_by_hand() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for name, level, gap in ((EVERYBODY, 0.8, 2.0), (OPEN, 0.4, 0.0), (under(8), 0.6, 0.0)):
        for is_member in (True, False):
            loss = rng.normal(5 - gap * is_member, 0.1, 60)
            part = pd.DataFrame({"user": np.arange(60) + 100 * is_member, "loss": loss})
            ndcg = math.nan if is_member else level
            parts.append(
                part.assign(is_member=is_member, method=name, seed=0, n_open=9, **{"5": ndcg})
            )
    found = pd.concat(parts, ignore_index=True).assign(epsilon=8.0)
    share = shares(found[~found["is_member"]])
    assert share.loc["epsilon 8"].tolist() == pytest.approx([0.75] * 3)
    text = report(found, None, "made")
    assert "| epsilon 8 | 8.00 | 0.6000 | 75.0% (75.0% to 75.0%) | **+0.2000**" in text
    assert f"| {EVERYBODY} | 1.000 (1.000 to 1.000) | 100.0%" in text
    assert "9 training users are open" in text


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert privacy.main(["--epsilons", "0"]) == 2
    assert "must be above 0" in capsys.readouterr().err

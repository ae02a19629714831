"""The report on what the long tail costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graphmeta.experiments.popularity import Found, claims, main
from graphmeta.experiments.popularity_frontier import PLAIN, WAYS


def test_claims_by_hand() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for seed in (0, 1):
        for user in range(40):
            ndcg = rng.uniform(0.4, 0.6)
            rows.append((seed, f"u{user}", PLAIN, 0.0, ndcg, 0.1))
            for way in WAYS:
                lost = 0.02 + 0.01 * rng.normal() if way == "niche" else 0.0
                rows.append((seed, f"u{user}", way, 0.5 + seed, ndcg - lost, 0.2 + 0.1 * seed))
    names = ["seed", "user", "way", "strength", "ndcg@10", "tail_share@10"]
    per_user = pd.DataFrame(rows, columns=names).assign(k=3)
    table = claims(Found(pd.DataFrame(), per_user, pd.DataFrame())).set_index("way")
    plain, niche = (per_user[per_user["way"] == way]["ndcg@10"] for way in (PLAIN, "niche"))
    row = table.loc["niche"]
    assert row["difference"] == pytest.approx(niche.mean() - plain.mean())
    assert row["lower"] < row["difference"] < row["upper"] < 0
    assert row["lost"] == pytest.approx(1 - niche.mean() / plain.mean())
    assert row["strength"] == "0.5, 1.5"
    assert (row["before"], row["share"]) == (pytest.approx(0.1), pytest.approx(0.25))
    assert row["p"] == pytest.approx(3 / 10_000)  # The least p there is, times three rows.
    assert table.loc["calibrated", "p"] == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "popularity.md"
    words = ["--k", "1", "3", "5", "--seeds", "0", "--epochs", "0", "--out", str(out)]
    assert main(words) == 0
    text = out.read_text()
    assert "test users of 1 splits" in text
    for way in WAYS:
        assert text.count(f"| {way} | 3 |") == 2
    assert "![NDCG@10 against the share of the long tail](popularity.png)" in text
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert text.strip() in capsys.readouterr().out


def test_what_cannot_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--k", "0"], ["--most-lost", "0"], ["--times", "0"]):
        assert main(words) == 2
        assert "--most-lost" in capsys.readouterr().err

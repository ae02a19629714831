"""The benchmark over data sets: what it leaves, how it goes on, and what it compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from graphmeta.data import planted_interactions
from graphmeta.experiments.benchmark import main
from graphmeta.experiments.benchmark_merge import main as merge_main
from graphmeta.experiments.benchmark_report import gain_table, write_report
from graphmeta.experiments.benchmark_runs import DataSetRun, with_ours
from graphmeta.experiments.run_folder import RunFolder

SMALL = ["--seeds", "0", "--quick", "--workers", "1"]
FEW = ["popularity", "item-knn", "unadapted", "adapted"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root whose local sets are planted ones of the shape of two real sets."""
    root = tmp_path_factory.mktemp("root")
    for seed, name in enumerate(("filmtrust", "gowalla")):
        (root / name).mkdir()
        frame = planted_interactions(150, 50, per_user=20, seed=seed)
        frame.to_parquet(root / name / "interactions.parquet")
    return root


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over one data set."""
    out = tmp_path_factory.mktemp("runs") / "benchmark"
    line = ["--data", "filmtrust", "--data-root", str(root), "--methods", *FEW]
    assert main([*SMALL, *line, "--out", str(out)]) == 0
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def test_a_run_leaves_a_row_for_each_method_size_and_seed(finished: Path) -> None:
    rows = rows_of(finished)
    assert len(rows) == len(FEW) * 5
    assert {(row["method"], row["k"]) for row in rows} == {
        (name, k) for name in FEW for k in (0, 1, 3, 5, 10)
    }
    cell = pd.read_parquet(finished / "filmtrust/cells/seed-0/item-knn/per_user.parquet")
    row = next(row for row in rows if row["method"] == "item-knn" and row["k"] == 3)
    assert row["ndcg@10"] == pytest.approx(cell[cell["k"] == 3]["ndcg@10"].mean())
    assert row["data"] == "filmtrust"
    assert row["seed"] == 0
    assert row["n_users"] == len(cell) / 5


def test_the_report_the_twin_and_the_per_user_values_agree(finished: Path) -> None:
    report = (finished / "report.md").read_text()
    assert report.startswith("# SMOKE RUN, not a result: Benchmark")
    twin = json.loads((finished / "benchmark.json").read_text())
    assert [gain["k"] for gain in twin["gains"]] == [1, 3, 5, 10]
    per_user = pd.read_parquet(finished / "per_user.parquet")
    for gain in twin["gains"]:
        at = per_user[per_user["k"] == gain["k"]]
        mean = at.groupby("method")["ndcg@10"].mean()
        assert gain["ours"] == pytest.approx(mean["graphmeta"], abs=1e-6)
        assert gain["best"] == pytest.approx(max(mean["popularity"], mean["item-knn"]), abs=1e-6)
        assert f"{gain['gain']:+.1%}" in report
    assert set(twin["seconds"]["filmtrust"]) == set(FEW)
    assert [*twin["commits"]["filmtrust"].values()] == [FEW]
    for name in ("gains.png", "shot_curves.png", "helped.png"):
        assert (finished / name).read_bytes().startswith(b"\x89PNG")


def test_a_run_goes_on_with_more_sets_and_methods_and_keeps_its_cells(
    finished: Path, root: Path
) -> None:
    cell = finished / "filmtrust/cells/seed-0/adapted/cell.json"
    written, before = cell.stat().st_mtime_ns, rows_of(finished)
    more = ["--data", "filmtrust", "gowalla", "--methods", *FEW, "rm1"]
    assert main(["--resume", str(finished), "--data-root", str(root), *more]) == 0
    rows = rows_of(finished)
    assert cell.stat().st_mtime_ns == written
    assert len(rows) == 2 * 5 * 5
    assert all(row in rows for row in before)
    assert "## gowalla" in (finished / "report.md").read_text()
    sessions = json.loads((finished / "manifest.json").read_text())["sessions"]
    assert len(sessions) == 2
    inner = json.loads((finished / "filmtrust/manifest.json").read_text())
    assert inner["status"] == "finished"
    assert len(inner["continued"]) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            ["--data", "filmtrust", "gowala"],
            "there is no data set 'gowala'; did you mean 'gowalla'?",
        ),
        (["--data", "filmtrust", "yelp-herec"], "no folder"),
        (["--data", "filmtrust", "filmtrust"], "names a value twice"),
        (["--data", "filmtrust", "--methods", "itemknn"], "did you mean 'item-knn'"),
        (["--resume", "nowhere"], "no run to resume"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    line: list[str],
    message: str,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    out = [] if "--resume" in line else ["--out", "run"]
    assert main([*line, "--data-root", str(root), *out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def per_user_of(figures: dict[str, list[float]], k: int = 3) -> pd.DataFrame:
    rows = [
        {"seed": 0, "method": method, "user": user, "k": k, "ndcg@10": v, "recall@20": v / 2}
        for method, values in figures.items()
        for user, v in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_ours_is_what_the_gate_of_that_split_and_size_serves() -> None:
    one, other = ({"adapted": [0.4, 0.6], "unadapted": [0.1, 0.2]} for _ in range(2))
    frame = pd.concat([per_user_of(one, k=3), per_user_of(other, k=5)], ignore_index=True)
    gate = [
        {"method": "adapted", "seed": 0, "k": 3, "is_worth_adapting": True},
        {"method": "adapted", "seed": 0, "k": 5, "is_worth_adapting": False},
    ]
    ours = with_ours(frame, gate).query("method == 'graphmeta'")
    assert ours.query("k == 3")["ndcg@10"].tolist() == [0.4, 0.6]
    assert ours.query("k == 5")["ndcg@10"].tolist() == [0.1, 0.2]
    assert len(with_ours(frame.query("method == 'adapted'"), gate)) == 4


def test_gains_are_against_the_best_baseline_and_paired() -> None:
    n = 60
    figures = {
        "popularity": [0.2] * n,
        "ease": [0.5, 0.3] * (n // 2),
        "unadapted": [0.4, 0.3] * (n // 2),
        "adapted": [0.6, 0.4] * (n // 2),
    }
    gate = [{"method": "adapted", "seed": 0, "k": 3, "is_worth_adapting": True}]
    run = DataSetRun("planted", with_ours(per_user_of(figures), gate))
    (row,) = gain_table([run]).to_dict(orient="records")
    assert (row["data"], row["k"], row["baseline"]) == ("planted", 3, "ease")
    assert row["best"] == pytest.approx(0.4)
    assert row["ours"] == pytest.approx(0.5)
    assert row["gain"] == pytest.approx(0.25)
    assert row["recall_gain"] == pytest.approx(0.25)
    assert [row["lower"], row["upper"]] == pytest.approx([0.1, 0.1])
    assert row["helped"] == 1.0
    assert row["harmed"] == 0.0
    assert row["adapted_gain"] == pytest.approx(0.15)
    assert gain_table([DataSetRun("planted", per_user_of({"ease": [0.1]}))]).empty


def test_data_sets_of_fewer_than_three_splits_make_no_claim(tmp_path: Path) -> None:
    def run(name: str, ours: float, n_splits: int) -> DataSetRun:
        figures = {"ease": [0.4] * 20, "unadapted": [ours] * 20, "adapted": [ours] * 20}
        splits = [per_user_of(figures).assign(seed=seed) for seed in range(n_splits)]
        return DataSetRun(name, with_ours(pd.concat(splits, ignore_index=True), []))

    write_report(RunFolder(tmp_path), [run("toy", 0.5, 3), run("early", 0.1, 1)], "- a session")
    report = (tmp_path / "report.md").read_text()
    claims, early = report.split("## No claim yet")
    assert "Interval above 0 at every k on 1 of 1 data sets" in claims
    assert "the worst is +25.0%" in claims
    assert "| early |" not in claims
    assert "| early | 3 |" in early.split("## Does adapting pay?")[0]
    assert "## early, 20 test users, 1 split\n" in report
    assert "## toy, 60 test users, 3 splits\n" in report
    assert report.count("(gains.png)") == 1
    gains = json.loads((tmp_path / "benchmark.json").read_text())["gains"]
    assert {gain["data"]: gain["splits"] for gain in gains} == {"toy": 3, "early": 1}


def left_by(finished: Path, out: Path) -> Path:
    """Copy what a run leaves, without its cells."""
    out.mkdir()
    for name in ("benchmark.json", "per_user.parquet", "rows.jsonl"):
        (out / name).write_bytes((finished / name).read_bytes())
    return out


def test_the_report_of_what_a_run_left_is_the_runs_own(finished: Path, tmp_path: Path) -> None:
    left = left_by(finished, tmp_path / "left")
    assert merge_main([str(left), "--out", str(tmp_path / "both")]) == 0
    both = tmp_path / "both"
    assert (both / "report.md").read_text() == (finished / "report.md").read_text()
    assert sorted(map(str, rows_of(both))) == sorted(map(str, rows_of(finished)))
    frames = [pd.read_parquet(path / "per_user.parquet") for path in (both, finished)]
    pd.testing.assert_frame_equal(frames[0][list(frames[1])], frames[1])


def test_of_two_runs_of_a_data_set_the_later_one_counts(finished: Path, tmp_path: Path) -> None:
    left = left_by(finished, tmp_path / "left")
    twin = json.loads((left / "benchmark.json").read_text())
    for part in ("tuning", "notes"):
        twin[part] = {"yelp-herec": twin[part]["filmtrust"]}
    twin["sessions"] = "- another session"
    (left / "benchmark.json").write_text(json.dumps(twin))
    frame = pd.read_parquet(left / "per_user.parquet")
    frame = frame[frame["data"] == "filmtrust"].assign(data="yelp-herec")
    frame.to_parquet(left / "per_user.parquet")
    rows = (left / "rows.jsonl").read_text()
    (left / "rows.jsonl").write_text(rows.replace("filmtrust", "yelp-herec"))
    both = tmp_path / "both"
    assert merge_main([str(left), str(finished), str(finished), "--out", str(both)]) == 0
    report = (both / "report.md").read_text()
    assert report.index("## filmtrust, ") < report.index("## yelp-herec, ")
    assert "- another session\n- `python" in report
    of_film = [row for row in rows_of(finished) if row["data"] == "filmtrust"]
    assert [row for row in rows_of(both) if row["data"] == "filmtrust"] == of_film
    assert len([row for row in rows_of(both) if row["data"] == "yelp-herec"]) == len(of_film)


def test_splits_that_ran_apart_are_pooled() -> None:
    def run(seed: int, level: float) -> DataSetRun:
        frame = per_user_of({"ease": [level, level]}).assign(seed=seed)
        row = {"seed": seed, "method": "ease", "seconds": 10.0 * level, "commit": f"c{seed}"}
        return DataSetRun("toy", frame, rows=[row], tuning=[{"seed": seed}], notes=[f"n{seed}"])

    both = run(1, 0.3).with_earlier(run(0, 0.1))
    assert both.seeds == {0, 1}
    assert both.n_users == 4
    assert both.seconds == {"ease": 2.0}
    assert both.commits == {"c0": ["ease"], "c1": ["ease"]}
    assert both.notes == ["n0", "n1"]
    assert both.tuning == [{"seed": 0}, {"seed": 1}]
    later = run(0, 0.5).with_earlier(both)
    assert later.per_user.groupby("seed")["ndcg@10"].mean().to_dict() == {0: 0.5, 1: 0.3}
    assert later.with_earlier(run(0, 0.9)) is later


@pytest.mark.parametrize(
    ("twin", "message"),
    [
        (None, "has no benchmark.json; give the folder"),
        ("{}", "are not what a benchmark leaves"),
        ("{", "are not what a benchmark leaves"),
    ],
)
def test_a_folder_without_a_benchmark_is_told(
    twin: str | None,
    message: str,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = left_by(finished, tmp_path / "left")
    (left / "benchmark.json").unlink()
    if twin is not None:
        (left / "benchmark.json").write_text(twin)
    assert merge_main([str(left), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_in_which_nothing_has_finished_is_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "begun").mkdir()
    begun = tmp_path / "begun" / "manifest.json"
    begun.write_bytes((finished / "manifest.json").read_bytes())
    assert merge_main([str(begun.parent), "--out", str(tmp_path / "out")]) == 2
    assert "no data set has finished in these folders" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

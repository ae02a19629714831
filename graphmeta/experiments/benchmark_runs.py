"""The runs that a benchmark's report is made from, as their folder or their report left them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from graphmeta.errors import DataError, DataNotFoundError
from graphmeta.experiments.benchmark_rows import ROWS
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.run_folder import MANIFEST, RunFolder
from graphmeta.experiments.sessions import session_lines

OURS = "graphmeta"
RECALL = "recall@20"
TWIN, PER_USER = "benchmark.json", "per_user.parquet"


@dataclass(frozen=True)
class DataSetRun:
    """The finished run of one data set.

    Args:
        name: The data set.
        per_user: Columns seed, method, user (a number), k, ndcg@10 and recall@20; `OURS` among
            the methods where the run has the adapted and the unadapted encoder.
        rows: Those of the data set in `rows.jsonl`: who computed what, and how long it took.
        tuning: What validation users chose, by seed, method and k.
        notes: What the run found about itself.
        is_smoke: A quick run, no result.
    """

    name: str
    per_user: pd.DataFrame
    rows: Sequence[dict[str, Any]] = ()
    tuning: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()
    is_smoke: bool = False

    @property
    def seeds(self) -> set[int]:
        """The split seeds."""
        return set(map(int, self.per_user["seed"].unique()))

    @property
    def n_users(self) -> int:
        """Test users, each counted once per split."""
        return len(self.per_user[["seed", "user"]].drop_duplicates())

    @property
    def seconds(self) -> dict[str, float]:
        """Mean seconds of a split (tuning, training and scoring), by method."""
        took = {(row["method"], row["seed"]): row["seconds"] for row in self.rows}
        by_method: dict[str, list[float]] = {}
        for (method, _), seconds in took.items():
            by_method.setdefault(method, []).append(seconds)
        return {name: round(sum(each) / len(each), 1) for name, each in by_method.items()}

    @property
    def commits(self) -> dict[str, list[str]]:
        """The methods that each commit computed."""
        made: dict[str, list[str]] = {}
        for row in self.rows:
            methods = made.setdefault(row["commit"] or "not in a checkout", [])
            methods += [] if row["method"] in methods else [row["method"]]
        return made

    def with_earlier(self, earlier: DataSetRun) -> DataSetRun:
        """Return this run and those splits of an earlier one that it does not have."""
        seeds = earlier.seeds - self.seeds
        kept = earlier.per_user[earlier.per_user["seed"].isin(seeds)]
        if not seeds:
            return self
        return replace(
            self,
            per_user=pd.concat([kept, self.per_user], ignore_index=True),
            rows=[*(row for row in earlier.rows if row["seed"] in seeds), *self.rows],
            tuning=[*(row for row in earlier.tuning if row["seed"] in seeds), *self.tuning],
            notes=list(dict.fromkeys([*earlier.notes, *self.notes])),
            is_smoke=earlier.is_smoke or self.is_smoke,
        )


def runs_of(path: Path) -> tuple[list[DataSetRun], str]:
    """Return the finished runs of a benchmark's folder, and its sessions as a Markdown list.

    The folder may be that of a run, which holds a folder for each data set, or only what such a
    run left: `benchmark.json`, `per_user.parquet` and `rows.jsonl`.

    Raises:
        DataNotFoundError: There is no benchmark in the folder.
        DataError: What a run left cannot be read.
    """
    folder = RunFolder(path)
    if folder.read_json(MANIFEST) is not None:
        rows = _rows(path)
        found = (_finished(place, rows) for place in sorted(path.iterdir()))
        return [run for run in found if run is not None], session_lines(folder)
    missing = [name for name in (TWIN, PER_USER, ROWS) if not (path / name).is_file()]
    if missing:
        raise DataNotFoundError(
            f"{path} holds no benchmark: it is not the folder of a run, and has no {missing[0]}; "
            "give the folder of one"
        )
    try:
        return _left(path)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(
            f"the files in {path} are not what a benchmark leaves ({type(error).__name__}: "
            f"{error}); make them anew"
        ) from error


def _left(path: Path) -> tuple[list[DataSetRun], str]:
    twin = json.loads((path / TWIN).read_text(encoding="utf-8"))
    per_user, rows = pd.read_parquet(path / PER_USER), _rows(path)
    runs = [
        DataSetRun(
            name,
            per_user[per_user["data"] == name].drop(columns="data"),
            rows=[row for row in rows if row["data"] == name],
            tuning=twin["tuning"][name],
            notes=twin["notes"][name],
            is_smoke=twin["is_smoke"],
        )
        for name in twin["tuning"]
    ]
    return runs, twin["sessions"]


def _rows(path: Path) -> list[dict[str, Any]]:
    place = path / ROWS
    lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    return [json.loads(line) for line in lines]


def _finished(path: Path, rows: Sequence[dict[str, Any]]) -> DataSetRun | None:
    """Return a data set's run, None where there is none or it has not finished."""
    folder = RunFolder(path)
    metrics, manifest = folder.read_json("metrics.json"), folder.read_json(MANIFEST)
    if metrics is None or manifest is None or manifest["status"] != "finished":
        return None
    return DataSetRun(
        path.name,
        _small(with_ours(pd.read_parquet(path / PER_USER), metrics["tuning"])),
        rows=[row for row in rows if row["data"] == path.name],
        tuning=metrics["tuning"],
        notes=metrics["notes"],
        is_smoke=metrics["quick"],
    )


def _small(per_user: pd.DataFrame) -> pd.DataFrame:
    """Return the two metrics of the tables in single precision; users as numbers of their ids."""
    kinds = {SHOWN: "float32", RECALL: "float32", "k": "int8", "seed": "int16"}
    out = per_user[["seed", "method", "user", "k", SHOWN, RECALL]].astype(kinds)
    number = {
        user: int.from_bytes(hashlib.blake2b(str(user).encode(), digest_size=7).digest(), "big")
        for user in out["user"].unique()
    }
    return out.assign(user=out["user"].map(number))


def with_ours(per_user: pd.DataFrame, tuning: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the metrics with those of `OURS`: adapted where the gate of that split and k says so.

    That is what `ColdStartRecommender` serves. The gate is chosen on validation users.

    Args:
        per_user: Columns seed, method, user, k and the metrics.
        tuning: What validation users chose; the gate among it.
    """
    if not {"adapted", "unadapted"} <= set(per_user["method"]):
        return per_user
    gate = {
        (row["seed"], row["k"]): bool(row["is_worth_adapting"])
        for row in tuning
        if row["method"] == "adapted"
    }
    is_adapted = [gate.get(key, False) for key in zip(per_user["seed"], per_user["k"], strict=True)]
    served = pd.Series(is_adapted, index=per_user.index).map({True: "adapted", False: "unadapted"})
    ours = per_user[per_user["method"] == served].assign(method=OURS)
    return pd.concat([per_user, ours], ignore_index=True)

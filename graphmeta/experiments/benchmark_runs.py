"""The runs that a benchmark's report is made from, as their folder or their report left them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from graphmeta.errors import DataError, DataNotFoundError
from graphmeta.experiments.run_folder import MANIFEST, RunFolder
from graphmeta.experiments.sessions import session_lines

OURS = "graphmeta"
TWIN, PER_USER = "benchmark.json", "per_user.parquet"


@dataclass(frozen=True)
class DataSetRun:
    """The finished run of one data set.

    Args:
        name: The data set.
        per_user: Columns seed, method, user, k and the metrics; `OURS` among the methods where
            the run has the adapted and the unadapted encoder.
        n_users: Test users, each counted once per split.
        is_smoke: A quick run, no result.
        tuning: What validation users chose, by seed, method and k.
        notes: What the run found about itself.
        seconds: Mean seconds of a split (tuning, training and scoring), by method.
        commits: The methods that each commit computed.
    """

    name: str
    per_user: pd.DataFrame
    n_users: int = 0
    is_smoke: bool = False
    tuning: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()
    seconds: dict[str, float] | None = None
    commits: dict[str, list[str]] | None = None


def runs_of(path: Path) -> tuple[list[DataSetRun], str]:
    """Return the finished runs of a benchmark's folder, and its sessions as a Markdown list.

    The folder may be that of a run, which holds a folder for each data set, or only what such a
    run left: `benchmark.json` and `per_user.parquet`.

    Raises:
        DataNotFoundError: There is no benchmark in the folder.
        DataError: What a run left cannot be read.
    """
    folder = RunFolder(path)
    if folder.read_json(MANIFEST) is not None:
        found = (_finished(place) for place in sorted(path.iterdir()))
        return [run for run in found if run is not None], session_lines(folder)
    if not (path / TWIN).is_file() or not (path / PER_USER).is_file():
        raise DataNotFoundError(
            f"{path} holds no benchmark: neither a run nor {TWIN} and {PER_USER}; give the folder "
            "of one"
        )
    return _left(path)


def _left(path: Path) -> tuple[list[DataSetRun], str]:
    try:
        twin = json.loads((path / TWIN).read_text(encoding="utf-8"))
        per_user = pd.read_parquet(path / PER_USER)
        runs = [
            DataSetRun(
                name,
                per_user[per_user["data"] == name].drop(columns="data"),
                n_users=about["n_users"],
                is_smoke=about["is_smoke"],
                tuning=twin["tuning"][name],
                notes=twin["notes"][name],
                seconds=twin["seconds"][name],
                commits=twin["commits"][name],
            )
            for name, about in twin["runs"].items()
        ]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{path / TWIN} and {PER_USER} beside it are not what a benchmark leaves "
            f"({type(error).__name__}: {error}); make them anew"
        ) from error
    return runs, twin["sessions"]


def _finished(path: Path) -> DataSetRun | None:
    """Return a data set's run, None where there is none or it has not finished."""
    folder = RunFolder(path)
    metrics, manifest = folder.read_json("metrics.json"), folder.read_json(MANIFEST)
    if metrics is None or manifest is None or manifest["status"] != "finished":
        return None
    took: dict[str, list[float]] = {}
    made: dict[str, list[str]] = {}
    for cell in manifest["cells"]:
        took.setdefault(cell["method"], []).append(cell["seconds"])
        methods = made.setdefault(cell["commit"] or "not in a checkout", [])
        methods += [] if cell["method"] in methods else [cell["method"]]
    return DataSetRun(
        path.name,
        with_ours(pd.read_parquet(path / PER_USER), metrics["tuning"]),
        n_users=metrics["n_users"],
        is_smoke=metrics["quick"],
        tuning=metrics["tuning"],
        notes=metrics["notes"],
        seconds={name: round(sum(values) / len(values), 1) for name, values in took.items()},
        commits=made,
    )


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

"""What a benchmark leaves: its report, the machine-readable twin, per-user values and figures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from graphmeta.experiments.benchmark_figures import draw_gains, draw_helped, draw_shot_curves
from graphmeta.experiments.benchmark_runs import (
    OURS,
    PER_USER,
    RECALL,
    TWIN,
    DataSetRun,
    runs_of,
)
from graphmeta.experiments.cell import plain_rows
from graphmeta.experiments.contrasts import MIN_SPLITS, SHOWN, best_of
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.methods import METHODS
from graphmeta.experiments.result_table import short
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.explain.figure import has_matplotlib
from graphmeta.ranking.significance import compare_paired, holm

BASELINES = [method.name for method in METHODS if method.is_baseline]
FIGURES = {"gains.png": draw_gains, "shot_curves.png": draw_shot_curves, "helped.png": draw_helped}


def write_benchmark(folder: RunFolder) -> None:
    """Write the outcome of every data set of a benchmark's folder that has finished.

    Raises:
        OutputError: A file cannot be written.
    """
    runs, sessions = runs_of(folder.path)
    if runs:
        write_report(folder, runs, sessions)


def write_report(folder: RunFolder, runs: Sequence[DataSetRun], sessions: str) -> None:
    """Write report, twin, per-user values and figures.

    Args:
        folder: Where they go.
        runs: In the order of the report.
        sessions: Who computed the cells, as a Markdown list.

    Raises:
        OutputError: A file cannot be written.
    """
    gains = gain_table(runs)
    per_user = [run.per_user.assign(data=run.name) for run in runs]
    folder.write_frame(PER_USER, pd.concat(per_user, ignore_index=True))
    twin = {
        "sessions": sessions,
        "is_smoke": any(run.is_smoke for run in runs),
        "gains": plain_rows(gains),
        "means": plain_rows(_means(runs)),
        "seconds": {run.name: run.seconds for run in runs},
        "commits": {run.name: run.commits for run in runs},
        "tuning": {run.name: list(run.tuning) for run in runs},
        "notes": {run.name: list(run.notes) for run in runs},
    }
    folder.write_json(TWIN, twin)
    figures = list(FIGURES) if has_matplotlib() and len(gains) else []
    claims, early = _claims(gains)
    drawn = claims if len(claims) else early
    for name in figures:
        folder.write(name, lambda path, draw=FIGURES[name]: draw(path, drawn))  # type: ignore[misc]
    folder.write_text("report.md", _report(runs, gains, sessions, figures))


def gain_table(runs: Sequence[DataSetRun]) -> pd.DataFrame:
    """Return `OURS` against the best baseline of each data set and k, paired by user.

    The best baseline is the one with the highest mean on these very test users, the hardest choice.
    p-values are Holm-corrected over all rows.

    Returns:
        Columns data, splits (their number), k, ours, best (its mean), baseline (its name), those
        of `compare_paired` in NDCG@10, gain (relative), lower_gain, upper_gain, recall_gain
        (relative, against the same baseline), adapted_gain (adapted less unadapted), its interval,
        and p_holm.
    """
    tables = []
    for run in runs:
        shown = run.per_user[run.per_user["k"] > 0]
        names = [name for name in BASELINES if name in set(shown["method"])]
        if not names or OURS not in set(shown["method"]):
            continue
        best = best_of(shown, names)
        ours = shown[shown["method"] == OURS]
        rival = shown[shown["method"] == shown["k"].map(best)]
        found = compare_paired(ours, rival, metric=SHOWN)
        recall = compare_paired(ours, rival, metric=RECALL)
        adapting = compare_paired(
            shown[shown["method"] == "adapted"], shown[shown["method"] == "unadapted"], metric=SHOWN
        )
        level = rival.groupby("k")[[SHOWN, RECALL]].mean().loc[found["k"]].reset_index()
        tables.append(
            found.assign(
                data=run.name,
                splits=len(run.seeds),
                baseline=found["k"].map(best),
                ours=level[SHOWN] + found["difference"],
                best=level[SHOWN],
                gain=found["difference"] / level[SHOWN],
                lower_gain=found["lower"] / level[SHOWN],
                upper_gain=found["upper"] / level[SHOWN],
                recall_gain=recall["difference"] / level[RECALL],
                adapted_gain=adapting["difference"],
                adapted_lower=adapting["lower"],
                adapted_upper=adapting["upper"],
            )
        )
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    return table.assign(p_holm=holm(table["p_value"]))


def _claims(gains: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of data sets with enough splits for a claim, and the others."""
    if gains.empty:
        return gains, gains
    is_claim = gains["splits"] >= MIN_SPLITS
    return gains[is_claim], gains[~is_claim]


def _means(runs: Sequence[DataSetRun]) -> pd.DataFrame:
    """Return the mean NDCG@10 and Recall@20 of each data set, method and k."""
    tables = [
        run.per_user.groupby(["method", "k"], sort=False)[[SHOWN, RECALL]]
        .mean()
        .reset_index()
        .assign(data=run.name)
        for run in runs
    ]
    return pd.concat(tables, ignore_index=True)


def _report(
    runs: Sequence[DataSetRun], gains: pd.DataFrame, sessions: str, figures: Sequence[str]
) -> str:
    is_smoke = any(run.is_smoke for run in runs)
    parts = [
        ("# SMOKE RUN, not a result: " if is_smoke else "# ") + "Benchmark of few-shot ranking",
        sessions,
        "Each data set has a run of its own: the same splits and test users for all methods, each "
        "tuned for each k on validation users. `graphmeta` is one configuration everywhere, that "
        "of `ColdStartRecommender()`, adapted where its gate chose so on validation users. It is "
        "compared with the baseline that is best at that k *on these very test users*. Intervals "
        "are 95 % paired bootstraps over users, p of a sign-flip test, Holm-corrected over the "
        "whole table.",
    ]
    claims, early = _claims(gains)
    pictures = [f"![{name.removesuffix('.png')}]({name})" for name in figures]
    if len(claims):
        parts += ["## Against the best baseline", _summary(claims), *pictures, _gains(claims)]
    if len(early):
        parts += [
            "## No claim yet",
            f"These have fewer than {MIN_SPLITS} splits, so nothing is claimed of them.",
            *([] if len(claims) else pictures),
            _gains(early),
        ]
    if len(gains):
        parts += [
            "## Does adapting pay?\n\nAdapted less unadapted encoder, all users, whatever the gate "
            "chose.",
            _adapting(gains),
        ]
    for run in runs:
        title = f"## {run.name}, {run.n_users} test users, {_splits(len(run.seeds))}"
        parts += [title, _methods(run)]
        notes = [f"commit {made}: {', '.join(names)}" for made, names in run.commits.items()]
        parts += ["\n".join(f"- {note}" for note in [*notes, *run.notes])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _splits(number: int) -> str:
    return f"{number} split" + "s" * (number != 1)


def _summary(gains: pd.DataFrame) -> str:
    is_above = gains["lower"] > 0
    sets = is_above.groupby(gains["data"]).all()
    by_k = ", ".join(
        f"{value:+.1%} at k = {k}" for k, value in gains.groupby("k")["gain"].mean().items()
    )
    return "\n".join(
        [
            f"- Interval above 0 at every k on {int(sets.sum())} of {len(sets)} data sets, at "
            f"{int(is_above.sum())} of {len(gains)} pairs of data set and k; below 0 at "
            f"{int((gains['upper'] < 0).sum())}.",
            f"- Mean relative gain in NDCG@10 {gains['gain'].mean():+.1%} ({by_k}); the worst is "
            f"{gains['gain'].min():+.1%}.",
            f"- Mean relative gain in Recall@20 {gains['recall_gain'].mean():+.1%}; the worst is "
            f"{gains['recall_gain'].min():+.1%}.",
        ]
    )


def _gains(gains: pd.DataFrame) -> str:
    rows = [
        [
            row["data"],
            str(row["k"]),
            short(row["ours"], 4),
            f"{short(row['best'], 4)} {row['baseline']}",
            short(row["difference"], 4, sign=True),
            f"{short(row['lower'], 4, sign=True)} to {short(row['upper'], 4, sign=True)}",
            f"{row['gain']:+.1%}",
            f"{row['recall_gain']:+.1%}",
            f"{row['helped']:.0%}",
            f"{row['harmed']:.0%}",
            short(row["p_holm"], 4),
        ]
        for row in gains.to_dict(orient="records")
    ]
    header = ["data", "k", OURS, "best baseline", "difference", "interval", "gain"]
    return markdown_table([*header, "Recall@20", "helped", "harmed", "p"], rows)


def _adapting(gains: pd.DataFrame) -> str:
    sizes = sorted(gains["k"].unique())
    rows = []
    for name, part in gains.groupby("data", sort=False):
        by_k = part.set_index("k")
        cells = [
            f"{short(row['adapted_gain'], 4, sign=True)} "
            f"({short(row['adapted_lower'], 4, sign=True)} to "
            f"{short(row['adapted_upper'], 4, sign=True)})"
            if (row := by_k.loc[k] if k in by_k.index else None) is not None
            else ""
            for k in sizes
        ]
        rows.append([str(name), *cells])
    return markdown_table(["data", *(f"k = {k}" for k in sizes)], rows)


def _methods(run: DataSetRun) -> str:
    means = run.per_user.groupby(["method", "k"], sort=False)[SHOWN].mean().unstack()
    rows = []
    for method, row in means.iterrows():
        cells = [
            f"**{short(v, 4)}**" if v == means[k].max() else short(v, 4) for k, v in row.items()
        ]
        took = run.seconds.get(str(method))
        rows.append([str(method), *cells, "" if took is None else f"{took:.0f}"])
    return markdown_table(["NDCG@10", *(f"k = {k}" for k in means.columns), "s"], rows)

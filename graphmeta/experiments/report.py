"""The report that a run leaves beside its tables: every figure, and who made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from graphmeta.experiments.figures import SHOT_CURVE
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.pooled import METRICS
from graphmeta.experiments.result_table import CONTRAST_COLUMNS, SHOWN, contrast_cells, short

# What a row of tuning holds besides the chosen values.
_NO_CHOICE = {"seed", "method", "k", SHOWN, "n_tried", "at_edge"}


def report_markdown(
    summary: pd.DataFrame, metrics: dict[str, Any], manifest: dict[str, Any], *, has_figures: bool
) -> str:
    """Return the report of a finished run as Markdown.

    Args:
        summary: Columns method, k, metric, mean, lower, upper, n_users.
        metrics: The content of `metrics.json`.
        manifest: The content of `manifest.json`.
        has_figures: Whether the run drew its figures.
    """
    quick = "SMOKE RUN, not a result: " if metrics["quick"] else ""
    parts = [
        f"# {quick}{metrics['data']}, {metrics['n_users']} held-out users",
        _origin(metrics, manifest),
        f"![NDCG@10 by support size]({SHOT_CURVE})" if has_figures else "",
        "## NDCG@10\n\nThe mean over held-out users ± half its 95 % bootstrap interval; the best "
        "of each column is bold.",
        _methods(summary, metrics, SHOWN, is_best_marked=True),
        *_comparisons(metrics["contrasts"]),
        "\n".join(["## Notes", "", *(f"- {note}" for note in metrics["notes"])])
        if metrics["notes"]
        else "",
        *(
            f"## {_title(name)}\n\n{_methods(summary, metrics, name)}"
            for name in METRICS
            if name != SHOWN
        ),
        "## The catalogue in the top ten\n\nMeans over splits. Coverage is the share of the "
        "catalogue that is recommended to someone, Gini its inequality (0 is even), popularity "
        "the mean share of training users who know an item, novelty its mean negative log2. The "
        "tail share is that of the long tail, the least known items with 20 % of the training "
        "interactions; tail NDCG counts these alone. Niche and mainstream NDCG are those of the "
        "thirds of the users whose first items are the least and the best known, and the taste gap "
        "is the second less the first.",
        _catalogue(metrics["catalogue"]),
        "## What validation users chose\n\nOne value for each split, in the order of the seeds.",
        _tuning(metrics["tuning"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(metrics: dict[str, Any], manifest: dict[str, Any]) -> str:
    data, machine = manifest["data"], manifest["machine"]
    splits = ", ".join(
        f"{s['training_users']}/{s['validation_users']}/{s['test_users']}"
        for s in manifest["splits"]
    )
    lines = [
        f"- Command: `{manifest['command']}`",
        f"- Commit: {'; continued at '.join(_commits(manifest))}",
        f"- Date: {manifest['finished']}",
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"GPU: {machine['gpu'] or 'none'}",
        f"- Time and memory: {_time(manifest)}, {manifest['peak_memory_mib']} MiB "
        "(the sum of the processes' peaks)",
        f"- Data: {data['users']} users, {data['items']} items, {data['interactions']} "
        "interactions",
        f"- Splits ({manifest.get('split', 'cold-users')}): seeds "
        f"{', '.join(map(str, metrics['seeds']))}; training/validation/test users {splits}",
        f"- Versions: torch {manifest['versions']['torch']}, torch-geometric "
        f"{manifest['versions']['torch-geometric']}, Python {manifest['python']}",
    ]
    return "\n".join(lines)


def _time(manifest: dict[str, Any]) -> str:
    """Return the time by the clock, or of a run over several sessions that of its cells."""
    if manifest.get("continued"):
        return f"{sum(cell['seconds'] for cell in manifest['cells']):.0f} s for all cells"
    return f"{manifest['seconds']:.0f} s"


def _commits(manifest: dict[str, Any]) -> list[str]:
    """Return the commits at which the run was begun and continued, each once in a row."""
    sessions = [manifest, *manifest.get("continued", [])]
    commits = [session["commit"] or "not in a checkout" for session in sessions]
    return [
        commit
        for commit, before in zip(commits, [None, *commits], strict=False)
        if commit != before
    ]


def _methods(
    summary: pd.DataFrame, metrics: dict[str, Any], metric: str, *, is_best_marked: bool = False
) -> str:
    shown = summary[summary["metric"] == metric].set_index(["method", "k"])
    best = {k: shown.xs(k, level="k")["mean"].max() for k in metrics["k"]}
    rows = []
    for method in metrics["methods"]:
        cells = []
        for k in metrics["k"]:
            row = shown.loc[(method, k)]
            text = f"{short(row['mean'], 4)} ± {short((row['upper'] - row['lower']) / 2, 3)}"
            is_best = is_best_marked and row["mean"] == best[k]
            cells.append(f"**{text}**" if is_best else text)
        rows.append([method, *cells])
    return markdown_table(["method", *(f"k = {k}" for k in metrics["k"])], rows)


def _comparisons(contrasts: Sequence[dict[str, Any]]) -> list[str]:
    if not contrasts:
        return []
    return [
        "## Paired differences in NDCG@10\n\nBy user, with the 95 % bootstrap interval, the shares "
        "of users helped and harmed, and p of a sign-flip test, Holm-corrected over k. The best "
        "baseline of each k is chosen on these very users.",
        markdown_table(CONTRAST_COLUMNS, [contrast_cells(row) for row in contrasts]),
    ]


def _catalogue(catalogue: Sequence[dict[str, Any]]) -> str:
    names = [name for name in catalogue[0] if name not in ("method", "k")]
    rows = [
        [row["method"], str(row["k"]), *(_figure(row[name]) for name in names)] for row in catalogue
    ]
    return markdown_table(["method", "k", *names], rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else short(value, 3)


def _tuning(tuning: Sequence[dict[str, Any]]) -> str:
    chosen: dict[tuple[str, int], dict[str, list[str]]] = {}
    for row in tuning:
        values = chosen.setdefault((row["method"], row["k"]), {})
        for name, value in row.items():
            if name not in _NO_CHOICE:
                values.setdefault(name, []).append(
                    f"{value:g}" if _is_number(value) else str(value)
                )
    rows = [
        [method, str(k), "; ".join(f"{name} {', '.join(v)}" for name, v in values.items())]
        for (method, k), values in chosen.items()
        if values
    ]
    return markdown_table(["method", "k", "chosen"], rows) if rows else "Nothing was to be chosen."


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _title(metric: str) -> str:
    return {"recall@20": "Recall@20", "hit_rate@10": "HitRate@10", "mrr@10": "MRR@10"}[metric]

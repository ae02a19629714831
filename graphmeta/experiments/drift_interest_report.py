"""The tables of `graphmeta.experiments.drift_interest`."""

from __future__ import annotations

import pandas as pd

from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.ranking.significance import compare_paired, holm

SHOWN = "ndcg@10"
WHOLE = "everything"


def interest_report(figures: pd.DataFrame, alarms: pd.DataFrame, *, name: str) -> str:
    """Return the report in Markdown.

    Args:
        figures: A row per seed, user, way and size: `is_switched`, `n_after` and `ndcg@10`.
        alarms: A row per seed and user: `is_switched`, the `change`, and after how many items the
            `alarm` came and where it puts the `cut`, NaN for none.
        name: The data set.
    """
    before = int(alarms["change"].iloc[0])
    n_seeds = alarms["seed"].nunique()
    counts = alarms.groupby("is_switched").size()
    lines = [
        f"## {name}",
        "",
        f"{counts[True]} users who change after {before} items and {counts[False]} who do not, "
        f"from {n_seeds} splits.",
        "",
        _alarm_table(alarms, figures, before),
        "",
    ]
    for is_switched, title in ((True, "who change"), (False, "who do not change")):
        some = figures[figures["is_switched"] == is_switched]
        lines += [
            f"NDCG@10 of users {title}, by the items shown since item {before}; the query is the",
            "same at each. In brackets the paired difference to ranking by everything (95 %",
            "bootstrap interval; * where p < .05, Holm-corrected over the table).",
            "",
            _ways_table(some),
            "",
        ]
    return "\n".join(lines)


def _alarm_table(alarms: pd.DataFrame, figures: pd.DataFrame, before: int) -> str:
    sizes = sorted(figures["n_after"].unique())
    rows = []
    for is_switched, title in ((True, "change"), (False, "do not change")):
        some = alarms[alarms["is_switched"] == is_switched]
        early = (some["alarm"] <= before).mean()
        late = some[some["alarm"] > before]
        cells = [f"{(late['alarm'] <= before + n).sum() / len(some):.0%}" for n in sizes]
        delay, miss = late["alarm"] - before, (late["cut"] - before).abs()
        told = is_switched and len(late)
        middle = [f"{delay.median():.0f}", f"{miss.median():.0f}"] if told else ["", ""]
        rows.append([title, f"{early:.0%}", *cells, *middle])
    header = ["users who", f"alarm in the first {before}", *(f"within {n} more" for n in sizes)]
    return markdown_table([*header, "median delay", "cut off by"], rows)


def _ways_table(figures: pd.DataFrame) -> str:
    ways = list(dict.fromkeys(figures["way"]))
    whole = figures[figures["way"] == WHOLE]
    compared = {
        way: compare_paired(figures[figures["way"] == way], whole, metric=SHOWN).set_index("k")
        for way in ways
        if way != WHOLE
    }
    together = pd.concat(compared)
    together["p_holm"] = holm(together["p_value"])
    mean = figures.groupby(["way", "k"])[SHOWN].mean()
    sizes = dict(zip(figures["k"], figures["n_after"], strict=True))
    rows = []
    for way in ways:
        cells = [way]
        for k in sizes:
            cell = f"{mean[way, k]:.4f}"
            if way != WHOLE:
                row = together.loc[(way, k)]
                star = "*" if row["p_holm"] < 0.05 else ""
                low, high = row["lower"], row["upper"]
                cell += f" ({row['difference']:+.4f}, {low:+.4f} to {high:+.4f}){star}"
            cells.append(cell)
        rows.append(cells)
    return markdown_table(["ranked by", *(f"{n} items" for n in sizes.values())], rows)

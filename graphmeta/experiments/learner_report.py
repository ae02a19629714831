"""The table of learners and encoders, as Markdown."""

from __future__ import annotations

from typing import Any

import pandas as pd

from graphmeta.experiments.result_table import short
from graphmeta.ranking.significance import compare_paired

SHOWN = "ndcg@10"
PLACE = ["encoder", "learner"]


def learner_report(per_user: pd.DataFrame, seconds: pd.DataFrame, manifest: dict[str, Any]) -> str:
    """Return a table for each data set: NDCG@10 unadapted, and what adapting adds, by user.

    Args:
        per_user: Columns data, encoder, learner, seed, user, k, scorer (adapted or unadapted) and
            ndcg@10.
        seconds: Columns data, encoder, learner, seed and seconds.
        manifest: What made the run.
    """
    machine = manifest["machine"]
    parts = [
        "# Learners on encoders",
        f"- Command: `{manifest['command']}`\n"
        f"- Commit: {manifest['commit'] or 'not in a checkout'}\n"
        f"- Begun: {manifest['started']}\n"
        f"- Machine: {machine['cpu']}, {machine['torch_threads']} of {machine['cores']} cores",
        "For each support size the NDCG@10 of the unadapted encoder, what adapting adds and its "
        "95 % interval, paired by user over the splits; bold where the interval is off 0. Both "
        "sides are one training, whose best epoch is that of the validation users. Seconds are "
        "for a split: training, and ranking validation and test users.",
    ]
    for data, held in per_user.groupby("data", sort=False):
        sizes = sorted(held["k"].unique())
        took = seconds[seconds["data"] == data].groupby(PLACE)["seconds"].mean().to_dict()
        rows: list[list[str]] = [
            [*map(str, names), *_cells(part, sizes), f"{took[names]:.0f}"]
            for names, part in held.groupby(PLACE, sort=False)
        ]
        header = ["encoder", "learner", "splits"]
        header += [text for k in sizes for text in (f"k = {k}", "adapting adds")]
        ruler = [":--", ":--", *["--:"] * (len(header) - 1)]
        parts.append(f"## {data}, {held['user'].nunique()} users")
        lines: list[list[str]] = [[*header, "s"], ruler, *rows]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in lines))
    return "\n\n".join(parts) + "\n"


def _cells(part: pd.DataFrame, sizes: list[int]) -> list[str]:
    adapted, unadapted = (
        part[part["scorer"] == name].drop(columns="scorer") for name in ("adapted", "unadapted")
    )
    found = compare_paired(adapted, unadapted, metric=SHOWN).set_index("k")
    level = unadapted.groupby("k")[SHOWN].mean()
    cells = [str(part["seed"].nunique())]
    for k in sizes:
        row = found.loc[k]
        text = f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})"
        is_off_zero = row["lower"] > 0 or row["upper"] < 0
        cells += [short(level[k], 4), f"**{text}**" if is_off_zero else text]
    return cells

"""The table of learners and encoders, as Markdown."""

from __future__ import annotations

from typing import Any

import pandas as pd

from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.result_table import short
from graphmeta.ranking.significance import compare_paired, holm

PLACE = ["encoder", "learner"]
SIGNIFICANT = 0.05


def learner_report(per_user: pd.DataFrame, seconds: pd.DataFrame, sessions: str) -> str:
    """Return a table for each data set: NDCG@10 unadapted, and what adapting adds, by user.

    Args:
        per_user: Columns data, encoder, learner, seed, user, k, scorer (adapted or unadapted) and
            ndcg@10.
        seconds: Columns data, encoder, learner, seed and seconds.
        sessions: Who computed the cells, as a Markdown list.
    """
    parts = [
        "# Learners on encoders",
        sessions,
        "For each support size the NDCG@10 of the unadapted encoder, what adapting adds and its "
        "95 % interval, paired by user over the splits. Bold where p of a sign-flip test, "
        "Holm-corrected over all comparisons of the data set, is below .05. Both sides are one "
        "training, whose best epoch is that of the unadapted validation users. No baseline is in "
        "the table: it says whether adapting pays, not whether the encoder does. Seconds are for "
        "a split: training, and ranking validation and test users.",
    ]
    for data, held in per_user.groupby("data", sort=False):
        took = seconds[seconds["data"] == data].groupby(PLACE)["seconds"].mean()
        parts.append(f"## {data}, {held['user'].nunique()} users")
        parts.append(_table(compared(held), took.to_dict()))
    return "\n\n".join(parts) + "\n"


def compared(per_user: pd.DataFrame) -> pd.DataFrame:
    """Return the paired comparison of each encoder, learner and support size of a data set.

    Returns:
        Columns encoder, learner, n_splits, unadapted (its mean), those of `compare_paired`, and
        p_holm, corrected over all rows.
    """
    rows = []
    for names, part in per_user.groupby(PLACE, sort=False):
        encoder, learner = map(str, names)
        adapted, unadapted = (
            part[part["scorer"] == name].drop(columns="scorer") for name in ("adapted", "unadapted")
        )
        found = compare_paired(adapted, unadapted, metric=SHOWN)
        level = unadapted.groupby("k")[SHOWN].mean()
        rows.append(
            found.assign(
                encoder=encoder,
                learner=learner,
                n_splits=part["seed"].nunique(),
                unadapted=found["k"].map(level),
            )
        )
    table = pd.concat(rows, ignore_index=True)
    return table.assign(p_holm=holm(table["p_value"]))


def _table(table: pd.DataFrame, took: dict[Any, float]) -> str:
    sizes = sorted(table["k"].unique())
    rows = []
    for names, part in table.groupby(PLACE, sort=False):
        cells = [*map(str, names), str(part["n_splits"].iloc[0])]
        for _, row in part.set_index("k").loc[sizes].iterrows():
            text = f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})"
            cells += [
                short(float(row["unadapted"]), 4),
                f"**{text}**" if row["p_holm"] < SIGNIFICANT else text,
            ]
        rows.append([*cells, f"{took[names]:.0f}"])
    header = ["encoder", "learner", "splits"]
    header += [text for k in sizes for text in (f"k = {k}", "adapting adds")]
    return markdown_table([*header, "s"], rows)

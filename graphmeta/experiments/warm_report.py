"""The table of methods for users who have shown most of their history, as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from graphmeta.experiments.ahead_table import ahead_table
from graphmeta.experiments.contrasts import MIN_SPLITS, SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.means_table import means_table
from graphmeta.experiments.result_table import short
from graphmeta.ranking.significance import compare_paired

OURS, OURS_TO_100 = "graphmeta", "graphmeta-to-100"
RECALL = "recall@20"
# The claim: so much of the best baseline is not lost.
MOST_LOST = 0.02


def warm_report(
    per_user: pd.DataFrame,
    few: pd.DataFrame | None,
    sessions: str,
    share: float,
    *,
    notes: Sequence[str] = (),
) -> str:
    """Return the methods' figures, and ours against the best baseline, also by size of history.

    Args:
        per_user: Columns data, method, seed, user, shown (items), ndcg@10, recall@20 and seconds;
            methods in the order of the rows.
        few: The same models' figures after few shots: columns data, method, seed, user, k and
            ndcg@10.
        sessions: Who computed the cells, as a Markdown list.
        share: Share of a history that users have shown.
        notes: What tuning found.
    """
    parts = [
        "# Users who are well known",
        sessions,
        f"Held-out users show {share:.0%} of their items, and the rest is to be ranked. *{OURS}* "
        "is the model that was trained for up to ten items, as `ColdStartRecommender()` serves "
        f"it, *{OURS_TO_100}* that of `ColdStartRecommender(k_max=100)`; the baselines are tuned "
        "for these users, on validation users who show as much.",
    ]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    for name, every in per_user.groupby("data", sort=False):
        found = _whole_splits(every)
        if found.empty:
            parts += [f"## {name}", "No split has been ranked by all methods yet."]
            continue
        begun = sorted(set(every["seed"]) - set(found["seed"]))
        users = found.drop_duplicates(["seed", "user"])
        splits = users["seed"].nunique()
        parts += [
            f"## {name}",
            f"{len(users)} test users over {splits} split{'s' * (splits != 1)}, who have shown "
            f"{users['shown'].median():.0f} items at the median.",
            _means(found),
        ]
        if begun:
            numbers = ", ".join(map(str, begun))
            parts += [f"Left out, as not all of these methods have ranked them: splits {numbers}."]
        baselines = [m for m in found["method"].unique() if m not in (OURS, OURS_TO_100)]
        for ours in (OURS, OURS_TO_100) if baselines else ():
            if ours in set(found["method"]):
                parts += _against_best(found, ours, baselines)
        if few is not None and len(shots := _whole_splits(few[few["data"] == name])):
            parts += ["The same weights for new users, NDCG@10:", means_table(shots)]
            if shots["method"].nunique() > 1:
                parts += [ahead_table(shots, OURS_TO_100)]
    return "\n\n".join(parts) + "\n"


def _whole_splits(found: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of the splits that every method has ranked."""
    n_methods = found.groupby("seed")["method"].transform("nunique")
    return found[n_methods == found["method"].nunique()]


def _means(found: pd.DataFrame) -> str:
    means = found.groupby("method", sort=False)[[SHOWN, RECALL, "seconds"]].mean()
    is_best = means == means.max()
    rows = []
    for method in means.index:
        cells = []
        for metric in (SHOWN, RECALL):
            text = short(float(means.loc[method, metric]), 4)
            cells.append(f"**{text}**" if is_best.loc[method, metric] else text)
        rows.append([str(method), *cells, f"{means.loc[method, 'seconds']:.0f}"])
    return markdown_table(["method", "NDCG@10", "Recall@20", "s"], rows)


def _against_best(found: pd.DataFrame, name: str, baselines: list[str]) -> list[str]:
    """Return what one is ahead of the best baseline by: for all, and by quarters of the users."""
    rival = str(found.groupby("method")[SHOWN].mean()[baselines].idxmax())
    shown = found[found["method"] == name]["shown"]
    bounds = [0, *sorted({int(shown.quantile(part)) for part in (0.25, 0.5, 0.75, 1)})]
    quarters = list(itertools.pairwise(bounds))
    rows = []
    for above, most in [*quarters, (0, bounds[-1])]:
        some = found[(found["shown"] > above) & (found["shown"] <= most)].assign(k=0)
        ours, theirs = (some[some["method"] == method] for method in (name, rival))
        row = compare_paired(ours, theirs, metric=SHOWN).iloc[0]
        level = float(theirs[SHOWN].mean())
        lost = -float(row["difference"]) / level
        rows.append(
            [
                f"{above + 1} to {most}",
                str(len(ours)),
                short(float(ours[SHOWN].mean()), 4),
                short(level, 4),
                f"{row['difference']:+.4f}",
                f"{row['lower']:+.4f} to {row['upper']:+.4f}",
                f"{-lost:+.1%}",
            ]
        )
    verdict = f"**{'within' if lost <= MOST_LOST else 'not within'} {MOST_LOST:.0%}** of it"
    if found["seed"].nunique() < MIN_SPLITS:
        verdict += f", on fewer than {MIN_SPLITS} splits, so that nothing is claimed"
    header = ["items shown", "users", name, rival, "difference", "interval", "relative"]
    return [
        f"The best baseline is {rival}; *{name}* is {verdict}. By how much users have shown, and "
        "all of them:",
        markdown_table(header, rows),
    ]

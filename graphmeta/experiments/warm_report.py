"""The table of methods for users who have shown most of their history, as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from graphmeta.experiments.contrasts import MIN_SPLITS, SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.means_table import means_table
from graphmeta.experiments.result_table import short
from graphmeta.ranking.significance import compare_paired

OURS, WITHOUT_LINEAR = "graphmeta", "graphmeta-without-linear"
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
        f"it, *{WITHOUT_LINEAR}* the same without what it adds for users who have shown more "
        "(`LinearPart`); the baselines are tuned for these users, on validation users who show as "
        "much.",
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
        methods = set(found["method"])
        baselines = sorted(methods - {OURS, WITHOUT_LINEAR})
        if baselines and OURS in methods:
            parts += _against_best(found, baselines)
        if {OURS, WITHOUT_LINEAR} <= methods:
            parts += ["What the linear part adds:", _by_shown(found, WITHOUT_LINEAR)[0]]
        if few is not None and len(shots := few[few["data"] == name]):
            parts += ["The same weights for new users, NDCG@10:", means_table(shots)]
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


def _against_best(found: pd.DataFrame, baselines: list[str]) -> list[str]:
    """Return what we are ahead of the best baseline by, and whether that is what we claim."""
    rival = str(found.groupby("method")[SHOWN].mean()[baselines].idxmax())
    table, gain = _by_shown(found, rival)
    verdict = f"**{'within' if gain >= -MOST_LOST else 'not within'} {MOST_LOST:.0%}** of it"
    if found["seed"].nunique() < MIN_SPLITS:
        verdict += f", on fewer than {MIN_SPLITS} splits, so that nothing is claimed"
    words = f"The best baseline is {rival}; *{OURS}* is {verdict}. By how much users have shown"
    return [f"{words}, and all of them:", table]


def _by_shown(found: pd.DataFrame, rival: str) -> tuple[str, float]:
    """Return what we are ahead of a rival by, for quarters of the users and all of them.

    Returns:
        The table, and the relative gain over all users.
    """
    shown = found[found["method"] == OURS]["shown"]
    bounds = [0, *sorted({int(shown.quantile(part)) for part in (0.25, 0.5, 0.75, 1)})]
    quarters = list(itertools.pairwise(bounds))
    rows, gain = [], 0.0
    for above, most in [*quarters, (0, bounds[-1])]:
        some = found[(found["shown"] > above) & (found["shown"] <= most)].assign(k=0)
        ours, theirs = (some[some["method"] == method] for method in (OURS, rival))
        row = compare_paired(ours, theirs, metric=SHOWN).iloc[0]
        level = float(theirs[SHOWN].mean())
        gain = float(row["difference"]) / level
        rows.append(
            [
                f"{above + 1} to {most}",
                str(len(ours)),
                short(float(ours[SHOWN].mean()), 4),
                short(level, 4),
                f"{row['difference']:+.4f}",
                f"{row['lower']:+.4f} to {row['upper']:+.4f}",
                f"{gain:+.1%}",
            ]
        )
    header = ["items shown", "users", OURS, rival, "difference", "interval", "relative"]
    return markdown_table(header, rows), gain

"""The report on private training: what new users lose, and what attacks find."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.explain.figure import figure, has_matplotlib, line_styles
from graphmeta.privacy import PrivateTraining, attack, most_found
from graphmeta.ranking.bootstrap import bootstrap_interval
from graphmeta.ranking.significance import compare_paired, holm

EVERYBODY = "everybody in the graph"
OPEN = "open users only"
FALSE_POSITIVES = 0.01


def under(epsilon: float) -> str:
    """Return the name of training with a budget."""
    return "no noise" if math.isinf(epsilon) else f"epsilon {epsilon:g}"


def report(found: pd.DataFrame, picture: str | None, made: str) -> str:
    """Return the tables.

    Args:
        found: The figures of all splits and ways to train, see `figures_of`, with the columns
            seed, method, epsilon and n_open.
        picture: The name of the figure, None where there is none.
        made: Who made them, and how.
    """
    tested = found[~found["is_member"]]
    n_open = found.groupby("seed")["n_open"].first().tolist()
    return "\n".join(
        [
            "# Private training",
            "",
            f"{', '.join(map(str, n_open))} training users are open, the others private. NDCG@10 "
            f"of {tested['user'].nunique()} test users, mean over {found['seed'].nunique()} "
            "splits.",
            f'"{EVERYBODY}" is the default recommender, which protects nobody; "{OPEN}" leaves '
            'private users out; "no noise" hears them as the others do, without clipping and '
            "noise. Gains are paired by user, with 95 % bootstrap intervals; bold where p of a "
            "sign-flip test, Holm-corrected over the rows, is below .05.",
            "",
            _utility(tested),
            "",
            *([f"![NDCG@10 by epsilon]({picture})", ""] if picture else []),
            "## Who was a member?",
            "",
            f"An attack scores {int(found['is_member'].sum() / found['method'].nunique())} private "
            "users and the test users, by the loss of what they "
            "liked after the first items, and by how much lower it is than in the model "
            f'of "{OPEN}". AUC (.5 is chance), and the share of members found at '
            f"{FALSE_POSITIVES:.0%} false positives, with 95 % intervals. The last column is the "
            "most that any attack can find.",
            "",
            _attacks(found),
            "",
            made,
        ]
    )


def _sizes(found: pd.DataFrame) -> list[str]:
    return [name for name in found.columns if name.isdigit()]


def _by_user(tested: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return each method's mean over support sizes, by split and user."""
    mean = tested.assign(k=0, ndcg=tested[_sizes(tested)].mean(axis=1))
    columns = ["seed", "user", "k", "ndcg"]
    return {str(name): part[columns] for name, part in mean.groupby("method", sort=False)}


def shares(tested: pd.DataFrame) -> pd.DataFrame:
    """Return each method's NDCG@10 as a share of the default recommender's, with its interval."""
    by_user = _by_user(tested)
    whole = by_user[EVERYBODY].groupby("user")["ndcg"].sum()
    rows = {}
    for name, part in by_user.items():
        own = part.groupby("user")["ndcg"].sum().reindex(whole.index)
        low, high = bootstrap_interval(own.to_numpy()[:, None], whole.to_numpy()[:, None])
        rows[name] = (own.sum() / whole.sum(), low[0], high[0])
    return pd.DataFrame(rows, index=["share", "lower", "upper"]).T


def _utility(tested: pd.DataFrame) -> str:
    sizes, by_user, of_default = _sizes(tested), _by_user(tested), shares(tested)
    level = tested.groupby("method", sort=False)[sizes].mean().to_dict("index")
    spent = tested.groupby("method", sort=False)["epsilon"].max()
    gains = {
        name: compare_paired(part, by_user[OPEN], metric="ndcg").iloc[0]
        for name, part in by_user.items()
        if name != OPEN
    }
    p_values = dict(zip(gains, holm([gain["p_value"] for gain in gains.values()]), strict=True))
    rows = []
    for name in by_user:
        share, gain = of_default.loc[name], gains.get(name)
        told = "-"
        if gain is not None:
            number = f"{gain['difference']:+.4f}"
            number = f"**{number}**" if p_values[name] < 0.05 else number
            told = f"{number} ({gain['lower']:+.4f} to {gain['upper']:+.4f})"
        rows.append(
            [
                name,
                "-" if name in (EVERYBODY, OPEN) else f"{spent[name]:.2f}",
                *(f"{level[name][k]:.4f}" for k in sizes),
                f"{share['share']:.1%} ({share['lower']:.1%} to {share['upper']:.1%})",
                told,
            ]
        )
    header = ["training", "spent", *(f"k = {k}" for k in sizes), "of everybody", f"over {OPEN}"]
    return markdown_table(header, rows)


def _attacks(found: pd.DataFrame) -> str:
    floor = found[found["method"] == OPEN].set_index(["seed", "is_member", "user"])["loss"]
    delta = PrivateTraining.delta
    rows = []
    for name, part in found.groupby("method", sort=False):
        loss = part.set_index(["seed", "is_member", "user"])["loss"]
        scores = {"loss": -loss, "drop": floor.reindex(loss.index) - loss}
        cells = [str(name)]
        for kind, score in scores.items():
            if kind == "drop" and name == OPEN:
                cells += ["-", "-"]
                continue
            is_member = score.index.get_level_values("is_member").to_numpy(bool)
            values = score.to_numpy(np.float64)
            told = attack(values[is_member], values[~is_member], false_positives=FALSE_POSITIVES)
            (auc, low, high), (share, least, most) = told
            cells += [f"{auc:.3f} ({low:.3f} to {high:.3f})"]
            cells += [f"{share:.1%} ({least:.1%} to {most:.1%})"]
        spent = float(part["epsilon"].max())
        cells.append(f"{most_found(spent, delta, false_positives=FALSE_POSITIVES):.1%}")
        rows.append(cells)
    header = ["training", "AUC, loss", "found", "AUC, drop", "found", "at most"]
    return markdown_table(header, rows)


def draw(found: pd.DataFrame, out: Path) -> str | None:
    """Draw NDCG@10 over epsilon beside the report; return the picture's name, or None."""
    if not has_matplotlib():
        return None
    path = out.with_suffix(".png")
    of_default = shares(found[~found["is_member"]])
    private = of_default.drop([EVERYBODY, OPEN])
    places = np.arange(len(private))
    with figure(path) as (_, axes):
        style, floor = line_styles(2)
        error = np.abs(private[["lower", "upper"]].to_numpy().T - private["share"].to_numpy())
        axes.errorbar(places, private["share"], yerr=error, capsize=4, label="private", **style)
        floor["marker"] = ""
        axes.axhline(of_default.loc[OPEN, "share"], label=OPEN, **floor)
        axes.axhline(0.9, color="#777777", linestyle=":", label="target at epsilon 8")
        axes.set_xticks(places, [str(name).removeprefix("epsilon ") for name in private.index])
        axes.set_xlabel("epsilon")
        axes.set_ylabel(f"NDCG@10, share of {EVERYBODY}")
        axes.legend(loc="upper left")
    return str(path.name)

"""The report and the picture of the robustness experiment."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from graphmeta.experiments.attacked import SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.explain.figure import figure, has_matplotlib, line_styles, plain
from graphmeta.ranking.significance import compare_paired, holm

# A setting is an attack on the graph and a click in the support.
Setting = tuple[str, str]
CLEAN: Setting = ("clean", "none")
ABSENT = "-"


def report(
    found: pd.DataFrame,
    screening: pd.DataFrame,
    typed: argparse.Namespace,
    *,
    picture: str | None,
) -> str:
    """Return the report in Markdown, but for how it was made.

    Args:
        found: A row per user, with `attack`, `click`, `method`, `k`, `seed`, `ndcg@10`, `hit` and
            `share`.
        screening: A row per attack and split, with shares of users: fakes among the top
            `suspects`, and `fakes` and `real` users who collude.
        typed: The options of the experiment.
        picture: Name of the picture, None where there is none.
    """
    settings = list(found[["attack", "click"]].drop_duplicates().itertuples(index=False, name=None))
    attacks = sorted((s for s in settings if s[0] != "clean" and s[1] == "none"), key=_order)
    clicks = [s for s in settings if s[0] == "clean" and s[1] != "none"]
    clicks += sorted((s for s in settings if s[0] != "clean" and s[1] != "none"), key=_order)
    losses = _differences(found, [(s, CLEAN) for s in (*attacks, *clicks)])
    n_users = len(found.drop_duplicates(["seed", "user"]))
    lines = [
        "# Robustness against shilling",
        "",
        f"NDCG@10 of {n_users} test users of {found['seed'].nunique()} splits. An attack is named "
        "by its fillers and",
        f"by the fake users for each real one, who have {typed.profile_size} fillers and the same "
        "pushed items. Every method was",
        "tuned and trained on the attacked graph. Differences to the clean graph are paired, with "
        "95 % intervals; bold",
        "where significant at .05, Holm-corrected over all of them.",
        "",
        *([f"![Loss and pushed items by attack size]({picture})", ""] if picture else []),
    ]
    for k in sorted(found["k"].unique()):
        of_k = found[found["k"] == k]
        lines += [f"## k = {k}", "", "Fake users in the graph:", ""]
        lines += [_loss_table(of_k, losses, k, attacks), ""]
        lines += ["Users with a pushed item among the ten best:", ""]
        pushed = [setting for setting in clicks if setting[0] != "clean"]
        lines += [_hit_table(of_k, [CLEAN, *attacks, *pushed]), ""]
        lines += ["One fake click in the support:", "", _loss_table(of_k, losses, k, clicks), ""]
    lines += _contrasts(found, [CLEAN, *attacks, *clicks])
    return "\n".join([*lines, *_screening(screening)])


def _order(setting: Setting) -> tuple[str, float, str]:
    fillers, _, share = setting[0].partition(":")
    return fillers, float(share), setting[1]


def _label(setting: Setting) -> str:
    attack, click = setting
    if click == "none":
        return attack
    return f"{click} click" if attack == "clean" else f"{attack}, {click} click"


def _rows(found: pd.DataFrame, setting: Setting, method: str) -> pd.DataFrame:
    is_there = (found["attack"] == setting[0]) & (found["click"] == setting[1])
    return found[is_there & (found["method"] == method)]


def _differences(found: pd.DataFrame, pairs: Iterable[tuple[Setting, Setting]]) -> pd.DataFrame:
    """Return for each method the paired difference of the first setting to the second."""
    parts = []
    for method in dict.fromkeys(found["method"]):
        for setting, other in pairs:
            a, b = _rows(found, setting, method), _rows(found, other, method)
            if len(a) and len(b):
                parts.append(compare_paired(a, b).assign(method=method, setting=_label(setting)))
    return _corrected(parts)


def _corrected(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=["method", "setting", "k"])
    table = pd.concat(parts, ignore_index=True)
    return table.assign(p_holm=holm(table["p_value"]))


def _loss_table(found: pd.DataFrame, losses: pd.DataFrame, k: int, settings: list[Setting]) -> str:
    rows = []
    for method in dict.fromkeys(found["method"]):
        clean = _rows(found, CLEAN, method)[SHOWN]
        cells = [method, f"{clean.mean():.4f}" if len(clean) else ABSENT]
        for setting in settings:
            is_it = (losses["method"] == method) & (losses["setting"] == _label(setting))
            cells.append(_difference(losses[is_it & (losses["k"] == k)]))
        rows.append(cells)
    return markdown_table(["method", "clean", *map(_label, settings)], rows)


def _difference(one: pd.DataFrame) -> str:
    if one.empty:
        return ABSENT
    row = one.iloc[0]
    text = f"{row['difference']:+.4f}"
    text = f"**{text}**" if row["p_holm"] <= 0.05 else text
    return f"{text} ({row['lower']:+.3f} to {row['upper']:+.3f})"


def _hit_table(found: pd.DataFrame, settings: list[Setting]) -> str:
    rows = []
    for method in dict.fromkeys(found["method"]):
        hits = [_rows(found, setting, method)["hit"] for setting in settings]
        rows.append([method, *(f"{hit.mean():.1%}" if len(hit) else ABSENT for hit in hits)])
    return markdown_table(["method", *map(_label, settings)], rows)


def _contrasts(found: pd.DataFrame, settings: list[Setting]) -> list[str]:
    """Return the table of what the defences change, in each setting where they were measured."""
    parts = []
    for method in ("defended", "screened"):
        for setting in settings:
            a, b = _rows(found, setting, method), _rows(found, setting, "adapted")
            if len(a) and len(b):
                parts.append(compare_paired(a, b).assign(method=method, setting=_label(setting)))
    table = _corrected(parts)
    if table.empty:
        return []
    rows = [
        [f"{row['method']}, {row['setting']}", str(row["k"]), _difference(pd.DataFrame([row]))]
        for _, row in table.iterrows()
    ]
    header = ["defence and setting", "k", "less the adapted encoder without it"]
    return ["## Do the defences pay?", "", markdown_table(header, rows), ""]


def _screening(screening: pd.DataFrame) -> list[str]:
    """Return the table of whom screening finds."""
    mean = screening.groupby("attack", sort=False).mean()
    rows = [
        [str(name), *(ABSENT if pd.isna(value) else f"{value:.1%}" for value in found)]
        for name, found in zip(mean.index, mean.to_numpy(), strict=True)
    ]
    header = ["attack", "fakes among as many suspects", "fakes who collude", "real users who do"]
    return ["## Screening", "", markdown_table(header, rows), "", ""]


def draw(found: pd.DataFrame, out: Path | None) -> str | None:
    """Draw loss and hits over the share of bandwagon users; return the picture's name.

    Above without a click, below after one on a pushed item; at the largest k. There is no picture
    without a report's file, without matplotlib or without a bandwagon attack.
    """
    if out is None or not has_matplotlib():
        return None
    k = found["k"].max()
    is_clean = (found["attack"] == "clean") & (found["click"] == "none")
    is_bandwagon = found["attack"].str.startswith("bandwagon:")
    means = found[(is_clean | is_bandwagon) & (found["k"] == k)]
    means = means.groupby(["click", "method", "share"])[[SHOWN, "hit"]].mean()
    names = list(dict.fromkeys(found.loc[is_bandwagon, "method"]))
    if not names:
        return None
    path = out.with_suffix(".png")
    with figure(path, width=11.0, height=9.0) as (drawing, axes):
        axes.remove()
        panels = drawing.subplots(2, 2, sharex=True, sharey="col")
        for (left, right), click in zip(panels, ("none", "target"), strict=True):
            for name, style in zip(names, line_styles(len(names)), strict=True):
                if (click, name) in means.index.droplevel("share"):
                    of_name = means.loc[click, name].sort_index()
                    share = 100 * of_name.index
                    lost = means.loc["none", name, 0.0][SHOWN] - of_name[SHOWN]
                    label = name if click == "none" else None
                    left.plot(share, lost, label=label, **style)
                    right.plot(share, 100 * of_name["hit"], **style)
            after = "" if click == "none" else "\nafter a click on a pushed item"
            left.set_ylabel(f"NDCG@10 lost, k = {k}{after}")
            right.set_ylabel(f"% of users with a pushed item in the top 10{after}")
            plain(left)
            plain(right)
        for side in panels[1]:
            side.set_xlabel("bandwagon users, % of the real ones")
        drawing.legend(loc="outside lower center", ncols=5, frameon=False)
    return path.name

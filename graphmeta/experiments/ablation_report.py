"""What leaving out each part costs, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from graphmeta.experiments.ablated import DEFAULT, VARIANTS
from graphmeta.experiments.contrasts import SHOWN
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.result_table import short
from graphmeta.ranking.significance import compare_paired, holm

SIGNIFICANT = 0.05
# The default's own training, scored with every user adapted.
NO_GATE = "no-gate"
DESCRIPTIONS = {**{name: text for name, (_, text) in VARIANTS.items()}, NO_GATE: "all are adapted"}


def ablation_report(per_user: pd.DataFrame, cells: Sequence[dict[str, Any]], sessions: str) -> str:
    """Return the report: what each part is worth on each data set, and on all together.

    Args:
        per_user: Columns data, variant, seed, user, k, scorer (adapted or unadapted) and ndcg@10.
        cells: One entry for each data set, variant and seed: `seconds`, `adapts` by support size,
            or `refused` with the reason.
        sessions: Who computed the cells, as a Markdown list.
    """
    shown = with_gate(per_user, cells)
    held = {str(data): compared(part) for data, part in shown.groupby("data", sort=False)}
    names = [name for name in DESCRIPTIONS if name in set(shown["variant"])]
    parts = [
        "# What each part is worth",
        sessions,
        "The default recommender, trained anew less one part at a time on the same splits and "
        "scored on the same test users, each adapted where its own gate chose so:",
        "\n".join(f"- `{name}`: {DESCRIPTIONS[name]}" for name in names),
        "For each support size the NDCG@10, less that of `default`, with the 95 % interval of the "
        "difference, paired by user over the splits. Below 0 the part pays. Bold where p of a "
        "sign-flip test, Holm-corrected over all comparisons of the data set, is below .05.",
        "## Over the data sets",
        "The difference as a share of the default's NDCG@10, mean over the data sets that have "
        "the variant, and at how many of them the part surely pays (bold below) or surely harms.",
        _overview(held),
    ]
    for data, table in held.items():
        some = shown[shown["data"] == data]
        refused = [cell for cell in cells if cell["data"] == data and "refused" in cell]
        took = pd.DataFrame([cell for cell in cells if cell["data"] == data])
        parts.append(f"## {data}, {some['user'].nunique()} users, {some['seed'].nunique()} splits")
        parts.append(_table(table, took.groupby("variant")["seconds"].mean().to_dict()))
        parts += [f"`{c['variant']}`, split {c['seed']}: {c['refused']}." for c in refused]
    parts += [
        "## Does adapting pay?",
        "Adapted less unadapted, within one training, whatever its gate chose.",
        _adapting(per_user),
    ]
    return "\n\n".join(parts) + "\n"


def with_gate(per_user: pd.DataFrame, cells: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return each user's figure as the variant's gate chose, and the default's without a gate.

    Returns:
        Columns data, variant, seed, user, k and ndcg@10.
    """
    adapts = {
        (cell["data"], cell["variant"], cell["seed"], int(k)): is_adapted
        for cell in cells
        for k, is_adapted in cell.get("adapts", {}).items()
    }
    keys = zip(*(per_user[name] for name in ("data", "variant", "seed", "k")), strict=True)
    wanted = pd.Series(["adapted" if adapts[key] else "unadapted" for key in keys])
    chosen = per_user[(per_user["scorer"] == wanted.to_numpy()).to_numpy()]
    is_all = (per_user["variant"] == DEFAULT) & (per_user["scorer"] == "adapted")
    both = pd.concat([chosen, per_user[is_all].assign(variant=NO_GATE)], ignore_index=True)
    return both.drop(columns="scorer")


def compared(per_user: pd.DataFrame) -> pd.DataFrame:
    """Return what each variant of a data set has, and how far it is from the default.

    Only splits that both have count.

    Returns:
        Columns variant, level (mean NDCG@10), n_splits, those of `compare_paired` and p_holm; the
        default comes first, without differences.
    """
    default = per_user[per_user["variant"] == DEFAULT].drop(columns="variant")
    rows = []
    for name, part in per_user.groupby("variant", sort=False):
        level = part.groupby("k")[SHOWN].mean()
        found = pd.DataFrame({"k": level.index})
        if name != DEFAULT:
            same = default[default["seed"].isin(part["seed"].unique())]
            found = compare_paired(part.drop(columns="variant"), same, metric=SHOWN)
        rows.append(
            found.assign(variant=name, level=found["k"].map(level), n_splits=part["seed"].nunique())
        )
    table = pd.concat(rows, ignore_index=True)
    others = table["variant"] != DEFAULT
    table.loc[others, "p_holm"] = holm(table.loc[others, "p_value"])
    return table


def _overview(held: dict[str, pd.DataFrame]) -> str:
    parts = []
    for data, table in held.items():
        default = table[table["variant"] == DEFAULT].set_index("k")["level"]
        share = table["difference"] / table["k"].map(default)
        parts.append(table.assign(data=data, share=share)[table["variant"] != DEFAULT])
    everything = pd.concat(parts, ignore_index=True)
    sizes = sorted(everything["k"].unique())
    rows = []
    for name in (name for name in DESCRIPTIONS if name in set(everything["variant"])):
        part = everything[everything["variant"] == name]
        is_sure = part["p_holm"] < SIGNIFICANT
        means = part.groupby("k")["share"].mean()
        rows.append(
            [
                name,
                str(part["data"].nunique()),
                *(f"{100 * means[k]:+.1f} %" if k in means else "" for k in sizes),
                str(int((is_sure & (part["difference"] < 0)).sum())),
                str(int((is_sure & (part["difference"] > 0)).sum())),
                str(len(part)),
            ]
        )
    header = ["variant", "data sets", *(f"k = {k}" for k in sizes)]
    return markdown_table([*header, "part pays", "part harms", "of"], rows)


def _table(table: pd.DataFrame, took: dict[Any, float]) -> str:
    sizes = sorted(table["k"].unique())
    rows = []
    for name in (name for name in DESCRIPTIONS if name in set(table["variant"])):
        part = table[table["variant"] == name].set_index("k")
        cells = []
        for k in sizes:
            row = part.loc[k]
            cells.append(short(float(row["level"]), 4))
            if name == DEFAULT:
                cells.append("")
                continue
            text = f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})"
            cells.append(f"**{text}**" if row["p_holm"] < SIGNIFICANT else text)
        seconds = took.get(DEFAULT if name == NO_GATE else name)
        rows.append([name, *cells, "" if seconds is None else f"{seconds:.0f}"])
    header = ["variant", *(text for k in sizes for text in (f"k = {k}", "less default"))]
    return markdown_table([*header, "s"], rows)


def _adapting(per_user: pd.DataFrame) -> str:
    rows, sizes = [], sorted(per_user["k"].unique())
    for (data, variant), part in per_user.groupby(["data", "variant"], sort=False):
        adapted, unadapted = (
            part[part["scorer"] == name].drop(columns="scorer") for name in ("adapted", "unadapted")
        )
        found = compare_paired(adapted, unadapted, metric=SHOWN).set_index("k")
        if not bool(found["difference"].any()):
            continue  # It never adapts, or adapting changes nobody's first ten.
        cells = []
        for k in sizes:
            row = found.loc[k] if k in found.index else None
            cells.append(
                ""
                if row is None
                else f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})"
            )
        rows.append([f"{data}, {variant}", *cells])
    return markdown_table(["data, variant", *(f"k = {k}" for k in sizes)], rows)

"""The report of a scale run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphmeta.experiments.cost_model import Line
from graphmeta.experiments.markdown_table import markdown_table

# The name, the key and the unit of each cost that is fitted.
STORE_COSTS = (
    ("arrays", "arrays_mib", "MiB"),
    ("peak of building", "peak_mib", "MiB"),
    ("building", "build_s", "s"),
    ("appending a day", "append_s", "s"),
)
TRAINING_COSTS = (
    ("peak of training", "peak_mib", "MiB"),
    ("reading the store", "read_s", "s"),
    ("before the first step", "setup_s", "s"),
    ("a step", "step_s", "s"),
)


def report(found: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Return the report as Markdown.

    Args:
        found: What was measured: "ingest", "sampling", "training" and "ranking".
        manifest: Who made it.
    """
    machine = manifest["machine"]
    command = "python -m graphmeta.experiments.scale" + (" --small" if manifest["small"] else "")
    return "\n".join(
        [
            "# From a million interactions to a hundred million",
            "",
            f"`{command}`, {manifest['begun'][:10]}, commit {manifest['commit']}, "
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB.",
            "",
            "## Building, opening and appending",
            "",
            _ingest_table(found["ingest"]),
            "",
            "Interactions are drawn by power laws and read from Parquet files of two million rows. "
            "Memory is the largest that the process held, that of Python, PyTorch and DuckDB "
            "included, over the bytes of the finished arrays; in brackets what building added. A "
            "day is one hundredth of the interactions.",
            "",
            "## What a size costs",
            "",
            *_cost_lines(found["ingest"], STORE_COSTS),
            "",
            "## Sampling",
            "",
            *_sampling_lines(found["sampling"]),
            "",
            "## Training",
            "",
            *_training_lines(found["training"]),
            "",
            "## Ranking for one user",
            "",
            *_ranking_lines(found["ranking"]),
            "",
        ]
    )


def _ingest_table(rows: list[dict[str, Any]]) -> str:
    header = [
        "interactions",
        "users",
        "items",
        "arrays, MiB",
        "build, s",
        "peak over arrays",
        "open, ms",
        "append a day, s",
    ]
    return markdown_table(
        header,
        [
            [
                f"{row['edges']:,}",
                f"{row['users']:,}",
                f"{row['items']:,}",
                f"{row['arrays_mib']:,.0f}",
                f"{row['build_s']:.1f}",
                f"{row['peak_mib'] / row['arrays_mib']:.2f} "
                f"({(row['peak_mib'] - row['process_mib']) / row['arrays_mib']:.2f})",
                f"{1000 * row['open_s']:.1f}",
                f"{row['append_s']:.1f}",
            ]
            for row in rows
        ],
    )


def _cost_lines(rows: list[dict[str, Any]], costs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return each cost as a line, fitted without the last size but one, on which it is checked."""
    *others, checked, last = rows
    fitted = [*others, last]
    lines = []
    for name, key, unit in costs:
        line = Line.through([row["edges"] for row in fitted], [row[key] for row in fitted])
        found, told = checked[key], line.at(checked["edges"])
        lines.append(
            [
                f"{name}, {unit}",
                f"{line.fixed:.3g} + {line.per_million:.3g} M",
                f"{found:,.1f}",
                f"{told:,.1f}",
                f"{100 * (told / found - 1):+.0f} %",
                f"{line.at(1e9):,.0f}",
            ]
        )
    header = ["cost", "M million interactions", "measured", "told", "error", "a billion, told"]
    return [
        f"Straight lines through the other sizes, checked on {checked['edges']:,} interactions, "
        "which they were not fitted to:",
        "",
        markdown_table(header, lines),
    ]


def _sampling_lines(found: dict[str, Any]) -> list[str]:
    sides: dict[str, Any] = found["milliseconds"]
    sizes = list(next(iter(sides.values())))
    rows = []
    for name, of_size in sides.items():
        medians = [of_size[size]["median"] for size in sizes]
        shown = [
            f"{of_size[size]['median']:.1f} ({of_size[size]['quartiles'][0]:.1f} to "
            f"{of_size[size]['quartiles'][1]:.1f})"
            for size in sizes
        ]
        rows.append([name, *shown, f"{max(medians) / min(medians):.2f}"])
    header = ["seeds", *(f"{int(size):,}" for size in sizes), "largest over smallest"]
    hops = " x ".join(map(str, found["fanouts"]))
    lines = [
        f"Milliseconds for {found['seeds']:,} seeds, fan-out {hops}, median and quartiles of "
        f"{found['rounds']} rounds in which sizes and sides take turns, one thread:",
        "",
        markdown_table(header, rows),
        "",
        "Seeds that are sampled apart have a subgraph each, as episodes do, and draw as much "
        "on every graph. Sampled together, a node that several reach is one node: small graphs "
        "give smaller subgraphs.",
    ]
    if "together, PyG's" in sides:
        ratios = [
            sides["together, PyG's"][size]["median"] / sides["together"][size]["median"]
            for size in sizes
        ]
        times = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        lines += ["", f"PyG's sampler ({found['pyg']}) takes {times} times as long as ours."]
    return lines


def _training_lines(found: dict[str, Any]) -> list[str]:
    sizes: list[dict[str, Any]] = list(found["sizes"].values())
    header = [
        "interactions",
        "users",
        "items",
        "read, s",
        "before the first step, s",
        "a step, ms",
        "users a second",
        "peak, GiB",
        "loss, first and last epoch",
    ]
    rows = [
        [
            f"{one['edges']:,}",
            f"{one['users']:,}",
            f"{one['items']:,}",
            f"{one['read_s']:.1f}",
            f"{one['setup_s']:.1f}",
            f"{1000 * one['step_s']:.0f}",
            f"{one['users_per_s']:.0f}",
            f"{one['peak_mib'] / 1024:.2f}",
            f"{one['losses'][0]:.3f}, {one['losses'][-1]:.3f}",
        ]
        for one in sizes
    ]
    return [
        f"The default recommender with {found['voters']} sampled voters for each item, "
        f"{found['draws']:,} draws for the softmax and random item embeddings, "
        f"{found['epochs']} epochs of {found['steps']} steps, of which the first warms up and a "
        f"step is the median of the others; in a process of its own, which holds the graph "
        f"({found['begun'][:10]}, commit {found['commit']}):",
        "",
        markdown_table(header, rows),
        "",
        *_cost_lines(sizes, TRAINING_COSTS),
        "",
        "Interactions are drawn at random, so that there is nothing to learn but popularity: the "
        "loss says that steps are taken, not that they are worth it.",
    ]


def _ranking_lines(found: dict[str, Any]) -> list[str]:
    of_size: dict[str, Any] = found["items"]
    smallest = next(iter(of_size))
    bare = of_size[smallest]["bare product"]["median"]
    header = ["what", *(f"{int(n):,} items" for n in of_size)]
    rows = [
        [side, *(f"{one[side]['median']:.2f} ({one[side]['p95']:.2f})" for one in of_size.values())]
        for side in of_size[smallest]
    ]
    *_, largest = of_size.values()
    best = min(
        (name for name in largest if name != "bare product"), key=lambda n: largest[n]["p95"]
    )
    return [
        f"Milliseconds, median and in brackets p95 of {found['rounds']} users one after the "
        f"other, k = {found['k']}, d = {found['channels']}, {found['voters']} sampled voters for "
        "each item, top ten, one thread:",
        "",
        markdown_table(header, rows),
        "",
        '"Pruned" is what a catalogue of more than 262,144 items gets: items are scored in the '
        "order of what all users share, until no further one can come in; the result is exact. "
        "Graph and head are synthetic; the product is weighed against popularity as in the "
        "published movielens-small model.",
        "",
        f"On the largest catalogue the quickest, {best}, has a p95 of "
        f"{largest[best]['p95'] / bare:.0f} times the bare product on {int(smallest):,} items (the "
        "aim was 10), nearly all of it the fixed cost of sampling and encoding.",
    ]

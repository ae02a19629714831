"""The report of a scale run."""

from __future__ import annotations

from typing import Any

from graphmeta.experiments.markdown_table import markdown_table


def report(found: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Return the report as Markdown.

    Args:
        found: What was measured: "ingest" and "sampling".
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
            "## Sampling",
            "",
            *_sampling_lines(found["sampling"]),
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

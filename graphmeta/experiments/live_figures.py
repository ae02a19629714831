"""The pictures of the live tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from graphmeta.explain.figure import figure, line_styles, plain

SHOWN = ["ips", "snips", "el", "dr", "dr (wrong model)"]


def draw_coverage(path: Path, cells: pd.DataFrame, *, n_logs: int) -> None:
    """Draw how often intervals cover over users in a log, a panel per logging policy.

    Args:
        path: The PNG file.
        cells: Columns logging, size, estimator, covers, overlap.
        n_logs: Logs behind each point, for the band in which chance leaves exact intervals.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    policies = list(dict.fromkeys(cells["logging"]))
    with figure(path, width=4 * len(policies), height=4.4) as (drawing, axes):
        axes.remove()
        panels = drawing.subplots(1, len(policies), sharey=True, squeeze=False)[0]
        chance = 1.96 * (0.95 * 0.05 / n_logs) ** 0.5
        for panel, policy in zip(panels, policies, strict=True):
            part = cells[cells["logging"] == policy]
            panel.axhspan(0.95 - chance, min(1.0, 0.95 + chance), color="#dddddd")
            for name, style in zip(SHOWN, line_styles(len(SHOWN)), strict=True):
                rows = part[part["estimator"] == name]
                panel.plot(rows["size"].astype(int), rows["covers"], label=name, **style)
            panel.set_xscale("log")
            sizes = list(dict.fromkeys(part["size"]))
            panel.set_xticks([int(size) for size in sizes], sizes)
            panel.minorticks_off()
            panel.set_xlabel("users in the log")
            panel.set_title(f"logged by {policy}\neffective share {part['overlap'].iloc[0]:.0%}")
            plain(panel)
        panels[0].set_ylabel("95 % intervals that cover the truth")
        handles, names = panels[0].get_legend_handles_labels()
        drawing.legend(handles, names, loc="outside lower center", ncols=len(SHOWN), frameon=False)


def draw_power(path: Path, curves: pd.DataFrame) -> None:
    """Draw power over sessions, a panel per contrast.

    Args:
        path: The PNG file.
        curves: Columns contrast, n_sessions, interleaving, ab.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    contrasts = list(dict.fromkeys(curves["contrast"]))
    tests = {"interleaving": "interleaving", "ab": "A/B test"}
    with figure(path, width=4 * len(contrasts), height=4.2) as (drawing, axes):
        axes.remove()
        panels = drawing.subplots(1, len(contrasts), sharey=True, squeeze=False)[0]
        for panel, contrast in zip(panels, contrasts, strict=True):
            part = curves[curves["contrast"] == contrast]
            panel.axhline(0.8, color="#999999", linewidth=0.8)
            for (column, name), style in zip(tests.items(), line_styles(2), strict=True):
                panel.plot(part["n_sessions"], part[column], label=name, **style)
            panel.set_xscale("log")
            panel.set_ylim(0, 1.02)
            panel.set_xlabel("sessions")
            panel.set_title(f"against {contrast}")
            plain(panel)
        panels[0].set_ylabel("chance to find the better one")
        handles, names = panels[0].get_legend_handles_labels()
        drawing.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)

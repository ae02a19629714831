"""The pipeline page runs, top to bottom, and its claims hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from graphmeta.data import split_cold_users

PAGE = (Path(__file__).parents[1] / "docs" / "pipeline.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    scope, lines, n_blocks = run_page("pipeline.md")
    assert n_blocks == 5
    assert lines[-1] == "EncoderReport(can_adapt=True, can_batch=True, advice=())"
    assert len(scope["losses"]) == 3
    split = split_cold_users(scope["graph"], seed=0)
    users = list(scope["graph"]["user"].id_map.to_ids(scope["batch"]["user"].n_id))
    assert users[: len(scope["best"])] == list(split.test.user_ids.ids)
    best = (
        split.train["item"]
        .id_map.to_index(scope["graph"]["item"].id_map.to_ids(scope["best"]).ravel())
        .view(-1, 10)
    )
    assert not bool((best.unsqueeze(2) == split.test.support(5).item_index.unsqueeze(1)).any())
    hits = [torch.isin(row, split.test.query(user)).sum() for user, row in enumerate(best)]
    n_query = split.test.query_ptr[-1]
    assert sum(hits) / best.numel() > 2 * n_query / len(split.test) / split.train["item"].num_nodes


def test_fifteen_lines_are_fifteen() -> None:
    lines = [line for line in BLOCKS[1].splitlines() if line.strip()]
    assert len(lines) - 1 <= 15  # Less the line that prints.
    assert max(map(len, lines)) <= 100

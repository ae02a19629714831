"""Whom to adapt, as held-out users say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.ranking import validation_users
from graphmeta.ranking.validation_users import ValidationUsers

GAINS = {
    "few": [0.0026, 0.0153, -0.0067, 0.0153] + [0.0] * 60,
    "most": [0.01] * 50 + [-0.01] * 14,
    "none": [0.0] * 64,
}


@pytest.mark.parametrize(("gains", "is_open"), [("few", False), ("most", True), ("none", False)])
def test_the_gate_asks_for_two_standard_errors(
    monkeypatch: pytest.MonkeyPatch, gains: str, is_open: bool
) -> None:
    split = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0)

    def evaluate(scorer: Any, users: Any, *, k: list[int], seed: int) -> Any:
        figures = GAINS[gains] if scorer else [0.0] * 64
        rows = [{"k": size, "user": n, "ndcg@10": f} for size in k for n, f in enumerate(figures)]
        return SimpleNamespace(per_user=pd.DataFrame(rows))

    monkeypatch.setattr(validation_users, "evaluate", evaluate)
    scorer: Any = SimpleNamespace(
        learner=SimpleNamespace(min_support=2), gated=lambda is_adapted: is_adapted
    )
    gate = ValidationUsers(split.validation, seed=0).gate(scorer)
    assert gate.keys() == {3, 5, 10}
    assert set(gate.values()) == {is_open}

"""Scales found again in answers that were drawn by them."""

import math
import sys
from dataclasses import replace

import pytest
import torch

from graphmeta.data import ColdSplit
from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError
from graphmeta.explore import Belief, Scales, fit_scales
from graphmeta.explore.fit_scales import _asked, _surprise


def test_scales_are_found_again(
    belief: Belief, split: ColdSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users who take by the model of `Belief`, under scales that the fit is not told."""
    true, n_users = Scales(level=3.5, slope=0.9, taste=0.8, activity=1.2), 300
    generator = torch.Generator().manual_seed(0)
    log_share = belief.log_share(split.validation.support(0))[:1].expand(n_users, -1)
    features = Belief(belief.scorer, true).features
    own = torch.randn(n_users, features.size(1), generator=generator)
    chance = (true.level + true.slope * log_share + own @ features.T).sigmoid()
    takes = torch.bernoulli(chance, generator=generator) > 0
    users = replace(
        split.validation,
        user_ids=IdMap(range(n_users)),
        first=Support(torch.empty(n_users, 0, dtype=torch.long)),
        query_ptr=torch.cat([torch.zeros(1, dtype=torch.long), takes.sum(1).cumsum(0)]),
        query_index=takes.nonzero()[:, 1],
    )
    # What the model makes of what was taken is no part of these users.
    monkeypatch.setattr(Belief, "log_share", lambda _, support: log_share[: len(support)].clone())
    # By the module: the package has the function by that name.
    monkeypatch.setattr(sys.modules["graphmeta.explore.fit_scales"], "FEWEST", 0)
    found = fit_scales(belief, users, k=(0,), n_rounds=6, slate=5)
    assert found.level == pytest.approx(true.level, abs=0.8)
    assert found.slope == pytest.approx(true.slope, abs=0.25)
    assert found.taste == pytest.approx(true.taste, abs=0.3)
    assert found.activity == pytest.approx(true.activity, abs=0.3)


def test_the_fit_raises_the_likelihood(belief: Belief, split: ColdSplit) -> None:
    asked = _asked(belief, split.validation, 1, 3, 4, 0)
    scales = fit_scales(belief, split.validation, k=(1,), n_rounds=3, slate=4)
    fitted = Belief(belief.scorer, scales)
    off = Belief(belief.scorer, replace(scales, level=scales.level + 1))
    assert _surprise(fitted, asked) < _surprise(belief, asked)
    assert _surprise(fitted, asked) < _surprise(off, asked)
    assert math.isfinite(scales.level)


def test_what_cannot_be_fitted(belief: Belief, split: ColdSplit) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        fit_scales(belief, split.validation, n_rounds=0)
    with pytest.raises(DataError, match="no validation user has 10 items"):
        fit_scales(belief, split.validation.select(torch.arange(0)))

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from graphmeta.ranking import ranking_metrics
from graphmeta.ranking.chance import chance_moments


@pytest.mark.parametrize("n_candidates", [1, 5, 12])
def test_equals_the_mean_over_all_orders(n_candidates: int) -> None:
    for n_query in range(1, n_candidates + 1):
        # Which ranks the query takes: every choice is equally likely.
        places = list(combinations(range(n_candidates), n_query))
        hits = torch.zeros(len(places), n_candidates, dtype=torch.bool)
        hits.scatter_(1, torch.tensor(places), True)
        every = ranking_metrics(hits[:, :20], torch.full((len(places),), n_query))
        for metric, (mean, variance) in chance_moments(
            torch.tensor([n_query]), n_candidates
        ).items():
            assert float(mean) == pytest.approx(float(every[metric].mean()), abs=1e-12)
            exact = float(every[metric].var(correction=0))
            assert float(variance) == pytest.approx(exact, abs=1e-12)


def test_users_may_have_candidates_of_their_own() -> None:
    n_query, n_candidates = torch.tensor([1, 2, 7]), torch.tensor([3, 40, 12])
    together = chance_moments(n_query, n_candidates)
    for user in range(3):
        alone = chance_moments(n_query[user : user + 1], int(n_candidates[user]))
        for metric, (mean, variance) in alone.items():
            assert float(together[metric][0][user]) == pytest.approx(float(mean), abs=1e-12)
            assert float(together[metric][1][user]) == pytest.approx(float(variance), abs=1e-12)


def test_equals_a_simulation_in_a_larger_catalogue() -> None:
    generator = torch.Generator().manual_seed(0)
    n_query = torch.tensor([1, 7, 30])
    moments = chance_moments(n_query, 60)
    for user, n in enumerate(n_query.tolist()):
        hits = torch.rand(20_000, 60, generator=generator).argsort(1)[:, :20] < n
        seen = ranking_metrics(hits, torch.full((20_000,), n))
        for metric, (mean, variance) in moments.items():
            assert float(mean[user]) == pytest.approx(float(seen[metric].mean()), abs=0.008)
            assert float(variance[user]) == pytest.approx(float(seen[metric].var()), abs=0.008)

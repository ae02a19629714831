import numpy as np
import torch
from scipy.stats import chisquare, kstest

from graphmeta.tasks.fixed_draws import fixed_draws


def splitmix64(state: int) -> int:
    """The published mixing function, in Python's whole numbers."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def test_against_whole_numbers():
    step = 0x9E3779B97F4A7C15
    for seed, row in ((0, 0), (0, 1), (7, 12_345), (2**62, 2**40)):
        start = splitmix64((splitmix64(seed) + row * step) % 2**64)
        wanted = [(splitmix64((start + j * step) % 2**64) >> 11) * 2.0**-53 for j in (1, 2, 3)]
        assert fixed_draws(seed, torch.tensor([row]), 3).tolist() == [wanted]


def test_a_row_draws_the_same_beside_any_others():
    rows = torch.tensor([5, 9, 5, 2])
    drawn = fixed_draws(3, rows, 4)
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[1:2], fixed_draws(3, rows[1:2], 4))
    assert not torch.equal(drawn, fixed_draws(4, rows, 4))


def test_draws_are_uniform_and_columns_independent():
    drawn = fixed_draws(0, torch.arange(20_000), 4).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert kstest(drawn.ravel(), "uniform").pvalue > 1e-3
    cells = np.histogram2d(drawn[:, 0], drawn[:, 1], bins=8)[0]
    assert chisquare(cells.ravel()).pvalue > 1e-3
    between_rows = np.histogram2d(drawn[:-1, 2], drawn[1:, 2], bins=8)[0]
    assert chisquare(between_rows.ravel()).pvalue > 1e-3

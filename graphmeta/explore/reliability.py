"""Do chances and spreads say what then happens?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from graphmeta.errors import ConfigError, DataError
from graphmeta.explore.posterior import Posterior


def reliability(chance: ArrayLike, is_taken: ArrayLike, *, n_bins: int = 10) -> pd.DataFrame:
    """Return how often items were taken by the chance that was given to them.

    Args:
        chance: Between 0 and 1.
        is_taken: What happened.
        n_bins: In how many groups, of the same size but for one, by chance.

    Returns:
        A row per group: chance and observed, the two means, and n.

    Raises:
        ConfigError: `n_bins` is below 1.
        DataError: There is nothing, not one outcome for each chance, or a chance that is none.
    """
    expected, observed = np.asarray(chance, np.float64), np.asarray(is_taken, np.float64)
    if n_bins < 1:
        raise ConfigError(f"n_bins={n_bins} must be at least 1, such as 10")
    if expected.shape != observed.shape or expected.ndim != 1 or not len(expected):
        raise DataError(
            f"chances of shape {list(expected.shape)} and outcomes of shape "
            f"{list(observed.shape)} must be two lists of the same length, and not empty"
        )
    if not ((expected >= 0) & (expected <= 1)).all():
        raise DataError("chances must be numbers from 0 to 1")
    groups = np.array_split(np.argsort(expected, kind="stable"), min(n_bins, len(expected)))
    rows = [(expected[rows].mean(), observed[rows].mean(), len(rows)) for rows in groups]
    return pd.DataFrame(rows, columns=["chance", "observed", "n"])


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error of a table that `reliability` made.

    The mean of `|chance - observed|` over the groups, weighted by their sizes (Guo et al., "On
    calibration of modern neural networks", ICML 2017, with groups of equal size).
    """
    gap = (table["chance"] - table["observed"]).abs()
    return float((gap * table["n"]).sum() / table["n"].sum())


def count_quantile(
    posterior: Posterior,
    items: Tensor,
    n_taken: Tensor,
    *,
    scale: float = 1.0,
    n_draws: int = 400,
    seed: int = 0,
) -> Tensor:
    """Return where the number of items that each user took lies in what was expected of it.

    The expected distribution is that of worlds drawn from the posterior, in each of which items are
    taken or not by their chances. If that is right the quantiles are uniform between 0 and 1: a
    share p of them lies in the middle interval of size p. A count lies on a step of its
    distribution; where on the step is drawn (Czado, Gneiting and Held, "Predictive model assessment
    for count data", Biometrics 2009).

    Args:
        posterior: Of the users before the items were shown.
        items: The items.
        n_taken: How many of them each user took.
        scale: Multiplies the posterior's standard deviations; with 0 the chances are sure.
        n_draws: How many worlds.
        seed: Draws them.

    Shapes:
        items: int64, `[n_users, m]`.
        n_taken: int64, `[n_users]`.
        output: float32, `[n_users]`.

    Raises:
        ConfigError: `n_draws` is below 1.
    """
    if n_draws < 1:
        raise ConfigError(f"n_draws={n_draws} must be at least 1, such as 400")
    generator = torch.Generator().manual_seed(seed)
    below, level = torch.zeros(len(items)), torch.zeros(len(items))
    for _ in range(n_draws):
        chances = posterior.logits(posterior.draw(generator, scale=scale), items).sigmoid()
        count = torch.bernoulli(chances, generator=generator).sum(1)
        below += count < n_taken
        level += count == n_taken
    place = torch.rand(len(items), generator=generator)
    return (below + place * level) / n_draws

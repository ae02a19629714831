"""Which of two interleaved rankings users prefer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from graphmeta.errors import DataError


@dataclass(frozen=True)
class Preference:
    """What the clicks of interleaved sessions say.

    Args:
        share: Of the users with a preference, the share that prefers ranking a.
        lower: Lower end of its exact 95 % interval (Clopper and Pearson, 1934).
        upper: Its upper end.
        p_value: Of the two-sided sign test: were users alike in both, half would prefer a.
        n_a: Users who prefer a.
        n_b: Users who prefer b.
        n_tied: Users who prefer neither; they are no evidence and not tested.
    """

    share: float
    lower: float
    upper: float
    p_value: float
    n_a: int
    n_b: int
    n_tied: int


def compare_interleaved(
    sessions: pd.DataFrame, *, user: str = "user", credit: str = "credit"
) -> Preference:
    """Test whether users prefer one of two interleaved rankings.

    A user's sessions are one voice: their credits are added, and the sign of the sum counts.
    Sessions of one user are alike, and counted one by one they would feign certainty.

    Args:
        sessions: A row per session.
        user: Column with user ids. Where nobody comes twice, a session id does as well.
        credit: Column with what `Interleaved.credit` returned.

    Raises:
        DataError: A column is missing, has gaps or holds other credits, or no user has a
            preference.
    """
    for column in (user, credit):
        if column not in sessions:
            raise DataError(f"the sessions have no column {column!r}; they have {list(sessions)}")
        if bool(sessions[column].isna().any()):
            raise DataError(f"column {column!r} is missing in some sessions; every row needs one")
    if not bool(sessions[credit].isin([-1, 0, 1]).all()):
        raise DataError(f"column {credit!r} must hold 1, 0 or -1, as Interleaved.credit returns")
    sign = np.sign(sessions.groupby(user)[credit].sum().to_numpy())
    n_a, n_b = int((sign > 0).sum()), int((sign < 0).sum())
    if not n_a + n_b:
        raise DataError("no user prefers either ranking; gather sessions with clicks")
    test = binomtest(n_a, n_a + n_b)
    ends = test.proportion_ci(0.95, method="exact")
    return Preference(
        share=n_a / (n_a + n_b),
        lower=float(ends.low),
        upper=float(ends.high),
        p_value=float(test.pvalue),
        n_a=n_a,
        n_b=n_b,
        n_tied=len(sign) - n_a - n_b,
    )

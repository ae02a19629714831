"""The sessions of a batch of users as they go on."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.explore.belief import Belief
from graphmeta.explore.posterior import Posterior


class SessionBatch:
    """What users were shown and took, and the model's scores for it.

    A user is scored anew when something was taken: the model reads nothing else.

    Args:
        belief: Of the model.
        first: Rows of the items that each user has before anything is shown.

    Shapes:
        first: int64, `[n_users, k]`.

    Attributes:
        shown: int64, `[n_users, m]`; the first items, and what was shown since.
        is_taken: bool, `[n_users, m]`.
        log_share: float32, `[n_users, n_items]`; see `Belief.log_share`.
    """

    def __init__(self, belief: Belief, first: Tensor) -> None:
        self.belief = belief
        self.shown, self.is_taken = first, torch.ones_like(first, dtype=torch.bool)
        self.log_share = belief.log_share(Support(first))

    @property
    def is_shown(self) -> Tensor:
        """Which items were shown; bool, `[n_users, n_items]`."""
        nothing = torch.zeros(self.log_share.shape, dtype=torch.bool)
        return nothing.scatter(1, self.shown, True)

    @property
    def posterior(self) -> Posterior:
        """What is believed of the users now."""
        return self.belief.posterior(self.log_share, self.shown, self.is_taken)

    def answer(self, slate: Tensor, is_taken: Tensor) -> None:
        """Add what was shown to each user, and which of it was taken.

        Shapes:
            slate: int64, `[n_users, n]`.
            is_taken: bool, `[n_users, n]`.
        """
        self.shown = torch.cat([self.shown, slate], dim=1)
        self.is_taken = torch.cat([self.is_taken, is_taken], dim=1)
        rows = is_taken.any(1).nonzero().flatten()
        if len(rows):
            self.log_share[rows] = self.belief.log_share(self._support(rows))

    def _support(self, rows: Tensor) -> Support:
        """Return what users took, in the order in which it was shown."""
        is_taken = self.is_taken[rows]
        order = (~is_taken).int().argsort(dim=1, stable=True)[:, : int(is_taken.sum(1).max())]
        item = self.shown[rows].gather(1, order)
        return Support(item.where(is_taken.gather(1, order), -1))

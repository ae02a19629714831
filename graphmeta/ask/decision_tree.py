"""A decision tree of questions, grown as far as users walk it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.ask.questions import Answers, Questions
from graphmeta.data.scipy_matrix import to_scipy

# The most popular items, which alone may be asked about: others split off hardly anybody.
N_CANDIDATES = 200
FEWEST_USERS = 20


class DecisionTreeQuestions(Questions):
    """Asks what splits the training users into the most alike (Golbandi et al., WSDM 2011).

    A node holds the training users who gave the answers so far. Its item leaves the smallest
    squared error when each side's users are described by the side's mean profile. A node of fewer
    than 20 users is a leaf; then popular items follow.

    Args:
        graph: The training graph.
    """

    name: ClassVar[str] = "decision-tree"

    def __init__(self, graph: HeteroData) -> None:
        super().__init__(graph)
        self._matrix = to_scipy(graph)
        self._popularity = np.asarray(self._matrix.sum(0)).ravel()
        self._candidates = np.argsort(-self._popularity, kind="stable")[:N_CANDIDATES]
        self._nodes: dict[tuple[tuple[int, bool], ...], int | None] = {}

    def worth(self, answers: Answers) -> Tensor:
        """Return the popularity, and above it the item of each user's node."""
        worth = torch.from_numpy(self._popularity).float().repeat(len(answers), 1)
        asked, known = answers.asked.numpy(), answers.known.numpy()
        for user in range(len(answers)):
            item = self._walk(asked[user], known[user])
            if item is not None:
                worth[user, item] = float(self._matrix.shape[0] + 1)
        return worth

    def _walk(self, asked: np.ndarray, known: np.ndarray) -> int | None:
        path: tuple[tuple[int, bool], ...] = ()
        while True:
            if path not in self._nodes:
                self._nodes[path] = self._split(path)
            item = self._nodes[path]
            if item is None or not asked[item]:
                return item
            path = (*path, (item, bool(known[item])))

    def _split(self, path: tuple[tuple[int, bool], ...]) -> int | None:
        users = self._matrix
        for item, is_known in path:
            has_item = np.asarray(users[:, [item]].sum(1)).ravel() > 0
            users = users[has_item if is_known else ~has_item]
        free = np.setdiff1d(self._candidates, [item for item, _ in path], assume_unique=True)
        if users.shape[0] < FEWEST_USERS or not len(free):
            return None
        together = sp.csr_matrix(users[:, free].T @ users)
        n_yes = np.asarray(users[:, free].sum(0)).ravel()
        total = np.asarray(users.sum(0)).ravel()
        yes = np.asarray(together.multiply(together).sum(1)).ravel()
        no = total @ total - 2 * (together @ total) + yes
        n_no = users.shape[0] - n_yes
        gain = yes / np.maximum(n_yes, 1) + no / np.maximum(n_no, 1)
        gain[(n_yes == 0) | (n_no == 0)] = -np.inf
        best = int(gain.argmax())
        return int(free[best]) if np.isfinite(gain[best]) else None

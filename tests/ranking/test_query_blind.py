from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, Support, split_cold_users
from graphmeta.errors import DataError, ProtocolError
from graphmeta.ranking import check_query_blind


class Everything:
    """Popularity that holds state of every kind, and a hint."""

    def __init__(self, hint: Any = None) -> None:
        self.hint = hint

    def fit(self, train: HeteroData) -> Self:
        item = train["user", "rates", "item"].edge_index[1]
        self.count = torch.bincount(item, minlength=train["item"].num_nodes).float()
        self.train = train
        self.layer = torch.nn.Linear(2, 2)
        self.layer.load_state_dict({"weight": torch.eye(2), "bias": torch.full((2,), torch.nan)})
        self.sparse = torch.eye(3).to_sparse()
        self.report = pd.DataFrame({"k": [1, 3], "seconds": np.random.default_rng().random(2)})
        self.generators = (torch.Generator().manual_seed(1), np.random.default_rng(1))
        self.itself, self.names = self, {"b", "a", None}
        return self

    def score(self, support: Support) -> Tensor:
        return self.count.expand(len(support), -1)


@pytest.fixture
def split(planted_graph: HeteroData) -> ColdSplit:
    return split_cold_users(planted_graph)


def check(split: ColdSplit, hint: Any) -> None:
    """Build with a hint made from the test users' query."""
    check_query_blind(
        lambda s: Everything(hint(s.test.query_index)).fit(s.train), split, 1, ignore=["seconds"]
    )


def test_a_fit_on_training_users_passes(split: ColdSplit) -> None:
    check(split, lambda query: None)


def test_what_differs_from_fit_to_fit_is_named(split: ColdSplit) -> None:
    with pytest.raises(ProtocolError, match=r"Everything changes .*: report\.seconds;"):
        check_query_blind(lambda s: Everything().fit(s.train), split, 1)


@pytest.mark.parametrize(
    ("hint", "where"),
    [
        (lambda query: query, "hint"),
        (lambda query: {"deep": [1, (query.numpy(),)]}, r"hint\.deep\.1\.0"),
        (lambda query: int(query[0]), "hint"),
        (lambda query: pd.DataFrame({"seen": query.numpy()}), r"hint\.seen"),
        (lambda query: query[:3].float().diag().to_sparse(), r"hint\.values"),
        (lambda query: csr_matrix(query.numpy()[None]), r"hint\.(data|indices)"),
        (lambda query: Support(query[None]), r"hint\.item_index"),
        (lambda query: np.random.default_rng(int(query[0])), r"hint\.state"),
        (lambda query: torch.Generator().manual_seed(int(query[0])), r"hint\.state"),
    ],
)
def test_a_fit_that_reads_the_query_is_caught(split: ColdSplit, hint: Any, where: str) -> None:
    with pytest.raises(ProtocolError, match=f"test users' query items.*: {where}"):
        check(split, hint)


def test_scores_are_compared_as_well(split: ColdSplit) -> None:
    class Hiding(Everything):
        def score(self, support: Support) -> Tensor:
            return self.secret() + super().score(support)

    def build(given: ColdSplit) -> Hiding:
        scorer = Hiding().fit(given.train)
        seen = given.test.query_index[0].item()
        scorer.secret = lambda: torch.tensor(float(seen))
        return scorer

    with pytest.raises(ProtocolError, match="the scores at k=1"):
        check_query_blind(build, split, 1, ignore=["seconds"])


def test_one_query_item_cannot_be_permuted(split: ColdSplit) -> None:
    same = replace(split.test, query_index=torch.zeros_like(split.test.query_index))
    with pytest.raises(DataError, match="changes nothing"):
        check_query_blind(lambda s: Everything().fit(s.train), replace(split, test=same), 1)

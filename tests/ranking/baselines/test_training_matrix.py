from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import IdMap, Support, bipartite_graph
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix, keep_largest


def tiny_graph() -> HeteroData:
    """Three users, four items: user 0 has 0, 1, 2; user 1 has 1, 2; user 2 has 1, 3."""
    edge = torch.tensor([[0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2, 1, 3]])
    return bipartite_graph(edge, user_ids=IdMap("abc"), item_ids=IdMap("wxyz"))


def test_counts_overlap_and_votes_by_hand() -> None:
    matrix = TrainingMatrix(tiny_graph())
    assert (matrix.n_users, matrix.n_items) == (3, 4)
    assert matrix.user_count.tolist() == [3, 2, 2]
    assert matrix.item_count.tolist() == [1, 3, 2, 1]
    assert matrix.log_popularity.exp().sub(1).tolist() == pytest.approx([1, 3, 2, 1])
    support = Support(torch.tensor([[1, 2], [3, -1]]))
    assert matrix.support_matrix(support).toarray().tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]
    assert matrix.overlap(support).tolist() == [[2, 2, 1], [0, 0, 1]]
    weighted = matrix.overlap(support, item_weight=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert weighted.tolist() == [[5, 5, 2], [0, 0, 4]]
    votes = matrix.votes(torch.tensor([[1.0, 2.0, 4.0]]))
    assert votes.tolist() == [[1, 7, 3, 4]]


def test_sparse_and_dense_votes_agree(planted_graph: HeteroData) -> None:
    matrix = TrainingMatrix(planted_graph)
    weight = torch.rand(4, matrix.n_users, generator=torch.Generator().manual_seed(0))
    sparse = weight.where(weight > 0.98, 0.0)
    for some in (weight, sparse):
        expected = some @ torch.from_numpy(matrix.by_user.toarray())
        torch.testing.assert_close(matrix.votes(some), expected)


def test_keep_largest_keeps_ties() -> None:
    weight = torch.tensor([[3.0, 1.0, 2.0, 2.0], [0.0, 5.0, 4.0, 1.0]])
    assert keep_largest(weight, 2).tolist() == [[3, 0, 2, 2], [0, 5, 4, 0]]
    assert keep_largest(weight, 9).equal(weight)

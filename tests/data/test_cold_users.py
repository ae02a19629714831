import pytest
import torch

from graphmeta.data import ColdUsers, IdMap, Support
from graphmeta.errors import ConfigError


@pytest.fixture
def users():
    first = Support(
        torch.tensor([[0, 1], [2, 3]]), torch.tensor([[5.0, 4.0], [3.0, 2.0]]), user_x=torch.eye(2)
    )
    ptr, query = torch.tensor([0, 1, 4]), torch.tensor([9, 6, 7, 8])
    items, count = IdMap("abcdefghij"), torch.arange(1, 11)
    return ColdUsers(IdMap(["ann", "bob"]), first, ptr, query, items, count, 10)


def test_support_is_cut_and_the_query_stays(users):
    assert users.support(1).item_index.tolist() == [[0], [2]]
    assert users.support(0).item_index.shape == (2, 0)
    assert users.support(1).rating.tolist() == [[5], [3]]
    assert users.support(1).user_x.equal(torch.eye(2))
    assert users.query(1).tolist() == [6, 7, 8]
    with pytest.raises(ConfigError, match=r"k=3 is outside 0\.\.2"):
        users.support(3)


def test_selection_keeps_each_user_whole(users):
    swapped = users.select(torch.tensor([1, 0]))
    assert swapped.user_ids.ids.tolist() == ["bob", "ann"]
    assert [swapped.query(n).tolist() for n in range(2)] == [[6, 7, 8], [9]]
    assert swapped.first.rating.tolist() == [[3, 2], [5, 4]]
    assert swapped.item_ids == users.item_ids
    assert swapped.item_count.equal(users.item_count)
    blocks = [block.query_index.tolist() for _, block in users.batches(1)]
    assert blocks == [[9], [6, 7, 8]]


def test_padding_is_no_interaction():
    support = Support(torch.tensor([[1, -1], [0, 2]]))
    assert support.size.tolist() == [1, 2]
    assert support.to_dense(3).tolist() == [[0, 1, 0], [1, 0, 1]]


def test_columns_of_a_support(users):
    last = users.first.at(slice(1, None))
    assert last.item_index.tolist() == [[1], [3]]
    assert last.rating.tolist() == [[4], [2]]
    assert last.time is None
    assert last.user_x.equal(torch.eye(2))
    turned = users.first.at(torch.tensor([1, 0]))
    assert turned.item_index.tolist() == [[1, 0], [3, 2]]

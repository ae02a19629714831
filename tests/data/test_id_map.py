import pytest
import torch

from graphmeta.data import IdMap
from graphmeta.errors import DataError, UnknownIdError


def test_ids_map_both_ways():
    ids = IdMap(["b", "a", "c"])
    assert ids.to_index(["c", "b"]).tolist() == [2, 0]
    assert ids.to_ids(torch.tensor([[1], [2]])).tolist() == [["a"], ["c"]]
    assert ids.find(["a", "zzz"]).tolist() == [1, -1]
    assert ids.select(torch.tensor([2, 0])) == IdMap(["c", "b"])


def test_unknown_missing_and_repeated_ids_are_named():
    with pytest.raises(UnknownIdError, match=r"1 of 2 ids are unknown \(first: 9\)"):
        IdMap([1, 2]).to_index([1, 9])
    with pytest.raises(DataError, match="id 3 appears twice"):
        IdMap([3, 3])
    with pytest.raises(DataError, match="missing"):
        IdMap(["a", None])

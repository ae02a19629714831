import numpy as np
import pytest
import scipy.sparse as sp

from graphmeta.data.scipy_matrix import from_scipy, to_scipy
from graphmeta.errors import DataError


def test_round_trip_keeps_values_and_empty_rows():
    matrix = sp.csr_matrix(np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32))
    graph = from_scipy(matrix, item_ids=["a", "b", "c"], ratings=True)
    assert graph["item"].id_map.ids.tolist() == ["a", "b", "c"]
    assert (to_scipy(graph, ratings=True) != matrix).nnz == 0
    assert to_scipy(graph).toarray().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_unusable_matrices_are_refused():
    with pytest.raises(DataError, match="has no nonzero"):
        from_scipy(sp.csr_matrix((2, 2)))
    with pytest.raises(DataError, match="3 ids for 2 rows"):
        from_scipy(sp.eye_array(2), user_ids=[1, 2, 3])
    with pytest.raises(DataError, match="no ratings"):
        to_scipy(from_scipy(sp.eye_array(2)), ratings=True)

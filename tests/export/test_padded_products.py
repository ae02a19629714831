import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphmeta.encoders.interaction_matrix import InteractionMatrix
from graphmeta.export.padded_products import PaddedProducts, RaggedRows

# User 0 has items 0 and 2, user 1 none, user 2 all three, user 3 item 1.
EDGES = torch.tensor([[0, 0, 2, 2, 2, 3], [0, 2, 0, 1, 2, 1]])
MATRIX = InteractionMatrix(EDGES, num_users=4, num_items=3)


def test_by_hand() -> None:
    products = PaddedProducts(MATRIX)
    x = torch.tensor([[1.0, 10.0, 100.0]])
    assert products.to_users(x).tolist() == [[101, 0, 111, 10]]
    x = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
    assert products.to_items(x).tolist() == [[101, 1100, 101]]
    place, item = RaggedRows(MATRIX).items_of(torch.tensor([2, -1, 1, 0]))
    assert place.tolist() == [0, 0, 0, 3, 3]
    assert item.tolist() == [0, 1, 2, 0, 2]


@settings(deadline=None)  # The first call compiles.
@given(
    st.sets(st.tuples(st.integers(0, 8), st.integers(0, 5)), max_size=40),
    st.lists(st.integers(-1, 8), min_size=1, max_size=12),
)
def test_as_the_matrix_does(edges: set[tuple[int, int]], users: list[int]) -> None:
    edge_index = torch.tensor(sorted(edges), dtype=torch.long).view(-1, 2).T
    matrix = InteractionMatrix(edge_index, num_users=9, num_items=6)
    products, rows, user = PaddedProducts(matrix), RaggedRows(matrix), torch.tensor(users)
    x = torch.arange(12.0).view(2, 6)
    torch.testing.assert_close(products.to_users(x), matrix.to_users(x))
    x = torch.arange(18.0).view(2, 9)
    torch.testing.assert_close(products.to_items(x), matrix.to_items(x))
    for found, wanted in zip(rows.items_of(user), matrix.items_of(user), strict=True):
        assert found.tolist() == wanted.tolist()
    known = user.clamp(min=0).unsqueeze(1)
    assert rows.has(known, torch.arange(6)).equal(matrix.has(known, torch.arange(6)))

"""Users known in some domains and new in another."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import (
    ColdUsers,
    Support,
    from_frame,
    split_cold_users,
    split_cross_domain,
    target_alone,
    with_domains,
)
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.baselines import Popularity


def _table(n_users: int = 120) -> pd.DataFrame:
    """Users with 6 films and 12 books in turn; the taste for one tells that for the other."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(n_users):
        taste = user % 2
        films = draw.permutation(10)[:6] * 2 + taste
        books = draw.permutation(20)[:12] * 2 + taste
        rows += [(user, f"f{item}", time) for time, item in enumerate(films)]
        rows += [(user, f"b{item}", time + 3.5) for time, item in enumerate(books)]
    return pd.DataFrame(rows, columns=["user", "item", "time"])


def _graph(time: str | None = "time") -> HeteroData:
    graph = from_frame(_table(), time=time)
    names = {"f": "film", "b": "book"}
    return with_domains(graph, {item: names[item[0]] for item in graph["item"].id_map.ids})


class _ById:
    """Ranks books and films by their numbers."""

    def __init__(self, users: ColdUsers) -> None:
        self._scores = torch.tensor([float(item[1:]) for item in users.item_ids.ids])

    def fit(self, train: HeteroData) -> "_ById":
        return self

    def score(self, support: Support) -> torch.Tensor:
        return self._scores.expand(len(support), -1)


def test_what_is_known_came_before_and_elsewhere() -> None:
    graph, table = _graph(), _table()
    split = split_cross_domain(graph, "book", seed=0, k_max=3, n_known=3)
    users, ids = split.test, split.train["item"].id_map
    assert users.before is not None
    assert set(users.user_ids.ids) == set(
        split_cold_users(graph, seed=0, k_max=3).test.user_ids.ids
    )
    for row, user in enumerate(users.user_ids.ids):
        own = table[table["user"] == user].sort_values("time")
        films = own[own["item"].str.startswith("f")]
        books = own[own["item"].str.startswith("b")]["item"].tolist()
        earlier = films[films["time"] < 3.5]["item"].tolist()  # Four came before the first book.
        assert ids.to_ids(users.before.item_index[row]).tolist() == earlier[-3:]
        assert ids.to_ids(users.first.item_index[row]).tolist() == books[:3]
        assert ids.to_ids(users.query(row)).tolist() == books[3:]
    assert users.support(0).item_index.shape == (len(users), 3)
    assert torch.equal(users.support(2).time[:, 3:], users.first.time[:, :2])
    some = users.select(torch.tensor([2, 0])).support(1)
    assert torch.equal(some.item_index, users.support(1).item_index[[2, 0]])


def test_the_training_graph_is_that_of_training_users_in_all_domains() -> None:
    graph = _graph()
    split = split_cross_domain(graph, "book", seed=1, k_max=3)
    plain = split_cold_users(graph, seed=1, k_max=3)
    assert torch.equal(
        split.train["user", "rates", "item"].edge_index,
        plain.train["user", "rates", "item"].edge_index,
    )
    names = split.train["item"].domain_names.to_ids(split.train["item"].domain)
    first = {"book": "b", "film": "f"}
    assert [first[name] for name in names] == [i[0] for i in split.train["item"].id_map.ids]


def test_less_known_than_asked_is_padded() -> None:
    split = split_cross_domain(_graph(None), "book", seed=0, k_max=3, n_known=9)
    before = split.test.before
    assert before is not None
    # Without times all six films are known.
    assert before.size.tolist() == [6] * len(split.test)
    assert bool((before.item_index[:, 6:] == -1).all())


def test_only_the_target_is_ranked_and_what_is_known_helps() -> None:
    split = split_cross_domain(_graph(), "book", seed=0, k_max=3)
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1).fit(split.train)
    report = evaluate(model, split.test, k=(0, 3))
    assert set(report.rankings["item"].str[0]) == {"b"}
    ndcg = report.per_user.groupby("k")["ndcg@10"].mean()
    plain = evaluate(Popularity().fit(split.train), split.test, k=(0,))
    assert ndcg[0] > 1.2 * plain.per_user["ndcg@10"].mean()


def test_the_target_alone_has_the_same_users_and_queries() -> None:
    split = split_cross_domain(_graph(), "book", seed=0, k_max=3)
    alone = target_alone(split)
    assert set(alone.train["item"].id_map.ids) == {f"b{item}" for item in range(40)}
    assert alone.test.before is None
    for row in (0, len(alone.test) - 1):
        for mine, theirs in (
            (alone.test.query(row), split.test.query(row)),
            (alone.test.first.item_index[row], split.test.first.item_index[row]),
        ):
            found = alone.test.item_ids.to_ids(mine)
            assert found.tolist() == split.test.item_ids.to_ids(theirs).tolist()
    # Candidates are the same, and so is what a ranking by id comes to.
    figures = [evaluate(_ById(part.test), part.test, k=(1,)).per_user for part in (split, alone)]
    pd.testing.assert_frame_equal(*figures)
    with pytest.raises(DataError, match="no target domain"):
        target_alone(split_cold_users(_graph(), seed=0))


def test_what_cannot_be_split() -> None:
    graph = _graph()
    with pytest.raises(DataError, match="did you mean 'book'"):
        split_cross_domain(graph, "boook")
    with pytest.raises(DataError, match="known: book, film"):
        split_cross_domain(graph, "xyz")
    with pytest.raises(ConfigError, match="n_known=0"):
        split_cross_domain(graph, "book", n_known=0)
    with pytest.raises(DataError, match="have no domains"):
        split_cross_domain(from_frame(_table()), "book")
    with pytest.raises(DataError, match="no validation \\(film\\) user has the 25"):
        split_cross_domain(graph, "film", k_max=20)
    late = _table()
    late.loc[late["item"].str.startswith("f"), "time"] += 100
    graph = from_frame(late, time="time")
    names = {"f": "film", "b": "book"}
    graph = with_domains(graph, {item: names[item[0]] for item in graph["item"].id_map.ids})
    with pytest.raises(DataError, match="is anything known before"):
        split_cross_domain(graph, "book", k_max=3)

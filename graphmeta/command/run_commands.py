"""What each command of `graphmeta` does with the options typed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError
from rich.console import Console

from graphmeta.bulk import PartRanked, rank_in_bulk
from graphmeta.command.fit_bundle import demo_bundle, fit_bundle
from graphmeta.data import FeatureMatrix, feature_matrix, from_file, read_file
from graphmeta.errors import ConfigError, MissingExtraError


def _fit(typed: dict[str, Any], console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    columns = {name: typed[f"{name}_col"] for name in ("user", "item", "rating", "time")}
    item_col = typed["items_col"] or typed["item_col"]
    items = None if typed["items"] is None else read_file(typed["items"])
    if typed["new_items"] and not (typed["categorical"] or typed["multi_hot"]):
        raise ConfigError(
            "new items are known by categories and tokens that known ones have too; name such "
            "columns of --items with --categorical or --multi-hot"
        )
    features = _item_features(items, item_col, typed)
    graph = from_file(
        typed["interactions"],
        min_rating=typed["min_rating"],
        item_features=features,
        **columns,
    )
    fit_bundle(
        graph,
        typed["bundle"],
        items=items,
        item=item_col,
        new_items=features if typed["new_items"] else None,
        epochs=typed["epochs"],
        seed=typed["seed"],
        say=say,
    )
    say(f"{typed['bundle']} is written; serve it with: graphmeta serve {typed['bundle']}")


def _item_features(
    items: pd.DataFrame | None, item_col: str, typed: dict[str, Any]
) -> FeatureMatrix | None:
    named = {name: typed[name] for name in ("numeric", "categorical", "multi_hot")}
    if not any(named.values()):
        return None
    if items is None:
        raise ConfigError("features are columns of the items; name their file with --items")
    return feature_matrix(items, id=item_col, **named)


def _serve(typed: dict[str, Any], console: Console) -> None:
    with _needs_extra():
        from graphmeta.command.run_server import run_server
        from graphmeta.serve.settings import ServeSettings
    try:
        settings = ServeSettings(
            **{name: typed[name] for name in ServeSettings.model_fields if name in typed}
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option} {first['input']}: {first['msg']}") from error
    options = {name: typed[name] for name in ("host", "port", "title", "device", "is_open")}
    run_server(typed["bundle"], settings, console=console, **options)


def _rank(typed: dict[str, Any], console: Console) -> None:
    with console.status("gathering histories") as status:

        def tell(part: PartRanked) -> None:
            status.update(f"{part.done} of {part.of} parts are written")

        columns = {name: typed.pop(f"{name}_col") for name in ("user", "item", "rating", "time")}
        report = rank_in_bulk(**typed, **columns, on_part=tell)
    for file in report.skipped:
        console.print(f"left out, damaged: {file}", markup=False, highlight=False, soft_wrap=True)
    known = f"; {report.unknown:,} interactions with unknown items left out"
    console.print(
        f"{report.users:,} users are ranked in {report.folder}, {report.parts_now} of "
        f"{report.parts} parts now{known if report.unknown else ''}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _demo(typed: dict[str, Any], console: Console) -> None:
    with _needs_extra():
        from graphmeta.command.run_server import run_server
        from graphmeta.serve.settings import ServeSettings
    bundle = demo_bundle(console)
    with tempfile.TemporaryDirectory() as folder:  # Nothing of a visitor outlives the demo.
        settings = ServeSettings(database=f"sqlite:///{Path(folder) / 'demo.db'}")
        run_server(bundle, settings, port=typed["port"], console=console)


def _keys(typed: dict[str, Any], console: Console) -> None:
    with _needs_extra():
        from graphmeta.serve.store import Store
    store = Store(typed["database"])
    try:
        if typed["what"] == "add":
            key = store.add_key(typed["name"], typed["role"])
            console.print(key, markup=False, highlight=False, soft_wrap=True)
            Console(stderr=True).print("Keep it: the database holds its hash alone.")
        elif typed["what"] == "remove":
            store.remove_key(typed["name"])
        else:
            for name, role in store.key_names():
                console.print(f"{name} {role}", markup=False, highlight=False)
    finally:
        store.close()


@contextlib.contextmanager
def _needs_extra() -> Iterator[None]:
    """Name the extra to install where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"serving needs the package {error.name}; pip install 'graphmeta[serve]'"
        ) from error


RUNS: dict[str, Callable[[dict[str, Any], Console], None]] = {
    "fit": _fit,
    "serve": _serve,
    "rank": _rank,
    "demo": _demo,
    "keys": _keys,
}

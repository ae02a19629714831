"""The command `graphmeta`: fit a bundle, serve it, rank in bulk, make keys, show it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from pydantic import ValidationError
from rich.console import Console

from graphmeta.bulk import PartRanked, rank_in_bulk
from graphmeta.command.fit_bundle import demo_bundle, fit_bundle
from graphmeta.data import FeatureMatrix, feature_matrix, from_file, read_file
from graphmeta.errors import ConfigError, GraphMetaError, MissingExtraError
from graphmeta.ranking.histories import OnUnknown
from graphmeta.store.event_source import OnDamaged

DATABASE_VARIABLE = "GRAPHMETA_DATABASE"
DEFAULT_DATABASE = "sqlite:///graphmeta.db"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code: 2 where it cannot be done."""
    typed = vars(_parser().parse_args(argv))
    console = Console()
    run: Callable[[dict[str, Any], Console], None] = typed.pop("run")
    try:
        run(typed, console)
    except KeyboardInterrupt:
        return 130
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graphmeta", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands.add_parser("fit", help="train on a table of interactions"))
    _add_serve(commands.add_parser("serve", help="serve a bundle over HTTP, with a page"))
    _add_rank(commands.add_parser("rank", help="rank for many users, from Parquet to Parquet"))
    _add_keys(commands.add_parser("keys", help="make, list and remove API keys"))
    demo = commands.add_parser("demo", help="serve a page of films, trained on MovieLens")
    demo.add_argument("--port", type=_port, default=8000)
    demo.set_defaults(run=_demo)
    return parser


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("interactions", type=Path, help="a Parquet or CSV file, a row each")
    fit.add_argument("bundle", type=Path, help="the file to write, by custom NAME.gm")
    fit.add_argument("--user-col", default="user", help="column with user ids")
    fit.add_argument("--item-col", default="item", help="column with item ids")
    fit.add_argument("--rating-col", help="column with ratings")
    fit.add_argument("--time-col", help="column with times")
    fit.add_argument("--min-rating", type=float, help="drop lower ratings")
    fit.add_argument("--items", type=Path, help="a file of the items: titles, genres, ...")
    fit.add_argument("--items-col", help="its column with item ids; as --item-col by default")
    for kind, text in (
        ("numeric", "numbers"),
        ("categorical", "one category each"),
        ("multi-hot", "tokens joined by |, such as genres"),
    ):
        text = f"columns of the items that the model learns from: {text}"
        fit.add_argument(f"--{kind}", nargs="+", default=[], metavar="COLUMN", help=text)
    fit.add_argument(
        "--new-items",
        action="store_true",
        help="recommend items of --items that nobody has interacted with too, by their features",
    )
    fit.add_argument("--epochs", type=int, default=20, help="most epochs")
    fit.add_argument("--seed", type=int, default=0)
    fit.set_defaults(run=_fit)


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("bundle", type=Path, help="the file of the model")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", type=_port, default=8000)
    serve.add_argument("--title", help="column of the items with titles; title or name by default")
    serve.add_argument("--device", default="cpu", help="where to score")
    serve.add_argument("--open", dest="is_open", action="store_true", help="need no API key")
    serve.add_argument(
        "--no-page", dest="has_page", action="store_false", help="serve the API alone"
    )
    _add_database(serve)
    limits = {
        "max_batch": (int, "most users ranked together"),
        "max_queue": (int, "most requests that wait to be ranked; further ones get a 503"),
        "max_requests": (int, "most requests at work at once; further ones get a 503"),
        "time_limit": (float, "seconds until a request is given up"),
        "max_history": (int, "interactions of a user that the model reads, the latest"),
        "max_body": (int, "bytes of the largest request"),
    }
    for name, (kind, text) in limits.items():
        option = f"--{name.replace('_', '-')}"
        serve.add_argument(option, type=kind, default=argparse.SUPPRESS, help=text)
    serve.set_defaults(run=_serve)


def _add_rank(rank: argparse.ArgumentParser) -> None:
    rank.add_argument("bundle", type=Path, help="the file of the model")
    rank.add_argument("histories", nargs="+", help="Parquet files, folders or patterns, a row each")
    rank.add_argument("out", type=Path, help="the folder to write; that of a stopped run goes on")
    rank.add_argument("--k", type=int, default=10, help="items for each user")
    rank.add_argument("--user-col", default="user", help="column with user ids")
    rank.add_argument("--item-col", default="item", help="column with item ids")
    rank.add_argument("--rating-col", help="column with ratings")
    rank.add_argument("--time-col", help="column with times")
    rank.add_argument(
        "--workers", type=int, help="processes; all processors by default, 0 for none beside this"
    )
    rank.add_argument("--batch-users", type=int, help="users ranked at once")
    rank.add_argument("--part-users", type=int, default=8192, help="users in a file, about")
    rank.add_argument(
        "--on-unknown", choices=get_args(OnUnknown), default="raise", help="items not in the model"
    )
    rank.add_argument(
        "--on-damaged", choices=get_args(OnDamaged), default="error", help="files cut short"
    )
    rank.add_argument("--memory", default="1GB", help="what gathering may use before it uses disk")
    rank.set_defaults(run=_rank)


def _add_keys(keys: argparse.ArgumentParser) -> None:
    keys.set_defaults(run=_keys)
    what = keys.add_subparsers(required=True, dest="what", metavar="WHAT")
    add = what.add_parser("add", help="make a key and print it, once")
    add.add_argument("name", help="what the key is for")
    add.add_argument("--role", choices=("read", "write", "admin"), default="write")
    remove = what.add_parser("remove", help="make a key worthless")
    remove.add_argument("name")
    for parser in (add, remove, what.add_parser("list", help="names and roles of the keys")):
        _add_database(parser)


def _add_database(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get(DATABASE_VARIABLE, DEFAULT_DATABASE)
    text = f"an SQLAlchemy URL; better in {DATABASE_VARIABLE}, where it has a password"
    parser.add_argument("--database", default=default, help=text)


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is outside 1..65535")
    return port


if __name__ == "__main__":
    sys.exit(main())

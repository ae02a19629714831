"""The options of the command `graphmeta`.

Imports nothing heavy, so that help and a mistyped option are answered at once.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

DATABASE_VARIABLE = "GRAPHMETA_DATABASE"
DEFAULT_DATABASE = "sqlite:///graphmeta.db"


def command_parser() -> argparse.ArgumentParser:
    """Return the parser; of what it reads, `run` names the command."""
    parser = argparse.ArgumentParser(prog="graphmeta", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands.add_parser("fit", help="train on a table of interactions"))
    _add_serve(commands.add_parser("serve", help="serve a bundle over HTTP, with a page"))
    _add_rank(commands.add_parser("rank", help="rank for many users, from Parquet to Parquet"))
    _add_keys(commands.add_parser("keys", help="make, list and remove API keys"))
    demo = commands.add_parser("demo", help="serve a page of films, trained on MovieLens")
    demo.add_argument("--port", type=_port, default=8000)
    demo.set_defaults(run="demo")
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
    fit.set_defaults(run="fit")


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
    serve.set_defaults(run="serve")


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
        "--on-unknown",
        choices=("raise", "warn", "drop"),
        default="raise",
        help="items not in the model",
    )
    rank.add_argument(
        "--on-damaged", choices=("error", "skip"), default="error", help="files cut short"
    )
    rank.add_argument("--memory", default="1GB", help="what gathering may use before it uses disk")
    rank.set_defaults(run="rank")


def _add_keys(keys: argparse.ArgumentParser) -> None:
    keys.set_defaults(run="keys")
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

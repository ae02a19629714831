"""The command line of an experiment, made from its settings."""

from __future__ import annotations

import argparse
import sys
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from graphmeta.errors import ConfigError


@dataclass(frozen=True)
class CommandLine:
    """What a caller typed.

    Args:
        words: The command line, word by word.
        overrides: The settings that were named, as typed.
        config: A TOML file with settings.
        out: The run folder.
        resume: True where a run is to be continued.
    """

    words: tuple[str, ...]
    overrides: dict[str, Any]
    config: Path | None
    out: Path | None
    resume: bool


def parse_command_line(
    settings: type[BaseModel], argv: list[str] | None, *, program: str, purpose: str
) -> CommandLine:
    """Read a command line with one option per field of `settings`.

    Raises:
        ConfigError: An option is unknown or lacks its value.
        SystemExit: Help was asked for and printed.
    """
    parser = _Parser(prog=program, description=purpose, allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings in a file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder, new or empty")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="DIR",
        help="continue the run in this folder (or in --out)",
    )
    for name, field in settings.model_fields.items():
        _add_option(parser, name, field)
    words = sys.argv[1:] if argv is None else argv
    typed = vars(parser.parse_args(words))
    config, out, resume = typed.pop("config"), typed.pop("out"), typed.pop("resume")
    if resume is not None:
        if resume and out is not None:
            raise ConfigError("--out and --resume DIR name a folder each; give one of them")
        if not resume and out is None:
            raise ConfigError("--resume needs the run folder: --resume DIR")
        out = Path(resume) if resume else out
    overrides = {name: _flat(value) for name, value in typed.items()}
    return CommandLine(tuple(words), overrides, config, out, resume is not None)


class _Parser(argparse.ArgumentParser):
    """Reports a bad option as an error of ours, on one line and without the usage."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help lists the options")


def _add_option(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    option = "--" + name.replace("_", "-")
    described = (field.description or "").replace("%", "%%")
    # An option that is not typed leaves no trace, so that the file's or the model's value holds.
    shared: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
    if field.annotation is bool:
        parser.add_argument(option, action=argparse.BooleanOptionalAction, help=described, **shared)
        return
    if field.default is not None:
        described += f" (default {field.default})"
    several = _is_tuple(field.annotation)
    parser.add_argument(
        option,
        nargs="+" if several else None,
        metavar=_metavar(name, field.annotation),
        help=described,
        **shared,
    )


def _metavar(name: str, annotation: Any) -> str:
    kinds = _leaves(annotation)
    if int in kinds:
        return "N"
    return "X" if float in kinds else name.rsplit("_")[-1].upper()


def _leaves(annotation: Any) -> set[Any]:
    """Return the plain types that a union, a tuple or an annotated type is made of."""
    inner = typing.get_args(annotation)
    return set().union(*map(_leaves, inner)) if inner else {annotation}


def _is_tuple(annotation: Any) -> bool:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return any(_is_tuple(part) for part in typing.get_args(annotation))
    return typing.get_origin(annotation) is tuple


def _flat(value: Any) -> Any:
    """Let lists be typed with spaces, commas or both."""
    if not isinstance(value, list):
        return value
    return [part for word in value for part in word.split(",") if part]

"""The command line is made from the settings and adds nothing of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphmeta.errors import ConfigError
from graphmeta.experiments.command_line import CommandLine, parse_command_line
from graphmeta.experiments.settings import ColdStartSettings


def parse(text: str) -> CommandLine:
    return parse_command_line(ColdStartSettings, text.split(), program="run", purpose="p")


def test_only_what_is_typed_is_an_override() -> None:
    line = parse("--k 0,1 3 --quick --user-col who")
    assert line.overrides == {"k": ["0", "1", "3"], "quick": True, "user_col": "who"}
    assert parse("--no-quick").overrides == {"quick": False}
    assert parse("").overrides == {}
    assert (line.config, line.out, line.resume) == (None, None, False)


def test_resume_names_the_folder_either_way() -> None:
    for text in ("--resume a/b", "--resume --out a/b", "--out a/b --resume"):
        line = parse(text)
        assert line.resume
        assert line.out == Path("a/b")
    with pytest.raises(ConfigError, match="--resume needs the run folder"):
        parse("--resume")
    with pytest.raises(ConfigError, match="name a folder each"):
        parse("--resume a --out b")


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="unrecognized arguments: --epoch 3"):
        parse("--epoch 3")
    with pytest.raises(ConfigError, match="--lr: expected one argument"):
        parse("--lr")


def test_help_states_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for name, field in ColdStartSettings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert str(field.description)[:40] in text
    assert "--lr X" in text
    assert "--k N [N ...]" in text
    assert "--users-per-item N" in text

"""The folder of an experiment that goes on over several sessions, each written down."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphmeta.experiments.command_line import CommandLine
from graphmeta.experiments.manifest import environment, now
from graphmeta.experiments.run_folder import CONFIG, MANIFEST, RunFolder
from graphmeta.experiments.settings import settings_toml


def open_folder(line: CommandLine, settings: BaseModel, *, program: str) -> RunFolder:
    """Return the run's folder, new or begun, with the settings and this session written down.

    Args:
        line: What the caller typed.
        settings: All settings, those of an earlier session included.
        program: The command without its options, whose last word names a new folder.

    Raises:
        ConfigError: A new run was given a folder that holds files.
        DataNotFoundError: There is no run to resume.
        OutputError: The folder cannot be written to.
    """
    session = {
        "command": f"{program} {shlex.join(line.words)}".strip(),
        "started": now(),
        **environment(),
    }
    if line.resume and line.out is not None:
        folder = RunFolder.reopen(line.out)
        sessions = [*folder.read_json(MANIFEST)["sessions"], session]
        folder.write_text(CONFIG, settings_toml(settings))
        folder.write_json(MANIFEST, {"sessions": sessions})
        return folder
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    out = line.out or Path("runs") / f"{program.rpartition('.')[2]}-{stamp}"
    return RunFolder.create(out, config=settings_toml(settings), manifest={"sessions": [session]})


def session_lines(folder: RunFolder) -> str:
    """Return a Markdown list of who computed the cells: command, date, commit and machine."""
    return "\n".join(map(_line, folder.read_json(MANIFEST)["sessions"]))


def _line(session: dict[str, Any]) -> str:
    machine = session["machine"]
    return (
        f"- `{session['command']}`, begun {session['started']}, "
        f"commit {session['commit'] or 'not in a checkout'}, {machine['cpu']}, "
        f"{machine['torch_threads']} of {machine['cores']} cores"
    )

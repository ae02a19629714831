"""The main job: how well is a brand-new user served after a few interactions?

Run it with `python -m graphmeta.experiments.coldstart`; `--help` lists the options.
"""

from __future__ import annotations

import shlex
import sys

from rich.console import Console

from graphmeta.errors import (
    GraphMetaError,
    LeakageError,
    NonFiniteError,
    OutputError,
    ProtocolError,
)
from graphmeta.experiments.cold_start_run import run_cold_start, say
from graphmeta.experiments.command_line import parse_command_line
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.settings import ColdStartSettings

PROGRAM = "python -m graphmeta.experiments.coldstart"
PURPOSE = "Rank the catalogue for users never seen, after 0 to 10 interactions, by many methods."
BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def main(argv: list[str] | None = None) -> int:
    """Run the experiment and return the exit code.

    0 is success, 1 a run that failed its own checks, 2 bad input or an unwritable folder, 130
    an interruption. Every failure is one line on standard error.
    """
    words = Console(stderr=True)
    began: list[RunFolder] = []
    try:
        line = parse_command_line(ColdStartSettings, argv, program=PROGRAM, purpose=PURPOSE)
        run_cold_start(
            line.overrides,
            line.out,
            config=line.config,
            command=f"{PROGRAM} {shlex.join(line.words)}".strip(),
            console=Console(),
            words=words,
            began=began,
            is_resumed=line.resume,
        )
        say(words, f"the run is in {began[0].path}")
    except KeyboardInterrupt:
        say(words, f"interrupted; {_how_to_resume(began)}")
        return INTERRUPTED
    except GraphMetaError as error:
        text = " ".join(str(error).split())
        if began and isinstance(error, OutputError):
            text += f" (then {_how_to_resume(began)})"
        say(words, f"error: {text}")
        return exit_code(error)
    return 0


def exit_code(error: GraphMetaError) -> int:
    """Return 1 for a run that failed its own checks or broke, 2 for what cannot work at all."""
    checks = LeakageError | NonFiniteError | ProtocolError
    has_failed = isinstance(error, checks) or type(error) is GraphMetaError
    return FAILED if has_failed else BAD_INPUT


def _how_to_resume(began: list[RunFolder]) -> str:
    if not began:
        return "nothing was written"
    return f"continue with: {PROGRAM} --resume {shlex.quote(str(began[0].path))}"


if __name__ == "__main__":
    sys.exit(main())

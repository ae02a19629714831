"""The command `graphmeta`: fit a bundle, serve it, rank in bulk, make keys, show it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from graphmeta.command.options import command_parser
from graphmeta.errors import GraphMetaError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code: 2 where it cannot be done."""
    typed = vars(command_parser().parse_args(argv))
    try:
        # Torch and PyTorch Geometric take seconds to import; what is mistyped is told before.
        from graphmeta.command.run_commands import RUNS

        RUNS[typed.pop("run")](typed, Console())
    except KeyboardInterrupt:
        return 130
    except GraphMetaError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

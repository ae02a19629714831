"""Who needs a key to a server."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graphmeta.command import run_server as module
from graphmeta.serve import ServeSettings


@pytest.mark.parametrize(
    ("host", "is_open", "needs_key"),
    [
        ("127.0.0.1", False, False),
        ("localhost", False, False),
        ("0.0.0.0", False, True),
        ("0.0.0.0", True, False),
    ],
)
def test_an_address_that_others_reach_needs_a_key_for_good(
    host: str, is_open: bool, needs_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopError(Exception):
        """There is no model to serve."""

    def create_app(_: Any, settings: ServeSettings) -> None:
        assert settings == ServeSettings(max_queue=7, needs_key=needs_key)
        raise StopError

    monkeypatch.setattr(module, "create_app", create_app)
    settings = ServeSettings(max_queue=7)
    with pytest.raises(StopError):
        module.run_server(
            Path("x.gm"), settings, host=host, port=0, is_open=is_open, console=Console()
        )

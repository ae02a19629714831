"""Runs a service until it is told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from pathlib import Path

import uvicorn
from rich.console import Console

from graphmeta.errors import ConfigError, OutputError
from graphmeta.serve.app import create_app
from graphmeta.serve.service import of_bundle
from graphmeta.serve.settings import ServeSettings

# Seconds that requests at work have after a signal to stop.
LAST_REQUESTS = 10


def run_server(
    bundle: Path,
    settings: ServeSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    title: str | None = None,
    device: str = "cpu",
    is_open: bool = False,
    console: Console,
) -> None:
    """Serve a bundle until SIGTERM or Ctrl-C; requests at work are answered first.

    Args:
        bundle: The file of the model.
        settings: How the service runs.
        host: Address to listen on.
        port: Port to listen on.
        title: Column of the item table with titles.
        device: Where to score.
        is_open: Listen on other addresses than the machine's own without any API key.
        console: Is told the address.

    Raises:
        OutputError: The port is taken, or the address is not the machine's.
        ConfigError: It would be open to others and no key was made.
        GraphMetaError: The model or the database cannot be used.
    """
    needs_key = not (is_open or _is_own(host))
    settings = settings.model_copy(update={"needs_key": needs_key})
    with _listen(host, port) as listener:
        app = create_app(of_bundle(bundle, title=title, device=device), settings)
        if needs_key and not app.state.service.store.key_names():
            raise ConfigError(
                f"{host} can be reached by others and no API key was made; make one with "
                "'graphmeta keys add NAME', or pass --open"
            )
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("graphmeta").setLevel(logging.INFO)
        shown = f"[{host}]" if ":" in host else host
        console.print(f"http://{shown}:{port}  (Ctrl-C ends)", highlight=False)
        # Its own log would hold the paths, which name users.
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=LAST_REQUESTS,
        )
        with contextlib.suppress(KeyboardInterrupt):  # Raised again once all is answered.
            uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """Take the port first: to hear that it is taken nobody should wait for a model."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OutputError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port or "
            "--host"
        ) from error


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Kills a service again and again under load, and counts what it acknowledged and lost.

Run it with `python -m graphmeta.experiments.kill BUNDLE`. A service is started, written to by many
clients at once, and killed with SIGKILL at a random moment; then the next one is started on the
same database. Clients send an event again until it is acknowledged. At the end every acknowledged
event must be in the database. Needs the extra `serve` and a system that can fork.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from graphmeta.errors import ProtocolError
from graphmeta.experiments.fitted_splits import made_by, run_report
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.serve import ServedModel, ServeSettings, create_app
from graphmeta.serve.store import Store

PROGRAM = "graphmeta.experiments.kill"
# Seconds that a service lives after it began to start.
SHORTEST, LONGEST = 0.05, 0.6
# A client waits so long for an answer, and so long before it comes again.
PATIENCE, PAUSE = 10.0, 0.01


@dataclass(frozen=True)
class Toll:
    """What a number of kills came to.

    Args:
        kills: How often the service was killed.
        acknowledged: Events that it had said to keep.
        interrupted: Requests that it did not live to answer.
        lost: Acknowledged events that are not in the database, as user and item.
    """

    kills: int
    acknowledged: int
    interrupted: int
    lost: tuple[tuple[str, str], ...]


def main(argv: list[str] | None = None) -> int:
    """Kill, print the toll and return the exit code: 1 where something was lost."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", allow_abbrev=False)
    parser.add_argument("bundle", type=Path, help="the file of a model")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--clients", type=int, default=8, help="who write at the same time")
    parser.add_argument("--database", help="an SQLAlchemy URL; by default an SQLite file")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    typed = parser.parse_args(argv)
    lost: list[tuple[str, str]] = []

    def report() -> str:
        with tempfile.TemporaryDirectory() as folder:
            database = typed.database or f"sqlite:///{Path(folder) / 'kill.db'}"
            served = ServedModel.load(typed.bundle)
            toll = kill(served, database, kills=typed.kills, clients=typed.clients)
        lost.extend(toll.lost)
        columns = ["database", "kills", "acknowledged events", "interrupted requests"]
        counts = (toll.kills, toll.acknowledged, toll.interrupted, len(toll.lost))
        row = [database.partition(":")[0], *(f"{count:,}" for count in counts)]
        table = markdown_table([*columns, "lost events"], [row])
        return f"# Kills\n\n{made_by(PROGRAM, argv)}\n\n{table}"

    return run_report(typed, report) or int(bool(lost))


def kill(
    served: ServedModel, database: str, *, kills: int, clients: int = 8, seed: int = 0
) -> Toll:
    """Kill a service that is written to, and look for what it acknowledged.

    Args:
        served: The model.
        database: An SQLAlchemy URL; the tables are made where there are none.
        kills: How often.
        clients: How many clients write at the same time.
        seed: Draws the moments.

    Raises:
        ProtocolError: Nothing was acknowledged, or no request was interrupted: that proves nothing.
        OutputError: The database cannot be used.
    """
    Store(database).close()
    context = multiprocessing.get_context("fork")
    draw = random.Random(seed)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        mine, theirs = context.Pipe()
        port = listener.getsockname()[1]
        load = context.Process(target=_write, args=(theirs, port, clients, served.ids))
        load.start()
        for _ in range(kills):
            service = context.Process(target=_serve, args=(served, database, listener))
            service.start()
            time.sleep(draw.uniform(SHORTEST, LONGEST))
            os.kill(service.pid or 0, signal.SIGKILL)
            service.join()
        mine.send("stop")
        acknowledged, interrupted = mine.recv()
        load.join()
    if not acknowledged or not interrupted:
        raise ProtocolError(
            f"{len(acknowledged)} events were acknowledged and {interrupted} requests interrupted; "
            "that shows nothing, kill more often"
        )
    store = Store(database)
    kept = {user: {e.item for e in store.read(user).events} for user, _ in acknowledged}
    store.close()
    lost = tuple((user, item) for user, item in acknowledged if item not in kept[user])
    return Toll(kills, len(acknowledged), interrupted, lost)


def _serve(served: ServedModel, database: str, listener: socket.socket) -> None:
    import uvicorn

    app = create_app(lambda: served, ServeSettings(database=database, has_page=False))
    config = uvicorn.Config(app, access_log=False, log_level="critical")
    uvicorn.Server(config).run(sockets=[listener])


def _write(pipe: Connection, port: int, clients: int, items: list[str]) -> None:
    """Write until told to stop; then tell what was acknowledged."""
    stop = threading.Event()
    acknowledged: list[tuple[str, str]] = []
    interrupted: list[str] = []

    def client(name: str) -> None:
        number = 0
        while not stop.is_set():
            user, item = f"{name}-{number // 7}", f"{number}-{items[number % len(items)]}"
            try:
                if _post(port, user, item):
                    acknowledged.append((user, item))
                    number += 1
            except (OSError, http.client.HTTPException):
                interrupted.append(user)
                time.sleep(PAUSE)

    threads = [threading.Thread(target=client, args=(f"c{n}",)) for n in range(clients)]
    for thread in threads:
        thread.start()
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    pipe.send((acknowledged, len(interrupted)))


def _post(port: int, user: str, item: str) -> bool:
    """Return whether an event was acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        body = json.dumps({"events": [{"item": item}]})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/users/{user}/events", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())

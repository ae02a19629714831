"""How a served bundle stands up to load, against what any recommender pays in the same server.

Run it with `python -m graphmeta.experiments.load BUNDLE`. Three services take turns: the bundle;
the bare product of a random vector with as many item embeddings; and the matrix factorisation of
the package `implicit` with fold-in of new users. All else is the same: FastAPI, queue, batching,
JSON. Needs `wrk` and the extra `serve`; `implicit` is a package of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import made_by, run_report
from graphmeta.experiments.markdown_table import markdown_table
from graphmeta.experiments.plain_services import SERVICES
from graphmeta.ranking import ColdStartRecommender

PROGRAM = "graphmeta.experiments.load"
N_BODIES, MOST_SHOWN = 2_000, 10
# Seconds that a service may take until it answers.
START = 120
# wrk's script: bodies in turn, and what it measured as JSON. It counts in microseconds.
SCRIPT = """
local bodies, at = {}, 0
for line in io.lines("BODIES") do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"p50": %f, "p95": %f, "p99": %f, "per_second": %f, "errors": %d}',
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    summary.requests / summary.duration * 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print the report and return the exit code: 2 where it cannot be done."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", allow_abbrev=False)
    parser.add_argument("bundle", type=Path, help="the file of a model")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=int, default=10, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each service takes")
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    typed = parser.parse_args(argv)
    return run_report(typed, lambda: report(measure(typed), made_by(PROGRAM, argv)))


def measure(typed: argparse.Namespace) -> pd.DataFrame:
    """Return a row per service, number of connections and round."""
    if shutil.which("wrk") is None:
        raise ConfigError("no command wrk; install it, as with apt-get install wrk")
    model = ColdStartRecommender.load(typed.bundle)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        script = _script(model, Path(folder))
        for turn in range(typed.rounds):
            for name in SERVICES:
                with _running(name, typed.bundle, Path(folder)) as url:
                    _wrk(url, script, connections=8, seconds=2)  # Not measured: all is warm then.
                    for connections in typed.connections:
                        found = _wrk(url, script, connections=connections, seconds=typed.seconds)
                        rows.append(
                            {"service": name, "connections": connections, "round": turn, **found}
                        )
    return pd.DataFrame(rows)


def report(rows: pd.DataFrame, made: str) -> str:
    """Return the medians over the rounds as Markdown, and how they compare."""
    lines = []
    for connections in rows["connections"].unique().tolist():
        for service in SERVICES:
            of = _of(rows, connections, service)
            found = of.median(numeric_only=True)
            ratios = [
                statistics.median(of["p95"] / _of(rows, connections, other)["p95"])
                for other in SERVICES
                if other != service
            ]
            against = " / ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(
                [
                    str(connections),
                    service,
                    *(f"{found[name]:.1f}" for name in ("p50", "p95", "p99")),
                    f"{found['per_second']:.0f}",
                    against if service == "graphmeta" else "",
                    f"{of['errors'].sum():.0f}",
                ]
            )
    others = " / ".join(name for name in SERVICES if name != "graphmeta")
    head = ["connections", "service", "p50 ms", "p95 ms", "p99 ms", "requests/s"]
    table = markdown_table([*head, f"p95 over {others}", "errors"], lines)
    return f"# Load\n\n{made}\n\n{table}"


def _of(rows: pd.DataFrame, connections: int, service: str) -> pd.DataFrame:
    found = rows[(rows["connections"] == connections) & (rows["service"] == service)]
    return found.set_index("round")


def _script(model: ColdStartRecommender, folder: Path) -> Path:
    """Write bodies of new users with 1 to 10 items, drawn by popularity, and wrk's script."""
    rng = np.random.default_rng(0)
    ids = model.item_ids.ids
    count = np.asarray(to_scipy(model.train_graph).sum(0)).ravel()
    share = count / count.sum()
    bodies = []
    for _ in range(N_BODIES):
        shown = rng.choice(len(ids), rng.integers(1, MOST_SHOWN + 1), replace=False, p=share)
        history = [{"item": str(ids[row])} for row in shown]
        bodies.append(json.dumps({"history": history, "k": 10}))
    (folder / "bodies").write_text("\n".join(bodies))
    path = folder / "load.lua"
    path.write_text(SCRIPT.replace("BODIES", str(folder / "bodies")))
    return path


def _wrk(url: str, script: Path, *, connections: int, seconds: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
    done = subprocess.run(
        [*command, f"{url}/recommendations"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    found: dict[str, float] = json.loads(done.stdout[done.stdout.rindex("{") :])
    return found


@contextmanager
def _running(name: str, bundle: Path, folder: Path) -> Iterator[str]:
    """Run a service in a process of its own; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (name, bundle, f"sqlite:///{folder / 'load.db'}", port)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/health", process)
        yield url
    finally:
        process.terminate()
        process.join()


def _serve(name: str, bundle: Path, database: str, port: int) -> None:
    import uvicorn

    from graphmeta.serve import ServeSettings, create_app

    app = create_app(partial(SERVICES[name].load, bundle), ServeSettings(database=database))
    uvicorn.run(app, port=port, access_log=False, log_level="error")


def _wait_for(url: str, process: Any) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.is_alive():
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise ConfigError(f"the service did not start within {START} seconds; see what it printed")


if __name__ == "__main__":
    sys.exit(main())

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# Test processes that share a machine get one thread each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from jaxtyping import install_import_hook
from torch_geometric.data import HeteroData

# Where signatures give shapes, beartype checks them on every call of the tests. (Elsewhere it
# would only refuse annotations that it does not know.)
SHAPED = ["encoders", "meta.query_loss", "ranking.metrics", "ranking.top_k"]
with install_import_hook([f"graphmeta.{name}" for name in SHAPED], "beartype.beartype"):
    for name in SHAPED:
        import_module(f"graphmeta.{name}")
    from graphmeta.data import from_frame, planted_interactions


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of shared data sets; tests that need it are skipped where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("GRAPHMETA_DATA_ROOT", default))
    if not root.is_dir():
        pytest.skip(f"no data folder {root}; set GRAPHMETA_DATA_ROOT")
    return root


@pytest.fixture(scope="session")
def start_cluster() -> Callable[..., AbstractContextManager[None]]:
    """Starts a Ray cluster of the caller's with two processors, for as long as a block lasts."""

    @contextmanager
    def start(**variables: str) -> Iterator[None]:
        import ray

        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (quiet | variables).items():
                patch.setenv(name, value)
            ray.init(
                address="local",
                num_cpus=2,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
            yield
            ray.shutdown()

    return start


@pytest.fixture
def planted_graph() -> HeteroData:
    """200 users, 100 items, four taste groups, ratings and times."""
    return from_frame(planted_interactions(), rating="rating", time="time")


class PageRun(NamedTuple):
    """What a page of docs came to: its names, the lines it printed, and its blocks."""

    scope: dict[str, Any]
    lines: list[str]
    n_blocks: int


@pytest.fixture
def run_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], PageRun]:
    """Run the Python blocks of a page of docs, top to bottom, in an empty folder."""
    docs = Path(__file__).resolve().parents[1] / "docs"

    def run(name: str) -> PageRun:
        monkeypatch.chdir(tmp_path)
        page = (docs / name).read_text()
        blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
        scope: dict[str, Any] = {"__name__": Path(name).stem}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for block in blocks:
                exec(compile(block, f"docs/{name}", "exec"), scope)
        return PageRun(scope, capsys.readouterr().out.strip().splitlines(), len(blocks))

    return run

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook
from torch_geometric.data import HeteroData

# Where signatures give shapes, beartype checks them on every call of the tests. (Elsewhere it
# would only refuse annotations that it does not know.)
SHAPED = ["encoders", "meta.query_loss", "ranking.metrics", "ranking.top_k"]
with install_import_hook([f"graphmeta.{name}" for name in SHAPED], "beartype.beartype"):
    from graphmeta.data import from_frame, planted_interactions


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of shared data sets; tests that need it are skipped where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("GRAPHMETA_DATA_ROOT", default))
    if not root.is_dir():
        pytest.skip(f"no data folder {root}; set GRAPHMETA_DATA_ROOT")
    return root


@pytest.fixture
def planted_graph() -> HeteroData:
    """200 users, 100 items, four taste groups, ratings and times."""
    return from_frame(planted_interactions(), rating="rating", time="time")

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of shared data sets; tests that need it are skipped where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("GRAPHMETA_DATA_ROOT", default))
    if not root.is_dir():
        pytest.skip(f"no data folder {root}; set GRAPHMETA_DATA_ROOT")
    return root

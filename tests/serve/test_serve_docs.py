"""The page on serving runs, command by command, in a shell."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page calls curl; install it")
def test_the_page_runs(tmp_path: Path) -> None:
    install, *blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    assert install.startswith("pip install")  # What the tests ran in has it all.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # Whatever ends the script ends the server.
    script = "set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n" + "\n".join(blocks)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script.replace("8000", port)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = done.stdout.splitlines()
    assert any('"kept":2' in line for line in answers)
    assert sum('"source":' in line for line in answers) == 4
    assert '"because":[' in done.stdout
    assert "/users/{user} 204" in done.stderr

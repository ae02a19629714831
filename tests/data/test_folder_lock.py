import subprocess
import sys
from pathlib import Path

from graphmeta.data.folder_lock import locked

HOLD = """
import sys
from pathlib import Path
from graphmeta.data.folder_lock import locked
with locked(Path(sys.argv[1])) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_by_one_process_until_it_dies(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with locked(tmp_path) as is_ours:
            assert not is_ours
        other.kill()
        other.wait(timeout=60)
    for _ in range(2):
        with locked(tmp_path) as is_ours:
            assert is_ours
    assert list(tmp_path.iterdir()) == []

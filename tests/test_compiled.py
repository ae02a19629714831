from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from graphmeta import compiled as module
from graphmeta.compiled import compiled, has_numba


def total(values: Any) -> Any:
    """Add up."""
    out = 0
    for value in values:
        out += value
    return out


@pytest.mark.skipif(not has_numba(), reason="numba is not installed")
def test_a_loop_is_compiled_once_at_its_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    made, compile_ = [], module._compile
    monkeypatch.setattr(module, "_compile", lambda loop: made.append(loop) or compile_(loop))
    fast = compiled(total)
    assert made == []
    assert fast.__doc__ == "Add up."
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fast, [np.arange(4)] * 8)) == [6] * 8
    assert made == [total]


@pytest.mark.skipif(not has_numba(), reason="numba is not installed")
def test_it_runs_where_no_folder_can_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    njit = numba.njit

    def refusing(*, cache: bool = False, nogil: bool) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(nogil=nogil)

    with monkeypatch.context() as patch:
        patch.setattr(numba, "njit", refusing)
        fast = module._compile(total)
    assert fast(np.arange(5)) == 10

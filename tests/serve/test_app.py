"""What an application hears while it runs."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from graphmeta.serve import ServeSettings, create_app, of_bundle
from graphmeta.serve.served_model import ServedModel


def test_a_signal_is_heard_after_a_reload_that_failed_in_any_way(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = of_bundle(bundle, title=None, device="cpu")()
    failures: list[Exception] = [MemoryError("ann-secret-name")]
    loads = []

    def load() -> ServedModel:
        loads.append(1)
        if len(loads) > 1 and failures:
            raise failures.pop()
        return model

    app = create_app(load, ServeSettings(database=f"sqlite:///{tmp_path / 'service.db'}"))

    async def hang_up_twice() -> None:
        async with app.router.lifespan_context(app):
            for wanted in (2, 3):
                os.kill(os.getpid(), signal.SIGHUP)
                for _ in range(200):
                    await asyncio.sleep(0.02)
                    if len(loads) == wanted:
                        break

    asyncio.run(hang_up_twice())
    assert len(loads) == 3
    assert "the model was not reloaded: MemoryError" in caplog.text
    assert "secret" not in caplog.text

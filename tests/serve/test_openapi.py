"""Whatever the description allows, and much that it does not, is answered as it says."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from graphmeta.serve import ServeSettings, create_app, of_bundle

# No schema can say that a time is past, that an item is known, or that two fields exclude another.
SAYS_MORE = [positive_data_acceptance]
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[schemathesis.schemas.BaseSchema, dict[str, str]]]:
    """The description of a service that runs on a port of its own, and the headers of its key."""
    database = f"sqlite:///{tmp_path_factory.mktemp('openapi') / 'service.db'}"
    app = create_app(of_bundle(bundle, title=None, device="cpu"), ServeSettings(database=database))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    key = app.state.service.store.add_key("test", "admin")
    description = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    yield description, {"Authorization": f"Bearer {key}"}
    server.should_exit = True
    thread.join()


def test_every_answer_is_as_described(
    api: tuple[schemathesis.schemas.BaseSchema, dict[str, str]],
) -> None:
    description, headers = api
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) == 13
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        @FEW
        def allowed(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=SAYS_MORE)

        @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        @FEW
        def refused(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=SAYS_MORE)

        allowed()
        if operation.body or list(operation.iter_parameters()):
            refused()

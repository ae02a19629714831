"""A small film bundle, a database of either kind, and a service on them."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from graphmeta.data import from_frame, planted_interactions
from graphmeta.ranking import ColdStartRecommender
from graphmeta.serve import ServeSettings, create_app, of_bundle

# The server that `.ci/run` starts; without it the tests run on SQLite alone.
POSTGRESQL = "GRAPHMETA_TEST_POSTGRESQL"
ODD_TITLES = ["🎬 Der Film", "فيلم جديد", '<b>Bold</b> & "quoted"', "'; DROP TABLE users; --"]


@pytest.fixture(scope="session")
def model() -> ColdStartRecommender:
    """A recommender of 100 films with odd titles among them, which adapts from two items on."""
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    ids = list(graph["item"].id_map.ids)
    films = pd.DataFrame(
        {
            "item": ids,
            "title": [*ODD_TITLES, *(f"The Film {i}" for i in range(len(ids) - len(ODD_TITLES)))],
            "genres": ["Drama|War" if i % 2 else "Comedy" for i in range(len(ids))],
            "year": [1950 + i if i % 10 else None for i in range(len(ids))],
        }
    )
    model = ColdStartRecommender(channels=8, epochs=2, min_steps=20).fit(graph)
    return model.describe_items(films)


@pytest.fixture(scope="session")
def bundle(model: ColdStartRecommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "film.gm"
    model.save(path)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'service.db'}"
        return
    server = os.environ.get(POSTGRESQL)
    if not server:
        pytest.skip(f"no PostgreSQL server; set {POSTGRESQL} to its URL")
    name = f"graphmeta_{uuid.uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def serve(bundle: Path, database: str) -> Iterator[Callable[..., TestClient]]:
    """Start a service with some settings; it stops with the test."""
    running: list[TestClient] = []

    def start(**settings: object) -> TestClient:
        given = {"database": database, **settings}
        app = create_app(of_bundle(bundle, title=None, device="cpu"), ServeSettings(**given))
        client = TestClient(app, raise_server_exceptions=False)
        running.append(client.__enter__())
        return client

    yield start
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    return serve()

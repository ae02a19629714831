"""A service as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from graphmeta.errors import GraphMetaError
from graphmeta.serve.limits import Limits, Watch
from graphmeta.serve.problems import answer_problems
from graphmeta.serve.routes import router
from graphmeta.serve.schemas import Problem
from graphmeta.serve.served_model import ServedModel
from graphmeta.serve.service import Service
from graphmeta.serve.settings import ServeSettings

logger = logging.getLogger("graphmeta.serve")
PAGE = Path(__file__).parent / "page"


def create_app(load: Callable[[], ServedModel], settings: ServeSettings | None = None) -> FastAPI:
    """Return an application that serves a model, for uvicorn or any other ASGI server.

    Args:
        load: Reads the model, now and whenever it is reloaded: `of_bundle(path, ...)`, or a
            function of one's own.
        settings: How it runs.

    Raises:
        GraphMetaError: The model or the database cannot be used.
    """
    settings = settings or ServeSettings()
    service = Service(settings, load)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        tasks = _reload_on_hangup(service)
        yield
        for task in tasks:
            task.cancel()
        await service.batcher.stop()
        service.store.close()

    app = FastAPI(
        title="graphmeta",
        version=version("graphmeta"),
        summary="Recommendations for users who arrive with one to ten interactions",
        lifespan=lifespan,
        docs_url=None,  # Their pages load scripts from elsewhere.
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(
        Limits,
        max_requests=settings.max_requests,
        max_body=settings.max_body,
        time_limit=settings.time_limit,
    )
    app.add_middleware(Watch, metrics=service.metrics)
    answer_problems(app)
    app.include_router(router)
    _describe_problems(app)
    if settings.has_page:
        app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    return app


def _reload_on_hangup(service: Service) -> list[asyncio.Task[None]]:
    """Reload the bundle on SIGHUP, where signals can be heard; return the tasks to end."""

    async def reload_on(heard: asyncio.Event) -> None:
        while True:
            await heard.wait()
            heard.clear()
            try:
                await service.reload()
            except GraphMetaError as error:
                logger.error("the model was not reloaded: %s", error)
            except Exception as error:  # The next signal must be heard, whatever this was.
                logger.error("the model was not reloaded: %s", type(error).__name__)

    heard = asyncio.Event()
    try:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, heard.set)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        # Windows has no such signal, and a thread beside the first hears none.
        logger.info("SIGHUP is not heard here; POST /model/reload takes a new bundle in")
        return []
    return [asyncio.get_running_loop().create_task(reload_on(heard))]


def _describe_problems(app: FastAPI) -> None:
    """Let the OpenAPI description say what a problem looks like."""
    made: dict[str, Any] = {}
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(describe())
            schemas = made["components"]["schemas"]
            schemas["Problem"] = Problem.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return made

    app.openapi = openapi  # type: ignore[method-assign]

"""What the routes share: the store, the model in service and the queue."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from graphmeta.errors import DataError
from graphmeta.ranking import UserState
from graphmeta.serve.batcher import Batcher
from graphmeta.serve.metrics import Metrics
from graphmeta.serve.served_model import Ranked, RankRequest, ServedModel
from graphmeta.serve.settings import ServeSettings
from graphmeta.serve.store import KeptUser, Store

logger = logging.getLogger("graphmeta.serve")


class Service:
    """Ranks for users whose events are kept.

    Args:
        settings: How it runs.
        load: Reads the model; called again where a new one is to be taken into service.

    Raises:
        GraphMetaError: The model or the database cannot be used.
    """

    def __init__(self, settings: ServeSettings, load: Callable[[], ServedModel]) -> None:
        self.settings = settings
        self.store = Store(settings.database, needs_key=settings.needs_key)
        self.metrics = Metrics()
        self._load = load
        self.served = load()
        self.batcher = Batcher(
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            time_limit=settings.time_limit,
            on_batch=self.metrics.batch_size.observe,
        )
        self.metrics.watch_queue(lambda: self.batcher.n_waiting)

    async def reload(self) -> ServedModel:
        """Take the bundle as it now is into service; requests at work end with the old model.

        Raises:
            DataError: The new one cannot be read; the old one stays.
            DataNotFoundError: There is none; the old one stays.
        """
        self.served = await run_in_threadpool(self._load)
        logger.info("a new model is in service: %s", self.served.fingerprint)
        return self.served

    async def read(self, user: str) -> KeptUser:
        """Return what is kept of a user."""
        return await run_in_threadpool(self.store.read, user)

    async def rank(
        self, served: ServedModel, request: RankRequest, kept: KeptUser | None
    ) -> tuple[Ranked, Callable[[], Awaitable[None]] | None]:
        """Rank for one user.

        Args:
            served: The model that the request was made for.
            request: What is asked for.
            kept: The user, where the events are kept.

        Returns:
            The best items, and what to do when the answer is sent, if anything.

        Raises:
            QueueFullError: Too many requests wait.
            TooSlowError: The time limit is over.
        """
        state = self._state(served, kept)
        if state is not None and len(state) == len(request.events):
            request = replace(request, state=state)
        ranked = await self.batcher.rank(served, request)
        self.metrics.ranked.labels(ranked.source).inc()
        state = ranked.state
        if kept is None or state is None or not state.weights or request.state is not None:
            return ranked, None
        return ranked, partial(run_in_threadpool, self._keep, kept, state)

    def _state(self, served: ServedModel, kept: KeptUser | None) -> UserState | None:
        if kept is None or kept.state is None or kept.state_model != served.fingerprint:
            return None
        try:
            return UserState.from_bytes(kept.state)
        except DataError:
            return None  # The user is adapted again.

    def _keep(self, kept: KeptUser, state: UserState) -> None:
        """Keep the state; without it the user is adapted again, so a failure is only counted."""
        try:
            self.store.keep_state(kept.user, kept.revision, state.to_bytes(), state.model)
        except SQLAlchemyError:
            self.metrics.lost_states.inc()


def of_bundle(path: str | Path, *, title: str | None, device: str) -> Callable[[], ServedModel]:
    """Return what reads a bundle, whenever it is called, as it then is."""
    return partial(ServedModel.load, path, title=title, device=device)

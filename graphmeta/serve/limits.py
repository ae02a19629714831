"""What stands before every route: limits, counts, and a log without users."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphmeta.serve.metrics import Metrics
from graphmeta.serve.problems import SOON, problem

logger = logging.getLogger("graphmeta.serve")
UNROUTED = "none"


class Limits:
    """Refuses requests beyond a number at once, and bodies that are too large or too slow.

    A body is read whole, before anything else is done about it.

    Args:
        app: What answers otherwise.
        max_requests: Most requests at work.
        max_body: Bytes of the largest body.
        time_limit: Seconds until it must be there.
    """

    def __init__(
        self, app: ASGIApp, *, max_requests: int, max_body: int, time_limit: float
    ) -> None:
        self._app, self._max_requests = app, max_requests
        self._max_body, self._time_limit = max_body, time_limit
        self._n_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is within the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._n_requests >= self._max_requests:
            detail = f"{self._max_requests} requests are at work already; come again"
            headers = {"Retry-After": SOON}
            refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)
            await refusal(scope, receive, send)
            return
        self._n_requests += 1
        try:
            await self._read_and_hand_on(scope, receive, send)
        finally:
            self._n_requests -= 1

    async def _read_and_hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._time_limit):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # The client is gone.
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._max_body:
                        detail = f"the body exceeds {self._max_body} bytes; send less at a time"
                        refusal = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
                        await refusal(scope, receive, send)
                        return
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            detail = f"the body did not come within {self._time_limit:g} seconds"
            await problem(HTTPStatus.REQUEST_TIMEOUT, detail)(scope, receive, send)
            return
        whole: list[Message] = [
            {"type": "http.request", "body": b"".join(parts), "more_body": False}
        ]

        async def from_memory() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, from_memory, send)


class Watch:
    """Counts and logs every answer, by its route: paths, bodies and keys hold what is private.

    Args:
        app: What answers.
        metrics: Where to count.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and note what was answered and how long it took.

        An unforeseen error ends here: what it says may hold what is private, and the server would
        log that.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("unforeseen: %s\n%s", type(error).__name__, where)
            if not status:
                detail = "something is wrong in the service; it was logged"
                answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
                await answer(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - begin
            route = getattr(scope.get("route"), "path", UNROUTED)
            method = scope["method"] if route != UNROUTED else UNROUTED
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(seconds)
            logger.info("%s %s %d %.1f ms", method, route, status, 1000 * seconds)

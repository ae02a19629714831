"""What is refused before any route sees it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from graphmeta.serve.limits import Limits

SCOPE: Scope = {"type": "http", "method": "POST", "path": "/", "headers": []}


def call(limits: Limits, parts: list[bytes], wait: float = 0.0) -> Any:
    """Send a body in parts; returns the status and headers that came back."""
    return asyncio.run(called(limits, parts, wait))


async def called(limits: Limits, parts: list[bytes], wait: float = 0.0) -> Any:
    left, sent = [*parts], []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(wait)
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    await limits(SCOPE, receive, send)
    return sent


@pytest.fixture
def seen() -> list[bytes]:
    return []


@pytest.fixture
def limits(seen: list[bytes]) -> Callable[..., Limits]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        seen.append(message["body"])
        await PlainTextResponse("fine")(scope, receive, send)

    def make(**given: Any) -> Limits:
        return Limits(app, **{"max_requests": 2, "max_body": 10, "time_limit": 0.2, **given})

    return make


def test_a_body_is_handed_on_whole(limits: Callable[..., Limits], seen: list[bytes]) -> None:
    assert call(limits(), [b"12345", b"", b"67890"])[0]["status"] == 200
    assert seen == [b"1234567890"]


def test_a_large_body_is_not_read_to_its_end(
    limits: Callable[..., Limits], seen: list[bytes]
) -> None:
    parts = [b"123456", b"123456", b"never"]
    answer = call(limits(), parts)
    assert answer[0]["status"] == 413
    assert b"the body exceeds 10 bytes" in answer[1]["body"]
    assert seen == []


def test_a_slow_body_is_given_up(limits: Callable[..., Limits], seen: list[bytes]) -> None:
    answer = call(limits(), [b"1"] * 9, wait=0.05)
    assert answer[0]["status"] == 408
    assert b"did not come within 0.2 seconds" in answer[1]["body"]
    assert seen == []


def test_too_many_at_once_are_told_to_come_again(limits: Callable[..., Limits]) -> None:
    some = limits(time_limit=5.0)

    async def run() -> list[Any]:
        return await asyncio.gather(*(called(some, [b"1"], wait=0.05) for _ in range(4)))

    starts = [answer[0] for answer in asyncio.run(run())]
    assert sorted(start["status"] for start in starts) == [200, 200, 503, 503]
    refused = next(start for start in starts if start["status"] == 503)
    assert (b"retry-after", b"1") in refused["headers"]
    assert call(some, [b"1"])[0]["status"] == 200


def test_a_client_that_left_is_forgotten(limits: Callable[..., Limits], seen: list[bytes]) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        pytest.fail("nobody is there to be answered")

    some = limits(max_requests=1)
    asyncio.run(some(SCOPE, gone, send))
    assert seen == []
    assert call(some, [b"1"])[0]["status"] == 200

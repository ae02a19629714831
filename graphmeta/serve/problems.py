"""Everything that goes wrong is answered as problem details (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from graphmeta.errors import ConfigError, DataError, DataNotFoundError, UnknownIdError
from graphmeta.serve.batcher import QueueFullError, TooSlowError
from graphmeta.serve.store import TracesLeftError

logger = logging.getLogger("graphmeta.serve")
MEDIA_TYPE = "application/problem+json"
# Seconds after which a client may come again: a batch is done, a database may be back.
SOON, LATER = "1", "5"


class ProblemError(Exception):
    """Something that is answered with a status and a reason.

    Args:
        status: The HTTP status.
        detail: What happened and what to do.
        headers: Further headers.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> JSONResponse:
    """Return an answer with problem details."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        content["errors"] = errors
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)


def answer_problems(app: FastAPI) -> None:
    """Answer what the routes raise with problem details."""

    @app.exception_handler(ProblemError)
    def known(_: Request, error: ProblemError) -> JSONResponse:
        return problem(error.status, error.detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input: it may be huge, and it is what must not come into a log.
        errors = [
            {"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()
        ]
        detail = f"{errors[0]['where']}: {errors[0]['what']}"
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)

    @app.exception_handler(HTTPException)
    def of_http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(ConfigError)
    @app.exception_handler(DataError)
    @app.exception_handler(UnknownIdError)
    def unusable(_: Request, error: Exception) -> JSONResponse:
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    @app.exception_handler(DataNotFoundError)
    def missing(_: Request, error: DataNotFoundError) -> JSONResponse:
        return problem(HTTPStatus.CONFLICT, str(error))

    @app.exception_handler(QueueFullError)
    def full(_: Request, error: QueueFullError) -> JSONResponse:
        headers = {"Retry-After": SOON}
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; come again", headers=headers)

    @app.exception_handler(TooSlowError)
    def slow(_: Request, error: TooSlowError) -> JSONResponse:
        headers = {"Retry-After": SOON}
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; come again", headers=headers)

    @app.exception_handler(TracesLeftError)
    def traces(_: Request, error: TracesLeftError) -> JSONResponse:
        headers = {"Retry-After": LATER}
        detail = f"{error}; send the DELETE again"
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)

    @app.exception_handler(SQLAlchemyError)
    def database(_: Request, error: SQLAlchemyError) -> JSONResponse:
        # The statement's parameters are a user's data: the cause alone is logged.
        logger.error(
            "the database failed: %s", type(getattr(error, "orig", None) or error).__name__
        )
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the database cannot be used now; nothing was kept, come again",
            headers={"Retry-After": LATER},
        )

"""Who may do what: API keys and their roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from graphmeta.serve.problems import ProblemError
from graphmeta.serve.store import Role

# What each role may do beyond the one before it.
ROLES: tuple[Role, ...] = ("read", "write", "admin")
_bearer = HTTPBearer(
    auto_error=False, description="a key made with `graphmeta keys add`; none where none was made"
)


def may(role: Role) -> Callable[..., Awaitable[None]]:
    """Return a dependency that refuses requests whose key does not allow this role."""

    async def check(
        request: Request,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        key = None if given is None else given.credentials
        found = await run_in_threadpool(request.app.state.service.store.role_of, key)
        if found is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "no valid API key; send one as 'Authorization: Bearer ...'",
                {"WWW-Authenticate": "Bearer"},
            )
        if ROLES.index(found) < ROLES.index(role):
            raise ProblemError(
                HTTPStatus.FORBIDDEN, f"the key's role {found!r} does not allow this; {role!r} does"
            )

    return check

"""What can be asked of a service over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from graphmeta.explain.explanation import Explanation
from graphmeta.serve import schemas
from graphmeta.serve.access import may
from graphmeta.serve.problems import MEDIA_TYPE, ProblemError
from graphmeta.serve.served_model import RankRequest, ServedModel
from graphmeta.serve.service import Service
from graphmeta.serve.store import Event, KeptUser, latest

READ, WRITE, ADMIN = (Depends(may(role)) for role in ("read", "write", "admin"))
UserId = Annotated[
    str, Path(min_length=1, max_length=256, pattern=schemas.NO_SLASH, examples=["ann"])
]
ItemId = Annotated[
    str, Path(min_length=1, max_length=256, pattern=schemas.NO_NUL, examples=["318"])
]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _is_of_user(request: Request, user: UserId) -> None:
    """Refuse a path whose user held a slash: decoded, it is that of another user's event."""
    sent, _, _ = request.scope.get("raw_path", b"").decode("latin-1").partition("/events/")
    if sent and not unquote(sent).endswith(f"/users/{user}"):
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"path.user: {schemas.SLASH}")


Served = Annotated[Service, Depends(_service)]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


router = APIRouter(responses=_problems(400, 401, 403, 408, 413, 422, 500, 503))


@router.post("/users/{user}/events", tags=["users"], dependencies=[WRITE])
def record(user: UserId, body: schemas.NewEvents, service: Served) -> schemas.KeptEvents:
    """Keep what a user did. It is on the disk when the answer comes; sending it again is safe."""
    now = time.time()
    # Events of one request without a time keep their order.
    events = [event.event(now + 1e-6 * number) for number, event in enumerate(body.events)]
    service.store.record(user, events)
    unknown = service.served.unknown(event.item for event in events)
    return schemas.KeptEvents(user=user, kept=len({e.item for e in events}), unknown_items=unknown)


@router.get("/users/{user}", tags=["users"], dependencies=[READ], responses=_problems(404))
def kept(user: UserId, service: Served) -> schemas.User:
    """Return all that is kept of a user."""
    found = service.store.read(user)
    if not found.revision:
        raise ProblemError(HTTPStatus.NOT_FOUND, "nothing is kept of this user")
    events = [
        schemas.NewEvent.model_construct(
            item=event.item, kind=event.kind, rating=event.rating, time=event.time
        )
        for event in found.events
    ]
    return schemas.User(user=user, events=events, state_bytes=len(found.state or b""))


@router.delete("/users/{user}", tags=["users"], dependencies=[ADMIN], status_code=204)
def forget(user: UserId, service: Served) -> Response:
    """Delete a user: events and state, and their traces in the database's files."""
    service.store.forget(user)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.delete(
    "/users/{user}/events/{item:path}",
    tags=["users"],
    dependencies=[WRITE, Depends(_is_of_user)],
    status_code=204,
)
def forget_event(user: UserId, item: ItemId, service: Served) -> Response:
    """Delete what a user did about one item."""
    service.store.forget_event(user, item)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/recommendations", tags=["rank"], dependencies=[READ])
async def recommend(
    body: schemas.Wish, service: Served, after: BackgroundTasks
) -> schemas.Recommendations:
    """Rank the catalogue for a user, less what the user knows or dismissed."""
    served = service.served
    user, events = await _who(service, body)
    request = await _rank_request(service, served, body, events)
    ranked, then = await service.rank(served, request, user)
    if then is not None:
        after.add_task(then)
    return schemas.Recommendations(
        items=[
            schemas.ScoredItem(**_item(served, row), score=score)
            for row, score in zip(ranked.rows, ranked.scores, strict=True)
        ],
        source=ranked.source,
        n_known=len(request.events),
        unknown_items=_unknown(served, events),
    )


@router.post("/explanations", tags=["rank"], dependencies=[READ])
async def explain(body: schemas.Why, service: Served) -> schemas.Explanations:
    """Rank, and say why: which interactions, which parts of the score, which paths."""
    served = service.served
    _, events = await _who(service, body)
    request = await _rank_request(service, served, body, events)
    unknown = _unknown(served, events)
    if not request.k:
        source = served.model.fitted.source(len(request.events))
        return schemas.Explanations(items=[], source=source, unknown_items=unknown)
    why = await service.batcher.run(
        served, lambda model: model.explain(request, n_paths=body.n_paths)
    )
    return schemas.Explanations(
        items=_explained(served, why),
        source=why.ranking.source,
        unknown_items=unknown,
    )


@router.post("/questions", tags=["ask"], dependencies=[READ])
async def ask(body: schemas.Questioned, service: Served) -> schemas.Items:
    """Return the items to ask a user about next, the most telling first.

    Keep a yes as an `interaction` and a don't-know as `unknown`.
    """
    served = service.served
    _, events = await _who(service, body)
    rows = await service.batcher.run(served, lambda model: model.ask(events, body.n))
    return schemas.Items(items=[schemas.Item(**_item(served, row)) for row in rows])


@router.get("/items", tags=["items"], dependencies=[READ])
async def search(
    service: Served,
    search: Annotated[str, Query(max_length=200, description="words of a title, or an id")] = "",
    n: Annotated[int, Query(ge=1, le=100, description="most items")] = 10,
) -> schemas.Items:
    """Search items by their titles, well-known ones first."""
    served = service.served
    rows = await run_in_threadpool(served.search, search, n)
    return schemas.Items(items=[schemas.Item(**_item(served, row)) for row in rows])


@router.get("/items/{item:path}", tags=["items"], dependencies=[READ], responses=_problems(404))
async def item(item: ItemId, service: Served) -> schemas.Item:
    """Return an item of the catalogue."""
    served = service.served
    if item not in served.row_of:
        raise ProblemError(HTTPStatus.NOT_FOUND, "no such item in the catalogue")
    return schemas.Item(**_item(served, served.row_of[item]))


@router.get("/catalogue", tags=["items"], dependencies=[READ])
async def catalogue(service: Served) -> schemas.Columns:
    """Return what the items can be filtered by."""
    served = service.served
    kinds = {}
    if served.table is not None:
        kinds = {str(name): str(kind) for name, kind in served.table.dtypes.items()}
    return schemas.Columns(columns=kinds, n_items=len(served.ids))


@router.post("/model/reload", tags=["service"], dependencies=[ADMIN], responses=_problems(409))
async def reload(service: Served) -> schemas.Health:
    """Take the bundle, as its file now is, into service; no request is dropped."""
    await service.reload()
    return await run_in_threadpool(health, service)


@router.get("/health", tags=["service"])
def health(service: Served) -> schemas.Health:
    """Say that the service works; 503 where its database does not."""
    service.store.check()
    served = service.served
    return schemas.Health(status="ok", model=served.fingerprint, n_items=len(served.ids))


@router.get(
    "/metrics",
    tags=["service"],
    dependencies=[READ],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(service: Served) -> Response:
    """Return counts for Prometheus; they hold nothing of a user."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def _who(service: Service, body: schemas.Who) -> tuple[KeptUser | None, tuple[Event, ...]]:
    if body.user is not None:
        user = await service.read(body.user)
        return user, user.events
    now = time.time()
    given = [event.event(now + 1e-6 * n) for n, event in enumerate(body.history or [])]
    return None, tuple(latest(given))


async def _rank_request(
    service: Service, served: ServedModel, body: schemas.Wish, events: tuple[Event, ...]
) -> RankRequest:
    # Of the whole catalogue: a large one would hold up all other requests.
    allowed = await run_in_threadpool(
        served.allowed,
        events,
        include=body.include,
        exclude=body.exclude,
        filters=body.plain_filters(),
    )
    known = served.known(events)[-service.settings.max_history :]
    return RankRequest(known, min(body.k, int(allowed.sum())), allowed, body.niche)


def _unknown(served: ServedModel, events: Iterable[Event]) -> list[str]:
    return served.unknown(event.item for event in events)


def _item(served: ServedModel, row: int) -> dict[str, Any]:
    return {"item": served.ids[row], "title": served.titles[row], "about": served.about(row)}


def _explained(served: ServedModel, why: Explanation) -> list[schemas.ExplainedItem]:
    def named(item: Any) -> dict[str, str]:
        return {"item": str(item), "title": served.titles[served.row_of[str(item)]]}

    found = []
    for item, score in why.ranking:
        of = why.of(item)
        because = zip(of.edges["shown"], of.edges["effect"], strict=True)
        paths = zip(*(of.paths[name] for name in ("shown", "kind", "over", "share")), strict=True)
        parts = of.parts.drop(columns=["item", "score"]).iloc[0].to_dict()
        found.append(
            schemas.ExplainedItem(
                **_item(served, served.row_of[str(item)]),
                score=score,
                because=[
                    schemas.Reason(**named(shown), effect=effect) for shown, effect in because
                ],
                parts={str(name): float(value) for name, value in parts.items()},
                paths=[
                    schemas.Path(**named(shown), over=kind, node=str(over), share=share)
                    for shown, kind, over, share in paths
                ],
            )
        )
    return found

"""What requests and answers hold; the OpenAPI description follows from here."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from graphmeta.serve.store import Event, Kind

# Clocks differ by so many seconds without being wrong.
CLOCK_SLACK = 300
# PostgreSQL keeps every character but this one.
NO_NUL = r"^[^\x00]*$"
# A slash in a path is one, encoded or not: such a user could not be told from an event of another.
NO_SLASH = r"^[^\x00/]*$"
SLASH = "a user's id holds no '/'; give the user another id"
Id = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=NO_NUL), Field(examples=["318"])
]


def _without_slash(user: Any) -> Any:
    if isinstance(user, str) and "/" in user:
        raise ValueError(SLASH)
    return user


UserId = Annotated[
    str,
    BeforeValidator(_without_slash),
    StringConstraints(min_length=1, max_length=256, pattern=NO_SLASH),
    Field(examples=["ann"]),
]
# Strict: true and "4" are no numbers, as the description says.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Value = str | int | Number | bool


class Strict(BaseModel):
    """Refuses names that it does not know; numbers as ids become texts."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class NewEvent(Strict):
    """Something that a user did about an item, now or before."""

    item: Id
    kind: Kind = Field(
        default="interaction",
        description="`interaction`, `unknown` (was asked about it and does not know it) or "
        "`dismissed` (does not want to see it)",
    )
    rating: Number | None = Field(default=None, examples=[4.5])
    time: Number | None = Field(
        default=None, ge=0, description="seconds since 1970; now where it is missing"
    )

    @model_validator(mode="after")
    def _is_not_of_the_future(self) -> Self:
        if self.time is not None and self.time > time.time() + CLOCK_SLACK:
            raise ValueError("time lies in the future; give seconds since 1970, or leave it out")
        return self

    def event(self, now: float) -> Event:
        """Return the event as it is kept."""
        return Event(self.item, self.kind, self.rating, now if self.time is None else self.time)


class NewEvents(Strict):
    """Events of one user, oldest first. Of an item the latest counts."""

    events: list[NewEvent] = Field(
        min_length=1, max_length=1000, examples=[[{"item": "318"}, {"item": "858", "rating": 5}]]
    )

    @model_validator(mode="after")
    def _do_not_contradict(self) -> Self:
        kinds: dict[str, str] = {}
        for event in self.events:
            if kinds.setdefault(event.item, event.kind) != event.kind:
                raise ValueError(
                    f"item {event.item!r} is {kinds[event.item]} and {event.kind} at once; "
                    "send what holds"
                )
        return self


class KeptEvents(BaseModel):
    """What was kept."""

    user: str
    kept: int
    unknown_items: list[str] = Field(
        description="items that the model does not know (yet); their events are kept as well"
    )


class User(BaseModel):
    """All that is kept of a user."""

    user: str
    events: list[NewEvent]
    state_bytes: int = Field(description="size of the user's own weights and history; 0 for none")


class Range(Strict):
    """From `min` to `max`, both of them included."""

    min: Value | None = None
    max: Value | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self


class Who(Strict):
    """A user whose events are kept, or a history that is not kept."""

    user: UserId | None = Field(default=None, description="a user whose events are kept")
    history: list[NewEvent] | None = Field(
        default=None,
        max_length=1000,
        description="or what a user did, oldest first; nothing of it is kept",
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.user is None) == (self.history is None):
            raise ValueError("give either user or history")
        return self


class Wish(Who):
    """For whom to rank, and which items."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"history": [{"item": "318"}, {"item": "858"}], "k": 5}],
        }
    )

    k: int = Field(
        default=10,
        strict=True,
        ge=1,
        le=10_000,
        description="how many items; fewer come where fewer are left",
    )
    include: list[Id] | None = Field(
        default=None, max_length=10_000, description="the only items that may be"
    )
    exclude: list[Id] = Field(default=[], max_length=10_000, description="items that may not be")
    filters: dict[str, Value | list[Value] | Range] = Field(
        default={},
        description="for each column of the items a value, values of which one is enough, or a "
        "range",
        examples=[{"genres": ["Drama", "War"], "year": {"min": 1990}}],
    )
    niche: Number = Field(
        default=0.0, ge=-4, le=4, description="above 0 for less known items, below for known ones"
    )

    def plain_filters(self) -> dict[str, Any]:
        """Return the filters as the recommender takes them."""
        return {
            name: wanted.model_dump(exclude_none=True) if isinstance(wanted, Range) else wanted
            for name, wanted in self.filters.items()
        }


class Why(Wish):
    """For whom to rank and explain."""

    k: int = Field(default=5, strict=True, ge=1, le=50, description="how many items")
    n_paths: int = Field(default=3, strict=True, ge=0, le=20, description="paths for each item")


class Questioned(Who):
    """Whom to ask."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": []}]})

    n: int = Field(
        default=1, strict=True, ge=1, le=100, description="how many items to ask about, at most"
    )


class Item(BaseModel):
    """An item of the catalogue."""

    item: str
    title: str
    about: dict[str, Any] = Field(description="what is known of it")


class ScoredItem(Item):
    """A recommended item. Scores order the items of one answer only."""

    score: float


class Recommendations(BaseModel):
    """The best items, best first."""

    items: list[ScoredItem]
    source: Literal["adapted", "unadapted", "popular"] = Field(
        description="what ranked: the encoder adapted to the user, unadapted, or, where nothing is "
        "known, popularity"
    )
    n_known: int = Field(description="how many interactions the model read")
    unknown_items: list[str] = Field(description="items of the history that it does not know")


class Reason(BaseModel):
    """What one of the user's interactions did for a recommendation."""

    item: str
    title: str
    effect: float = Field(
        description="logarithm of how many times likelier it made the item; below 0 it spoke for "
        "others"
    )


class Path(BaseModel):
    """A way from the user's interaction to the recommended item."""

    item: str
    title: str
    over: Literal["user", "feature"]
    node: str = Field(description="the row of a training user, or the name of a feature")
    share: float = Field(description="its share of the votes")


class ExplainedItem(ScoredItem):
    """A recommended item and why."""

    because: list[Reason]
    parts: dict[str, float] = Field(description="what the score is the sum of")
    paths: list[Path]


class Explanations(BaseModel):
    """The best items, best first, and why."""

    items: list[ExplainedItem]
    source: Literal["adapted", "unadapted", "popular"]
    unknown_items: list[str]


class Items(BaseModel):
    """Items of the catalogue."""

    items: list[Item]


class Columns(BaseModel):
    """What the items can be filtered by."""

    columns: dict[str, str] = Field(description="the columns of the items, with their kinds")
    n_items: int


class Health(BaseModel):
    """Whether the service works, and with which model."""

    status: Literal["ok"]
    model: str = Field(description="the fingerprint of the model")
    n_items: int


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None

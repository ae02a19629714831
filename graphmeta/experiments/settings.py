"""The settings of the cold-start run: one model, read from TOML, changed on the command line."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from graphmeta.data.named_sets import DEFAULT
from graphmeta.errors import ConfigError, DataNotFoundError
from graphmeta.experiments.named_encoders import ENCODERS
from graphmeta.experiments.named_learners import LEARNERS

DEFAULT_K = (0, 1, 3, 5, 10)
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Settings = TypeVar("Settings", bound=BaseModel)


class ColdStartSettings(BaseModel):
    """Everything that decides the result of a run.

    Fields without a value follow the rule that their description states.

    Raises:
        pydantic.ValidationError: A value cannot work; `read_settings` turns it into one line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str | None = Field(None, description=f"named data set; {DEFAULT} unless --interactions")
    data_root: Path | None = Field(
        None, description="folder of local data sets; else the variable GRAPHMETA_DATA_ROOT"
    )
    interactions: Path | None = Field(
        None, description="own data: a Parquet or CSV file with one interaction a row"
    )
    user_col: str = Field("user", description="own data: column of user ids")
    item_col: str = Field("item", description="own data: column of item ids")
    time_col: str | None = Field(None, description="own data: column of times or dates")
    rating_col: str | None = Field(None, description="own data: column of ratings")
    min_rating: float | None = Field(
        None, allow_inf_nan=False, description="lowest rating that counts as an interaction"
    )
    k: tuple[NotNegative, ...] | None = Field(
        None,
        min_length=1,
        description="support sizes; by default 0 1 3 5 10, as far as the split holds them",
    )
    k_max: Count | None = Field(
        None, description="largest support of the split; by rule 10, or 5 on sparse data"
    )
    split: Literal["cold-users", "global-time"] = Field(
        "cold-users",
        description="held-out users by hash, or those who arrive after the training period",
    )
    seeds: tuple[NotNegative, ...] | None = Field(
        None,
        min_length=1,
        description="split seeds; by default 0, 1, ... up to --min-users. In time, seed S trains "
        "on the first 8 - S tenths of the interactions",
    )
    min_users: Count = Field(300, description="held-out users to pool where no seeds are given")
    methods: tuple[str, ...] | None = Field(
        None, min_length=1, description="methods to run; by default all but melu, tanp and mamo"
    )
    quick: bool = Field(
        False, description="smoke run: one seed, small grids, two epochs of one pass"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the learners train")
    workers: Count | None = Field(
        None, description="processes at work side by side; by default one per core, at most four"
    )
    tuning_users: Count = Field(1000, description="validation users that tuning looks at")
    epochs: Count = Field(20, description="meta-learners: most epochs of training")
    min_steps: Count = Field(
        50, description="meta-learners: least steps of an epoch, which small sets repeat users for"
    )
    channels: Count = Field(64, description="meta-learners: width of the embeddings")
    encoder: str = Field("relation", description=f"meta-learners: one of {', '.join(ENCODERS)}")
    learner: str = Field("maml", description=f"meta-learners: one of {', '.join(LEARNERS)}")
    inner_steps: NotNegative = Field(1, description="meta-learners: adaptation steps per user")
    batch_size: Count = Field(64, description="meta-learners: users per outer step")
    patience: Count = Field(3, description="meta-learners: epochs without a better one, then stop")
    adapted_share: float = Field(
        0.5, ge=0, le=1, description="meta-learners: share of batches trained through adaptation"
    )
    lr: float = Field(3e-3, gt=0, allow_inf_nan=False, description="meta-learners: step size")
    users_per_item: Count = Field(4, description="meta-learners: users drawn per support item")
    items_per_user: Count = Field(4, description="meta-learners: items drawn per such user")

    @field_validator("encoder", "learner")
    @classmethod
    def _is_known(cls, value: str, field: ValidationInfo) -> str:
        known = ENCODERS if field.field_name == "encoder" else LEARNERS
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"no {field.field_name} of that name; {hint}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.interactions is not None and self.data is not None:
            raise ValueError("data and interactions exclude each other; give one of them")
        if self.interactions is None and (self.time_col or self.rating_col):
            raise ValueError("time_col and rating_col describe interactions; give that file")
        if self.interactions is not None and self.min_rating is not None and not self.rating_col:
            raise ValueError("min_rating needs the column of ratings; give rating_col")
        for name in ("k", "seeds", "methods"):
            values = getattr(self, name)
            if values is not None and len(set(values)) < len(values):
                raise ValueError(f"{name} names a value twice; give each once")
        return self

    @property
    def data_name(self) -> str:
        """What to call the data in titles and folder names."""
        if self.interactions is not None:
            return self.interactions.stem
        return (self.data or DEFAULT).replace(":", "-")

    @property
    def trained_epochs(self) -> int:
        """The epochs that are trained: two in a quick run."""
        return min(2, self.epochs) if self.quick else self.epochs

    @property
    def steps_per_epoch(self) -> int:
        """The least steps of an epoch: those of one pass over the users in a quick run."""
        return 1 if self.quick else self.min_steps


def read_settings(
    file: Path | None = None, overrides: dict[str, Any] | None = None
) -> ColdStartSettings:
    """Return the settings of a TOML file, with some values replaced.

    Raises:
        DataNotFoundError: There is no such file.
        ConfigError: The file is no TOML, or a setting is unknown or has a value that cannot work.
    """
    values = {} if file is None else read_toml(file)
    changed = overrides or {}
    if changed.get("interactions") is not None and "data" not in changed:
        values.pop("data", None)
    return validated(ColdStartSettings, {**values, **changed})


def validated(kind: type[Settings], values: dict[str, Any]) -> Settings:
    """Return an experiment's settings.

    Raises:
        ConfigError: A setting is unknown or has a value that cannot work.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, kind)) from error


def settings_toml(settings: BaseModel) -> str:
    """Return the settings as TOML, each below its description; reading it gives them back."""
    lines = []
    for name, value in settings.model_dump(mode="json").items():
        lines.append(f"# {type(settings).model_fields[name].description}")
        # TOML has no null: a setting left to its rule is shown as a comment. JSON's numbers,
        # strings, booleans and lists are TOML.
        unset = value is None
        lines.append(
            f"# {name} =" if unset else f"{name} = {json.dumps(value, ensure_ascii=False)}"
        )
    return "\n".join(lines) + "\n"


def changed_settings(old: ColdStartSettings, new: ColdStartSettings) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, with both values."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return {name: (value, after[name]) for name, value in before.items() if value != after[name]}


def read_toml(file: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises:
        DataNotFoundError: There is no such file.
        ConfigError: The file is no TOML.
    """
    if not file.is_file():
        raise DataNotFoundError(f"no configuration file {file}; check the path")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


def _first_problem(error: ValidationError, kind: type[BaseModel]) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"][:1])
    if problem["type"] == "extra_forbidden":
        known = kind.model_fields
        near = difflib.get_close_matches(place, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return f"no setting {place!r}; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    if not place:
        return message
    return f"setting {place!r}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"

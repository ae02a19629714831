"""What a recommender needs to rank for one user again: small, and apart from the model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.meta.learner import FastWeights
from graphmeta.ranking.few_shot_scorer import Source

FORMAT = 1
WEIGHT = "weight."


@dataclass(frozen=True)
class UserState:
    """One user's interactions and own weights, as `ColdStartRecommender.adapt` made them.

    The model holds nothing of the user: who deletes the state has deleted the user. It belongs to
    the model that made it and is refused by any other, since own weights mean nothing there.

    Args:
        support: What the user has shown, as a batch of one; rows of the model's catalogue.
        weights: The user's own weights; empty where the model does not adapt such users.
        source: What ranks the user, as in `Ranking`.
        model: The fingerprint of the model that made it.
    """

    support: Support
    weights: FastWeights
    source: Source
    model: str

    def __len__(self) -> int:
        """Return how many interactions are known."""
        return int(self.support.item_index.size(1))

    @property
    def n_bytes(self) -> int:
        """Size of `to_bytes`."""
        return len(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the state as safetensors: numbers only, which nothing executes."""
        tensors = {f"{WEIGHT}{n}": w.detach().cpu().contiguous() for n, w in self.weights.items()}
        for name in _columns():
            value = getattr(self.support, name)
            if value is not None:
                tensors[name] = value.cpu().contiguous()
        about = {"format": str(FORMAT), "model": self.model, "source": self.source}
        return save(tensors, metadata=about)

    @classmethod
    def from_bytes(cls, content: bytes) -> UserState:
        """Return the state that `to_bytes` wrote.

        Raises:
            DataError: The bytes are damaged, no state, or of a later format.
        """
        try:
            about = _metadata(content)
            if int(about["format"]) > FORMAT:
                raise DataError(
                    f"the state has format {about['format']}; this release reads up to {FORMAT}: "
                    "upgrade graphmeta"
                )
            tensors = load(content)
            weights = {
                name.removeprefix(WEIGHT): tensors.pop(name)
                for name in [*tensors]
                if name.startswith(WEIGHT)
            }
            support = Support(**tensors)
            source: Source = about["source"]  # type: ignore[assignment]
            if source not in get_args(Source) or len(support) != 1:
                raise ValueError("no such source or not one user")
            return cls(support, weights, source, about["model"])
        except (SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"the state is damaged or none ({error}); adapt from the user's history anew"
            ) from error


def appended(known: Support, new: Support) -> Support:
    """Return one user's interactions with later ones, in the order of their times if any.

    Raises:
        DataError: One of them has ratings or times and the other has not.
    """
    if not new.item_index.numel():
        return known
    columns: dict[str, Tensor] = {"item_index": torch.cat([known.item_index, new.item_index], 1)}
    for name in ("rating", "time"):
        old, more = getattr(known, name), getattr(new, name)
        if known.item_index.numel() and (old is None) != (more is None):
            raise DataError(
                f"the state has {'no ' if old is None else ''}{name}s and the new interactions "
                f"have {'none' if more is None else 'some'}; give them always, or never"
            )
        if more is not None:
            columns[name] = more if old is None else torch.cat([old, more], 1)
    if "time" in columns:
        order = columns["time"][0].argsort(stable=True)
        columns = {name: value[:, order] for name, value in columns.items()}
    items = columns["item_index"][0]
    is_first = (items.unsqueeze(1) == items).int().argmax(1) == torch.arange(len(items))
    kept = {name: value[:, is_first] for name, value in columns.items()}
    return Support(**kept, user_x=known.user_x, links=known.links)


def fingerprint(groups: list[dict[str, Tensor]], about: dict[str, Any]) -> str:
    """Return a digest of weights and choices, by which a state knows its model.

    Args:
        groups: Named tensors.
        about: What else counts, as JSON has it.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for tensors in groups:
        for name in sorted(tensors):
            value = tensors[name].detach().cpu()
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def _columns() -> list[str]:
    return [field.name for field in fields(Support)]


def _metadata(content: bytes) -> dict[str, str]:
    """Return the texts in a header, which the package safetensors hands out of files only."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata

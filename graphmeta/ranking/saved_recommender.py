"""A recommender's trained model as a bundle, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD, REVERSE, bipartite_graph
from graphmeta.data.id_map import IdMap
from graphmeta.data.links import TRUSTS, has_links
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, DataError, GraphMetaError
from graphmeta.meta.learner import Learner
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.ranking.bundle import Bundle
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.linear_part import Linear, LinearPart
from graphmeta.ranking.new_item_scores import NewItemScores
from graphmeta.ranking.prior_blend import Blend, PriorBlend
from graphmeta.ranking.validation_users import adapted_up_to
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_sampler import EpisodeSampler

FEATURES = ("user_x", "item_x")


def to_bundle(
    scorer: FewShotScorer,
    train: HeteroData,
    settings: dict[str, Any],
    *,
    is_default: bool,
    item_table: pd.DataFrame | None = None,
) -> Bundle:
    """Return all that scores new users as `scorer` does.

    The training graph is part of it: its users vote. Their ids are not, unless there are links
    between them, which name users.

    Args:
        scorer: The trained model.
        train: The training graph.
        settings: The recommender's, as JSON has them.
        is_default: The learner is the default one, which its settings suffice to build.
        item_table: What is known of the items.

    Raises:
        DataError: The graph has more than users, items and their interactions, or ids that are
            neither text nor numbers nor dates, or the item table cannot be saved.
    """
    config: dict[str, Any] = {
        "settings": settings,
        "learner": None if is_default else described(scorer.learner),
        "n_users": int(train["user"].num_nodes),
        "gate": {str(k): is_adapted for k, is_adapted in scorer.gate.items()},
        "blend": {},
        "scores_new_items": scorer.new_items is not None,
    }
    tensors = {
        "learner": dict(scorer.learner.state_dict()),
        "head": dict(scorer.head.state_dict()),
        "graph": _graph_tensors(train),
    }
    if scorer.prior is not None:
        config["blend"] = {str(k): list(blend) for k, blend in scorer.prior.chosen.items()}
        tensors["prior"] = dict(scorer.prior.log_prior)
    if scorer.linear is not None:
        config["linear"] = list(scorer.linear.chosen)
        tensors["linear"] = dict(scorer.linear.state_dict())
    tables = {"item_ids": pa.table({"ids": _arrow_ids(train["item"].id_map)})}
    if has_links(train):
        tables["user_ids"] = pa.table({"ids": _arrow_ids(train["user"].id_map, "user")})
    if "x_names" in train["item"]:
        tables["item_x_names"] = pa.table({"names": pa.array(train["item"].x_names.ids)})
    if item_table is not None:
        tables["item_table"] = _arrow_table(item_table)
    return Bundle(config, tensors, tables)


@contextlib.contextmanager
def read_whole(path: str | Path) -> Iterator[None]:
    """Name the file where a part of its bundle is missing or wrong.

    Args:
        path: The file.

    Raises:
        DataError: What the block raised about the parts.
    """
    try:
        yield
    except (GraphMetaError, torch.OutOfMemoryError):
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(
            f"{path} lacks a part, or has a wrong one ({reason}); save it again"
        ) from error


def from_bundle(
    bundle: Bundle, *, learner: Learner | None, device: torch.device
) -> tuple[FewShotScorer, HeteroData, pd.DataFrame | None]:
    """Return the model, the graph that it was trained on, and what is known of the items.

    Args:
        bundle: What `to_bundle` returned.
        learner: One built like the saved model's, unless that was the default.
        device: Where it is to score.

    Raises:
        ConfigError: A learner is needed and there is none, or the other way round.
        DataError: The learner, or the bundle, does not fit.
    """
    config, settings = bundle.config, bundle.config["settings"]
    train = _graph(bundle)
    if learner is None and config["learner"] is not None:
        raise ConfigError(
            f"the model was saved with a learner of its own, {config['learner']}; build one like "
            "it and pass it: load(path, learner=...)"
        )
    if learner is not None and config["learner"] is None:
        raise ConfigError("the model was saved with the default learner; leave learner out")
    if learner is None:
        learner = relation_learner(train.metadata(), channels=settings["channels"])
    with weights_drawn_by(settings["seed"]):
        head = CatalogueHead(
            train,
            channels=settings["channels"],
            item_start="random",  # The numbers are about to be replaced.
            k_max=settings["k_max"],
            seed=settings["seed"],
            without=settings["without"],
        )
    _fill(learner, bundle.tensors["learner"], described(learner))
    _fill(head, bundle.tensors["head"], "this release's head")
    sampler = EpisodeSampler(
        train,
        num_neighbors=tuple(settings["num_neighbors"]),
        num_voters=settings["num_voters"],
    )
    scorer = FewShotScorer(
        learner.to(device).eval(),
        head.to(device).eval(),
        sampler,
        batch_size=settings["batch_size"],
        seed=settings["seed"],
        k_max=adapted_up_to(settings["k_max"]),
        gate={int(k): bool(is_adapted) for k, is_adapted in config["gate"].items()},
        prior=_prior(bundle, device),
        linear=_linear(bundle, device),
        new_items=(
            NewItemScores.of_graph(train, device=device)
            if config.get("scores_new_items")  # Not in formats below 4.
            else None
        ),
    )
    table = bundle.tables.get("item_table")
    return scorer, train, None if table is None else table.to_pandas()


def described(learner: Learner) -> str:
    """Return a learner's and its encoder's names, for messages."""
    return f"{type(learner).__name__}({type(learner.encoder).__name__}(...))"


def _fill(module: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise DataError(
            f"the saved weights do not fit {name} ({first}); build it as it was built for fit"
        ) from error


def _prior(bundle: Bundle, device: torch.device) -> PriorBlend | None:
    if "prior" not in bundle.tensors:
        return None
    log_prior = {name: value.to(device) for name, value in bundle.tensors["prior"].items()}
    chosen = {int(k): Blend(*blend) for k, blend in bundle.config["blend"].items()}
    return PriorBlend(log_prior, chosen)


def _linear(bundle: Bundle, device: torch.device) -> LinearPart | None:
    if "linear" not in bundle.tensors:
        return None
    numbers = bundle.config["linear"]
    if len(numbers) == 2:  # Format 2.
        numbers = [*numbers, adapted_up_to(bundle.config["settings"]["k_max"])]
    return LinearPart(**bundle.tensors["linear"], chosen=Linear(*numbers)).to(device)


def _graph_tensors(train: HeteroData) -> dict[str, Tensor]:
    unknown = [t for t in train.node_types if t not in ("user", "item")]
    unknown += [t for t in train.edge_types if t not in (FORWARD, REVERSE, TRUSTS)]
    if unknown:
        raise DataError(
            "a bundle holds users, items, their interactions and links between users, not "
            f"{unknown[0]}; train on a graph without it to save the model"
        )
    edges = train[RATES]
    tensors = {"edge_index": edges.edge_index.int()}
    tensors |= {name: edges[name] for name in ("rating", "time") if name in edges}
    if has_links(train):
        tensors["links"] = train[TRUSTS].edge_index.int()
    for name in FEATURES:
        node = train[name.removesuffix("_x")]
        if "x" in node:
            tensors[name] = node.x
    return tensors


def _graph(bundle: Bundle) -> HeteroData:
    tensors, names = dict(bundle.tensors["graph"]), bundle.tables.get("item_x_names")
    user_ids, links = bundle.tables.get("user_ids"), tensors.pop("links", None)
    graph = bipartite_graph(
        tensors.pop("edge_index").long(),
        user_ids=IdMap(range(bundle.config["n_users"]) if user_ids is None else _ids(user_ids)),
        item_ids=IdMap(_ids(bundle.tables["item_ids"])),
        item_x_names=None if names is None else IdMap(names["names"].to_pylist()),
        **tensors,
    )
    if links is not None:
        graph[TRUSTS].edge_index = links.long()
    return graph


def _ids(table: pa.Table) -> pd.Index[Any]:
    return pd.Index(table["ids"].to_pandas())


def _arrow_ids(ids: IdMap, node: str = "item") -> pa.Array:
    try:
        array = pa.array(ids.ids)
    except pa.ArrowException as error:
        raise DataError(
            f"{node} ids cannot be saved ({error}); use texts or numbers, all of one kind"
        ) from error
    if pa.types.is_nested(array.type):
        raise DataError(f"{node} ids of type {array.type} cannot be saved; use texts or numbers")
    return array


def _arrow_table(item_table: pd.DataFrame) -> pa.Table:
    try:
        return pa.Table.from_pandas(item_table, preserve_index=False)
    except pa.ArrowException as error:
        raise DataError(
            f"the item table cannot be saved ({error}); keep columns of one kind, such as texts, "
            "numbers or dates"
        ) from error

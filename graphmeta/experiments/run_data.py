"""The data of a run: the graph, its splits, and the settings that follow from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from torch_geometric.data import HeteroData

from graphmeta.data import (
    ColdSplit,
    audit_split,
    from_file,
    load_named,
    split_cold_users,
    split_global_time,
)
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.named_sets import DEFAULT
from graphmeta.data.split import history_size
from graphmeta.errors import ConfigError
from graphmeta.experiments.settings import DEFAULT_K, ColdStartSettings

MOST_SEEDS = 20
# Splits in time train on the first 8, 7, ... 1 tenths of the interactions.
MOST_PERIODS = 8


@dataclass(frozen=True)
class RunData:
    """Audited splits, and the settings with every rule replaced by its outcome.

    Args:
        settings: Settings in which `k`, `k_max` and `seeds` are given.
        splits: One split per seed.
        fingerprint: SHA-256 of the interactions and ids.
        sizes: Users, items and interactions of the whole graph.
        notices: What the caller should know about the choices made.
    """

    settings: ColdStartSettings
    splits: tuple[ColdSplit, ...]
    fingerprint: str
    sizes: dict[str, int]
    notices: tuple[str, ...]


def load_run_data(settings: ColdStartSettings) -> RunData:
    """Read the interactions, split them and audit every split.

    Raises:
        DataNotFoundError: The file, the folder or the named set is not there.
        DataError: The interactions cannot be used.
        ConfigError: A support size is larger than any history, or a setting does not fit.
        LeakageError: A split leaks.
    """
    graph = _graph(settings)
    notices: list[str] = []
    settings = _with_support_sizes(settings, graph, notices)
    splits = _splits(settings, graph, notices)
    seeds = tuple(split.seed for split in splits)
    sizes = {
        "users": int(graph["user"].num_nodes),
        "items": int(graph["item"].num_nodes),
        "interactions": int(graph[FORWARD].edge_index.size(1)),
    }
    resolved = settings.model_copy(update={"seeds": seeds})
    return RunData(resolved, splits, _fingerprint(graph), sizes, tuple(notices))


def _graph(settings: ColdStartSettings) -> HeteroData:
    if settings.interactions is None:
        return load_named(
            settings.data or DEFAULT,
            data_root=settings.data_root,
            min_rating=settings.min_rating,
        )
    return from_file(
        settings.interactions,
        user=settings.user_col,
        item=settings.item_col,
        time=settings.time_col,
        rating=settings.rating_col,
        min_rating=settings.min_rating,
    )


def _with_support_sizes(
    settings: ColdStartSettings, graph: HeteroData, notices: list[str]
) -> ColdStartSettings:
    rule = history_size(graph, settings.k_max)
    if settings.k is None:
        sizes = tuple(k for k in DEFAULT_K if k <= rule)
        if sizes != DEFAULT_K:
            left_out = ", ".join(str(k) for k in DEFAULT_K if k > rule)
            notices.append(f"support sizes above {rule} are left out ({left_out})")
        return settings.model_copy(update={"k": sizes, "k_max": rule})
    largest = max(settings.k)
    longest = int(graph[FORWARD].edge_index[0].bincount().max())
    if largest >= longest:
        raise ConfigError(
            f"k={largest} is larger than any history leaves room for (the longest has {longest} "
            "interactions); lower --k"
        )
    if settings.k_max is not None and largest > settings.k_max:
        raise ConfigError(f"k={largest} is above k_max={rule}; lower --k or raise --k-max")
    if largest > rule:
        notices.append(f"k={largest} is above the usual {rule}: only users with more are ranked")
    return settings.model_copy(update={"k_max": max(largest, rule)})


def _splits(
    settings: ColdStartSettings, graph: HeteroData, notices: list[str]
) -> tuple[ColdSplit, ...]:
    by_rule = settings.seeds is None
    most = MOST_SEEDS if settings.split == "cold-users" else MOST_PERIODS
    candidates = range(1 if settings.quick else most) if by_rule else settings.seeds
    splits: list[ColdSplit] = []
    ranked = 0
    for seed in candidates or ():
        split = _split(settings, graph, seed)
        splits.append(split)
        ranked += len(split.test)
        if by_rule and ranked >= settings.min_users:
            break
    if by_rule and ranked < settings.min_users and not settings.quick:
        notices.append(
            f"only {ranked} held-out users in {len(splits)} splits, fewer than {settings.min_users}"
        )
    return tuple(splits)


def _split(settings: ColdStartSettings, graph: HeteroData, seed: int) -> ColdSplit:
    """Return an audited split."""
    if settings.split == "cold-users":
        split = split_cold_users(graph, seed=seed, k_max=settings.k_max)
        audit_split(split)
        return split
    if seed >= MOST_PERIODS:
        raise ConfigError(
            f"seed={seed} leaves nothing to train on: a split in time knows seeds 0 to "
            f"{MOST_PERIODS - 1}; lower --seeds"
        )
    quantile = round(0.9 - 0.1 * seed, 10)
    split = replace(split_global_time(graph, quantile=quantile, k_max=settings.k_max), seed=seed)
    first = [users.support(1).time for users in (split.validation, split.test)]
    audit_split(split, split_time=min(float(time.min()) for time in first if time is not None))
    return split


def _fingerprint(graph: HeteroData) -> str:
    digest = hashlib.sha256()
    store = graph[FORWARD]
    for name in ("edge_index", "rating", "time"):
        if name in store:
            digest.update(store[name].numpy().tobytes())
    for node in ("user", "item"):
        digest.update("\0".join(map(str, graph[node].id_map.ids)).encode())
        if "x" in graph[node]:
            digest.update(graph[node].x.numpy().tobytes())
    return digest.hexdigest()

"""Meta-training: episodes from training users, an outer step per batch of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders.item_table import ItemTable
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta.maml import MAML
from graphmeta.tasks.csr import CSR
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_sampler import EpisodeSampler


def meta_train(
    learner: MAML,
    table: ItemTable,
    graph: HeteroData,
    *,
    sampler: EpisodeSampler,
    epochs: int,
    batch_size: int = 64,
    lr: float = 3e-3,
    k_max: int = 10,
    seed: int = 0,
) -> Iterator[float]:
    """Train learner and table in place; yield the mean loss of each epoch as it ends.

    Each epoch visits every training user with at least two items once. A batch draws one
    k, log-uniform in 1 to `k_max`; k random items of a user become the support and all
    others the query, and the user's own row is not sampled. The outer loss is that of the
    *adapted* learner: `- mean over the query of log softmax(scores)` over the catalogue
    less the support.

    Raises:
        ConfigError: A number is out of its range.
        DataError: No user has two items.
        NonFiniteError: The outer loss is NaN or infinite; the message names the epoch.
    """
    if min(epochs, batch_size, k_max) < 1 or not lr > 0:
        raise ConfigError(
            f"epochs={epochs}, batch_size={batch_size} and k_max={k_max} must be at least 1 "
            f"and lr={lr} above 0"
        )
    edge_index = graph[RATES].edge_index
    items = CSR.from_edge_index(edge_index, num_rows=int(graph["user"].num_nodes))
    users = (items.indptr.diff() >= 2).nonzero().flatten()
    if not len(users):
        raise DataError("no training user has two items; there is nothing to hold out and predict")
    generator = torch.Generator().manual_seed(seed)
    parameters = [*learner.parameters(), *table.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=1e-4)
    learner.train()
    for epoch in range(epochs):
        total = 0.0
        order = users[torch.randperm(len(users), generator=generator)]
        for batch in order.split(batch_size):
            k = _log_uniform(k_max, generator)
            support, seen = draw_supports(items, batch, k, table.embedding.size(0), generator)
            episodes = sampler.sample(support, generator=generator, own_user=batch)
            scores = learner.score(episodes, learner.adapt(episodes, table), table)
            loss = query_loss(scores, support, seen)
            if not bool(loss.isfinite()):
                raise NonFiniteError(f"the outer loss is {loss.item()} in epoch {epoch}; lower lr")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            total += loss.item() * len(batch)
        yield total / len(users)
    learner.eval()


def draw_supports(
    items: CSR, users: Tensor, k: int, num_items: int, generator: torch.Generator
) -> tuple[Support, Tensor]:
    """Draw up to k random items of each user, leaving at least one for the query.

    Shapes:
        output: a `Support` of shape `[n_users, k]`, and the users' whole rows as float32,
            `[n_users, num_items]`.
    """
    seen = torch.zeros(len(users), num_items)
    degree = items.indptr[users + 1] - items.indptr[users]
    row = torch.arange(len(users)).repeat_interleave(degree)
    first = degree.cumsum(0) - degree
    slot = torch.arange(len(row)) - first[row] + items.indptr[users][row]
    item = items.index[slot]
    seen[row, item] = 1.0
    # A random order within each user: sort by a random key, then by user, stably.
    order = torch.rand(len(row), generator=generator).argsort()
    order = order[row[order].argsort(stable=True)]
    position = torch.arange(len(row)) - first[row]
    shown = position < torch.minimum(degree - 1, torch.tensor(k))[row]
    support = torch.full((len(users), k), -1)
    support[row[shown], position[shown]] = item[order][shown]
    return Support(support), seen


def query_loss(scores: Tensor, support: Support, seen: Tensor) -> Tensor:
    """Return the mean over users and query items of `-log softmax` over the rest.

    Shapes:
        scores: float32, `[n_users, n_items]`.
        seen: float32, `[n_users, n_items]`; ones at support and query items.
    """
    shown = support.to_dense(scores.size(1)) > 0
    query = seen.masked_fill(shown, 0.0)
    log_p = scores.masked_fill(shown, -math.inf).log_softmax(1).masked_fill(shown, 0.0)
    return -((log_p * query).sum(1) / query.sum(1)).mean()


def _log_uniform(k_max: int, generator: torch.Generator) -> int:
    draw = float(torch.rand((), generator=generator))
    return min(k_max, int(math.exp(draw * math.log(k_max + 1))))

"""What each process of the data-parallel tests runs: `data_parallel_worker.py WHAT FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, DistributedError, NonFiniteError
from graphmeta.meta import MAML, MetaTrainer
from graphmeta.meta.data_parallel import DataParallelGroup
from graphmeta.meta.gradient_sum import GradientSum
from graphmeta.ranking import ColdStartRecommender
from graphmeta.tasks.episode import RATES, REV_RATES
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

Result = dict[str, Any]
BAD_USER = 7


class OneBadUser(MAML):
    """The outer loss of one training user is NaN."""

    def outer_loss(self, episodes: Any, *args: Any, **options: Any) -> Tensor:
        loss = super().outer_loss(episodes, *args, **options)
        return loss * torch.nan if bool((episodes.own_user == BAD_USER).any()) else loss


class DiesInTheSecondEpoch(MAML):
    """Takes the process of rank 1 along, without a word, in the second epoch."""

    n_calls = 0

    def outer_loss(self, *args: Any, **options: Any) -> Tensor:
        self.n_calls += 1
        is_first_start = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
        if self.n_calls == 7 and os.environ["RANK"] == "1" and is_first_start:
            os._exit(1)
        return super().outer_loss(*args, **options)


def two_groups() -> HeteroData:
    """Even users rate even items: 41 of them, so that batches of 8 leave one user at the end."""
    generator = torch.Generator().manual_seed(0)
    same = (torch.arange(41)[:, None] + torch.arange(20)) % 2 == 0
    edge_index = (same & (torch.rand(41, 20, generator=generator) < 0.7)).nonzero().T.contiguous()
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 41, 20
    graph[RATES].edge_index, graph[REV_RATES].edge_index = edge_index, edge_index.flip(0)
    return graph


def encoder_of(graph: HeteroData, *, seed: int) -> RelationEncoder:
    with weights_drawn_by(seed):
        return RelationEncoder(graph.metadata(), out_channels=8, num_layers=2)


def trainer_of(
    kind: type[MAML] = MAML,
    *,
    weights_seed: int = 0,
    batch_size: int = 8,
    first_order: bool = True,
    **options: Any,
) -> MetaTrainer:
    graph = two_groups()
    encoder = encoder_of(graph, seed=weights_seed)
    learner = kind(encoder, adapt=("layers.*.shift.*",), inner_steps=1, first_order=first_order)
    head = CatalogueHead(graph, channels=8)
    sampler = EpisodeSampler(graph, num_neighbors=(4, 4))
    loader = EpisodeLoader(graph, sampler=sampler, batch_size=batch_size)
    return MetaTrainer(learner, head, loader, lr=0.01, **options)


def trained(trainer: MetaTrainer, n_epochs: int = 2) -> Result:
    for _ in range(n_epochs):
        trainer.run_epoch()
    return {"weights": trainer.weights(), "losses": trainer.losses}


def fitted(
    checkpoint: Path | None, *, kind: type[MAML] = MAML, n_shards: int | None = None
) -> Result:
    graph = from_frame(planted_interactions(80, skew=0.3), time="time")
    split = split_cold_users(graph, seed=0)
    learner = kind(encoder_of(graph, seed=0), adapt=("layers.*.shift.*",), inner_steps=1)
    model = ColdStartRecommender(
        learner, channels=8, batch_size=16, epochs=3, min_steps=1, n_shards=n_shards
    )
    told: list[int] = []
    model.fit(
        split.train,
        split.validation,
        checkpoint=checkpoint,
        on_epoch=lambda epoch, epochs, loss: told.append(epoch),
    )
    return {
        "scores": model.adapted().score(split.test.support(5)),
        "losses": model.losses,
        "validation": model.validation_scores,
        "gate": model.gate,
        "told": told,
    }


def error_of(run: Callable[[], object], kind: type[Exception]) -> str:
    try:
        run()
    except kind as error:
        return str(error)
    return "no error"


def unsynchronised() -> Result:
    """The mistake that the check at the end of an epoch is there for."""
    whole = DataParallelGroup.sum
    DataParallelGroup.sum = lambda self, tensor: None  # type: ignore[method-assign]
    try:
        trainer = trainer_of()
        error = error_of(trainer.run_epoch, DistributedError)
        return {"error": error, "weights": trainer.weights()}
    finally:
        DataParallelGroup.sum = whole  # type: ignore[method-assign]


def wrapped(rank: int) -> Result:
    """DDP's gradients after its own forward, and after `functional_call` on what it wraps."""
    with weights_drawn_by(0):
        ddp = DistributedDataParallel(nn.Linear(2, 1))
    x = torch.tensor([[1.0, rank]])
    ddp(x).sum().backward()
    own = ddp.module.weight.grad.clone()
    ddp.zero_grad()
    functional_call(ddp.module, dict(ddp.module.named_parameters()), (x,)).sum().backward()
    functional = ddp.module.weight.grad.clone()
    graph = two_groups()
    learner = MAML(DistributedDataParallel(encoder_of(graph, seed=0)))
    head, loader = CatalogueHead(graph, channels=8), EpisodeLoader(graph)
    error = error_of(lambda: MetaTrainer(learner, head, loader), ConfigError)
    return {"own": own, "functional": functional, "error": error}


def left_out() -> Result:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = trained(trainer_of(OneBadUser, on_non_finite="skip"))
    return {**result, "warnings": [str(w.message) for w in caught if w.category is RuntimeWarning]}


def refuse(text: str) -> None:
    raise ConfigError(text)


def of_the_group(rank: int) -> Result:
    """The collectives alone."""
    group = DataParallelGroup(torch.device("cpu"))
    parameters = [nn.Parameter(torch.ones(2)) for _ in range(4)]
    parameters[3].requires_grad_(False)
    gradients = GradientSum(parameters, group)
    parameters[0].grad = torch.tensor([1.0, 10.0]) * (rank + 1)
    if rank == 1:
        parameters[1].grad = torch.tensor([5.0, 6.0])
    gradients.add(0.25 + rank)
    return {
        "loss": gradients.reduce(),
        "gradients": [parameter.grad for parameter in parameters],
        "from_first": group.from_first(lambda: f"rank {rank}"),
        "first_fails": error_of(lambda: group.from_first(lambda: refuse(f"{rank}")), ConfigError),
        "gathered": group.gather(rank),
        "shards": list(group.shards(5)),
    }


def everything(rank: int, folder: Path) -> Result:
    bad = trainer_of(OneBadUser)
    return {
        "two shards": trained(trainer_of(weights_seed=rank)),
        "five shards": trained(trainer_of(n_shards=5)),
        "unsynchronised": unsynchronised(),
        "wrapped": wrapped(rank),
        "settings": error_of(lambda: trainer_of(batch_size=8 + rank), ConfigError),
        "learner": error_of(lambda: trainer_of(first_order=rank == 0), ConfigError),
        "one shard": error_of(lambda: trainer_of(n_shards=1), ConfigError),
        "left out": left_out(),
        "stopped": error_of(bad.run_epoch, NonFiniteError),
        "group": of_the_group(rank),
        "fitted": fitted(folder / "fitted.safetensors"),
        "fitted again": fitted(folder / "fitted.safetensors"),
    }


def main(what: str, folder: Path) -> None:
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    if what == "everything":
        result = everything(rank, folder)
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Or torchrun may end the survivor first.
        try:
            result = fitted(folder / "state.safetensors", kind=DiesInTheSecondEpoch)
        except DistributedError as error:
            (folder / f"survivor-{rank}.txt").write_text(str(error))
            raise
    torch.save(result, folder / f"{what}-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

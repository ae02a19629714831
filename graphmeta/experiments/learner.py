"""The meta-learner of the run, as the settings describe it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch_geometric.data import HeteroData

from graphmeta.encoders import RelationEncoder
from graphmeta.experiments.settings import ColdStartSettings
from graphmeta.meta import MAML
from graphmeta.ranking import ColdStartRecommender
from graphmeta.tasks.relation_features import EDGE_DIM


def build_recommender(
    settings: ColdStartSettings, train: HeteroData, *, seed: int
) -> ColdStartRecommender:
    """Return an untrained recommender whose weights start from `seed`.

    Raises:
        ConfigError: A setting does not fit the encoder.
    """
    with _weights_drawn_by(seed):
        encoder = RelationEncoder(
            train.metadata(), out_channels=settings.channels, edge_dim=EDGE_DIM
        )
        learner = MAML(
            encoder,
            adapt=("layers.*.scale.*", "layers.*.shift.*"),
            inner_steps=settings.inner_steps,
        )
    return ColdStartRecommender(
        learner,
        channels=settings.channels,
        num_neighbors=(settings.users_per_item, settings.items_per_user),
        epochs=settings.trained_epochs,
        patience=settings.patience,
        batch_size=settings.batch_size,
        lr=settings.lr,
        k_max=settings.k_max or 10,
        adapted_share=settings.adapted_share,
        seed=seed,
    )


@contextmanager
def _weights_drawn_by(seed: int) -> Iterator[None]:
    """Let modules draw their first weights from `seed`; the caller's generator is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        yield

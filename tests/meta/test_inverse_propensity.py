"""The weights of inverse propensity, by hand, and what training makes of them."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.errors import ConfigError
from graphmeta.meta.inverse_propensity import inverse_propensity
from graphmeta.ranking import ColdStartRecommender


def test_by_hand() -> None:
    count = torch.tensor([15.0, 3.0, 0.0])
    found = inverse_propensity(count, power=0.5, clip=0.4)
    # Propensities 1, 1/2 and, in place of 1/4, the clip.
    wanted = torch.tensor([1.0, 2.0, 2.5])
    torch.testing.assert_close(found / found[0], wanted)
    # One on average over the interactions.
    assert float((found * count).sum() / count.sum()) == pytest.approx(1)


def test_without_power_all_count_alike() -> None:
    found = inverse_propensity(torch.tensor([15.0, 3.0, 1.0]), power=0, clip=0.1)
    torch.testing.assert_close(found, torch.ones(3))


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match=r"propensity_power=1\.5 is outside 0\.\.1"):
        inverse_propensity(torch.ones(3), power=1.5, clip=0.1)
    with pytest.raises(ConfigError, match=r"propensity_clip=0 is outside 0\.\.1"):
        inverse_propensity(torch.ones(3), power=0.5, clip=0)


def test_training_by_propensity_recommends_what_is_less_known(planted_graph: HeteroData) -> None:
    # Half of the items are three times as well known: half of the others' interactions are gone.
    keep = torch.ones(planted_graph["user", "rates", "item"].num_edges, dtype=torch.bool)
    item = planted_graph["user", "rates", "item"].edge_index[1]
    generator = torch.Generator().manual_seed(0)
    keep[item % 2 == 1] = torch.rand(int((item % 2 == 1).sum()), generator=generator) < 0.3
    for edges in planted_graph.edge_types:
        for name in ("edge_index", "rating", "time"):
            value = planted_graph[edges][name]
            planted_graph[edges][name] = value[..., keep]

    def known(power: float) -> float:
        model = ColdStartRecommender(
            channels=8, epochs=1, min_steps=8, batch_size=16, propensity_power=power, seed=1
        ).fit(planted_graph)
        ids, degree = model.item_ids, model.fitted.head.vote.item_degree
        shown = [model.recommend([i], 10).items for i in ids.ids[::10]]
        return float(degree[ids.to_index([i for items in shown for i in items])].mean())

    assert known(1.0) < known(0.0)
    with pytest.raises(ConfigError, match="propensity_power=-1 is outside"):
        ColdStartRecommender(propensity_power=-1).fit(planted_graph)

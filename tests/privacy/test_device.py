"""That devices, averaged, take the central step; and what leaves a device."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import split_cold_users
from graphmeta.errors import DataError
from graphmeta.meta.outer_loss import OuterDraw
from graphmeta.privacy import Device, Release, averaged, open_users, part_users
from graphmeta.privacy.private_steps import PrivateSteps
from graphmeta.ranking import ColdStartRecommender

CLIP, LR = 0.05, 0.3


@pytest.mark.parametrize("is_adapted", [True, False])
def test_the_average_of_all_devices_is_the_central_step(
    planted_graph: HeteroData, is_adapted: bool
) -> None:
    train = split_cold_users(planted_graph, seed=0).train
    open_graph, private = part_users(train, open_users(train, 0.9))
    # All neighbours are taken and supports are in order of time: there is nothing to draw.
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1, num_neighbors=(-1, -1))
    model.fit(open_graph)
    n_users = int(private["user"].num_nodes)
    central = PrivateSteps(
        model.fitted,
        open_graph,
        private,
        clip=CLIP,
        release=Release(0.0),
        lr=LR,
        adapted_share=0.5,
        k_max=10,
    )
    before = central.weights()
    total = central.clipped_gradient(
        torch.arange(n_users), OuterDraw(3, True, is_adapted), torch.Generator()
    )
    devices = [
        Device(model, part_users(private, torch.arange(n_users) != user)[1], clip=CLIP, lr=LR)
        for user in range(n_users)
    ]
    sent = devices[0].get_parameters({})
    asked = {"k": 3, "in_order": True, "is_adapted": is_adapted, "seed": 0}
    results = [device.fit(sent, asked) for device in devices]
    found = averaged(results)
    for weight, (name, start) in zip(found, before.items(), strict=True):
        expected = start - LR * total[name] / n_users
        torch.testing.assert_close(torch.from_numpy(weight), expected, rtol=0, atol=1e-5)
    assert any(abs(w - s).max() > 1e-4 for w, s in zip(found, sent, strict=True))
    # No single step is longer than the clip allows, and nothing but weights leaves a device.
    for weights, n, metrics in results:
        moved = sum(((w - s) ** 2).sum() for w, s in zip(weights, sent, strict=True)) ** 0.5
        assert moved <= LR * CLIP * 1.001
        assert (n, metrics) == (1, {})


def test_what_does_not_fit(planted_graph: HeteroData) -> None:
    train = split_cold_users(planted_graph, seed=0).train
    open_graph, private = part_users(train, open_users(train, 0.5))
    model = ColdStartRecommender(channels=8, epochs=0).fit(open_graph)
    device = Device(model, private, clip=CLIP, lr=LR)
    with pytest.raises(DataError, match="the server sent 1 weights"):
        device.fit(device.get_parameters({})[:1], {})
    with pytest.raises(DataError, match="nothing to average"):
        averaged([])

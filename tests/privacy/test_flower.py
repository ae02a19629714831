"""Devices under Flower, which wants an environment of its own (docs/privacy.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import from_frame, planted_interactions, split_cold_users
from graphmeta.privacy import Device, averaged, open_users, part_users
from graphmeta.ranking import ColdStartRecommender

client = pytest.importorskip("flwr.client", reason="Flower is not installed")
server = pytest.importorskip("flwr.server")
simulation = pytest.importorskip("flwr.simulation", reason="flwr[simulation] is not installed")
common = pytest.importorskip("flwr.common")
strategy = pytest.importorskip("flwr.server.strategy")
cloudpickle = pytest.importorskip("ray.cloudpickle")

pytestmark = pytest.mark.filterwarnings("ignore")  # Those of Flower and Ray.

CLIP, LR, ROUNDS = 0.1, 0.5, 2


class Client(Device, client.NumPyClient):  # type: ignore[misc]
    """A device that Flower drives."""


@pytest.fixture(scope="module", autouse=True)
def sent_along() -> Iterator[None]:
    """Send what is defined here to the simulated devices, which cannot import it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def parts() -> tuple[HeteroData, HeteroData]:
    train = split_cold_users(from_frame(planted_interactions(), time="time"), seed=0).train
    return part_users(train, open_users(train, 0.96))


@pytest.fixture(scope="module")
def model(parts: tuple[HeteroData, HeteroData]) -> ColdStartRecommender:
    # All neighbours are taken and supports are in order of time: there is nothing to draw.
    model = ColdStartRecommender(channels=8, epochs=1, min_steps=1, num_neighbors=(-1, -1))
    return model.fit(parts[0])


def own(private: HeteroData, user: int) -> HeteroData:
    n_users = int(private["user"].num_nodes)
    return part_users(private, torch.arange(n_users) != user)[1]


def asked(server_round: int) -> dict[str, Any]:
    return {"k": 3, "in_order": True, "is_adapted": True, "seed": server_round}


def rounds_of(
    model: ColdStartRecommender, private: HeteroData, wrapped: Callable[[Any], Any]
) -> list[list[Any]]:
    """Return the weights after each round of Flower, all devices in each."""
    n_devices = int(private["user"].num_nodes)
    start = Device(model, own(private, 0), clip=CLIP, lr=LR).get_parameters({})
    found = []

    def kept(server_round: int, weights: list[Any], config: object) -> None:
        found.append(weights)

    def client_fn(context: Any) -> Any:
        user = int(context.node_config["partition-id"])
        return Client(model, own(private, user), clip=CLIP, lr=LR).to_client()

    def server_fn(context: Any) -> Any:
        mean = strategy.FedAvg(
            fraction_fit=1.0,
            fraction_evaluate=0.0,
            min_fit_clients=n_devices,
            min_available_clients=n_devices,
            initial_parameters=common.ndarrays_to_parameters(start),
            on_fit_config_fn=asked,
            evaluate_fn=kept,
        )
        config = server.ServerConfig(num_rounds=ROUNDS)
        return server.ServerAppComponents(strategy=wrapped(mean), config=config)

    simulation.run_simulation(
        server_app=server.ServerApp(server_fn=server_fn),
        client_app=client.ClientApp(client_fn=client_fn),
        num_supernodes=n_devices,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    return found


def test_rounds_of_flower_are_those_of_the_devices(
    model: ColdStartRecommender, parts: tuple[HeteroData, HeteroData]
) -> None:
    private = parts[1]
    found = rounds_of(model, private, lambda mean: mean)
    n_devices = int(private["user"].num_nodes)
    devices = [Device(model, own(private, u), clip=CLIP, lr=LR) for u in range(n_devices)]
    weights = devices[0].get_parameters({})
    for server_round, theirs in enumerate(found):  # The first are those before any round.
        if server_round:
            weights = averaged([device.fit(weights, asked(server_round)) for device in devices])
        for mine, their in zip(weights, theirs, strict=True):
            np.testing.assert_allclose(mine, their, atol=1e-6)
    assert len(found) == 1 + ROUNDS
    assert max(abs(new - old).max() for new, old in zip(found[-1], found[0], strict=True)) > 1e-4


def test_flower_adds_the_noise_of_the_budget(
    model: ColdStartRecommender, parts: tuple[HeteroData, HeteroData]
) -> None:
    private, noise = parts[1], 20.0
    n_devices = int(private["user"].num_nodes)
    found = rounds_of(
        model,
        private,
        lambda mean: strategy.DifferentialPrivacyServerSideFixedClipping(
            mean, noise_multiplier=noise, clipping_norm=LR * CLIP, num_sampled_clients=n_devices
        ),
    )
    moved = [new - old for new, old in zip(found[1], found[0], strict=True)]
    spread = float(np.concatenate([step.ravel() for step in moved]).std())
    assert spread == pytest.approx(noise * LR * CLIP / n_devices, rel=0.1)

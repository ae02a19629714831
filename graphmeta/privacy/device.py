"""A private user's device: the user's data stay on it, a clipped step of the weights leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphmeta.errors import DataError
from graphmeta.meta.outer_loss import OuterDraw
from graphmeta.privacy.accounting import Release
from graphmeta.privacy.private_steps import PrivateSteps
from graphmeta.ranking.recommender import ColdStartRecommender

Array = np.ndarray[Any, np.dtype[Any]]


class Device:
    """Takes an outer step on its user, from the weights that a server sends.

    Methods, arguments and results are those of Flower's `NumPyClient`, so that an engine can drive
    it: `class Client(Device, flwr.client.NumPyClient)`. The average of what the devices return is
    the central step (FedAvg with one local step; McMahan et al., AISTATS 2017). The server sees
    each step. It adds the noise of the budget to the average, of standard deviation
    `noise * lr * clip / devices`, unless a protocol of the engine hides single steps from it too.

    Args:
        model: What was sent to the device, fitted on open users; its learner's weights are
            those of the latest `fit`.
        own: The graph of the user, with the items of the model, see `part_users`.
        clip: Largest norm of the user's gradient, above 0.
        lr: Step size, above 0.

    Raises:
        DataError: The user has no two items that open users have.
        ConfigError: The learner adapts no parameters, or `clip` is not above 0.
    """

    def __init__(
        self, model: ColdStartRecommender, own: HeteroData, *, clip: float, lr: float
    ) -> None:
        self._lr = lr
        self._n_users = int(own["user"].num_nodes)
        self._learner = model.fitted.learner
        self._steps = PrivateSteps(
            model.fitted,
            model.train_graph,
            own,
            clip=clip,
            release=Release(0.0),
            lr=lr,
            adapted_share=0.0,
            k_max=model.k_max,
        )

    def get_parameters(self, config: Mapping[str, Any]) -> list[Array]:
        """Return the weights that users adapt from, in the order in which `fit` takes them."""
        return [weight.cpu().numpy() for weight in self._steps.weights().values()]

    def fit(
        self, parameters: Sequence[Array], config: Mapping[str, Any]
    ) -> tuple[list[Array], int, dict[str, Any]]:
        """Return the weights after one step on the user's clipped gradient.

        Args:
            parameters: Weights, as `get_parameters` returns them.
            config: What the server draws for all devices of a round: `k`, the support size,
                `in_order`, `is_adapted`, and a `seed` for what is drawn on the device.

        Returns:
            The weights, 1 (each user weighs the same) and no metrics: these would be released
            without noise.

        Raises:
            DataError: There are more or fewer weights than the learner adapts.
        """
        weights = self._steps.weights()
        if len(parameters) != len(weights):
            raise DataError(
                f"the server sent {len(parameters)} weights, the learner adapts {len(weights)}; "
                "send the model to the devices anew"
            )
        sent = {n: torch.from_numpy(p) for n, p in zip(weights, parameters, strict=True)}
        self._steps.load_weights(sent)
        draw = OuterDraw(int(config["k"]), bool(config["in_order"]), bool(config["is_adapted"]))
        generator = torch.Generator().manual_seed(int(config["seed"]))
        self._learner.train()
        step = self._steps.clipped_gradient(torch.arange(self._n_users), draw, generator)
        self._learner.eval()
        moved = [(sent[n] - self._lr * step[n].cpu()).numpy() for n in weights]
        return moved, 1, {}


def averaged(results: Sequence[tuple[list[Array], int, Mapping[str, Any]]]) -> list[Array]:
    """Return the mean of what the devices of a round returned, as Flower's `FedAvg` takes it.

    Raises:
        DataError: There is no result.
    """
    if not results:
        raise DataError("no device returned anything; there is nothing to average")
    total = sum(n for _, n, _ in results)
    return [
        sum((n / total * weights[i] for weights, n, _ in results), np.zeros_like(first))
        for i, first in enumerate(results[0][0])
    ]

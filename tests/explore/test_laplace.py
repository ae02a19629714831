"""The posterior of a user's vector against independent ones."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from graphmeta.explore.laplace import laplace


def _case(n: int, m: int, c: int, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(n + m + c)
    offset = torch.randn(n, m, generator=generator)
    features = scale * torch.randn(n, m, c, generator=generator)
    label = torch.rand(n, m, generator=generator) < 0.5
    return offset, features, label, torch.ones_like(label)


def test_by_hand() -> None:
    # One answer on one feature: w = y - sigmoid(o + w) at the mode, 1 / (1 + p (1 - p)) its spread.
    label = torch.tensor([[True]])
    mode, root = laplace(torch.zeros(1, 1), torch.ones(1, 1, 1), label, label)
    chance = mode.sigmoid()
    assert float(mode) == pytest.approx(1 - float(chance), abs=1e-5)
    assert float(1 - root.square()) == pytest.approx(1 / (1 + float(chance * (1 - chance))))


@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_the_mode_and_the_hessian_are_those_of_scipy(scale: float) -> None:
    offset, features, label, mask = _case(3, 6, 4, scale)
    mode, root = laplace(offset, features, label, mask)
    for user in range(3):
        x, o = features[user].double().numpy(), offset[user].double().numpy()
        sign = 2 * label[user].double().numpy() - 1

        def loss(w: np.ndarray, x=x, o=o, sign=sign) -> float:
            return float(np.logaddexp(0, -sign * (o + x @ w)).sum() + w @ w / 2)

        found = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
        np.testing.assert_allclose(mode[user].numpy(), found, atol=2e-3)
        chance = 1 / (1 + np.exp(-(o + x @ found)))
        hessian = np.eye(4) + (x * (chance * (1 - chance))[:, None]).T @ x
        covariance = np.eye(4) - (root[user].T @ root[user]).double().numpy()
        np.testing.assert_allclose(covariance, np.linalg.inv(hessian), atol=2e-3)


def test_padding_changes_nothing_and_nothing_is_the_prior() -> None:
    offset, features, label, mask = _case(2, 5, 3)
    mask[:, 3:] = False
    mode, root = laplace(offset, features, label, mask)
    short_mode, short_root = laplace(offset[:, :3], features[:, :3], label[:, :3], mask[:, :3])
    torch.testing.assert_close(mode, short_mode)
    torch.testing.assert_close(root[:, :3], short_root)
    assert float(root[:, 3:].abs().max()) == 0
    mode, root = laplace(offset[:, :0], features[:, :0], label[:, :0], mask[:, :0])
    assert float(mode.abs().max()) == 0
    assert root.shape == (2, 0, 3)


def test_every_answer_narrows() -> None:
    offset, features, label, mask = _case(4, 8, 5)
    traces = [
        5
        - laplace(offset[:, :m], features[:, :m], label[:, :m], mask[:, :m])[1].square().sum((1, 2))
        for m in range(9)
    ]
    for wide, narrow in zip(traces[:-2], traces[2:], strict=True):
        assert bool((narrow < wide).all())


def test_far_off_answers_converge() -> None:
    # Newton alone would overshoot: sure of no, and told yes.
    label = torch.tensor([[True]])
    mode, _ = laplace(torch.full((1, 1), -12.0), torch.full((1, 1, 1), 10.0), label, label)
    slope = 10 * (1 - float((-12 + 10 * mode).sigmoid())) - float(mode)
    assert slope == pytest.approx(0, abs=1e-3)

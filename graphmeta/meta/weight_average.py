"""A running mean of the weights over the outer steps, which is what a trained model keeps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# About the last 50 steps. One epoch of a small set has fewer than that.
DECAY = 0.98


class WeightAverage:
    """Averages parameters over training steps (Polyak and Juditsky, 1992), exponentially.

    Single batches of few users pull embeddings and curves about; the mean does not follow, and so
    one epoch's figure is near the next one's. The first `1 / (1 - decay)` steps count alike, so
    that the start is soon forgotten.

    One copy of the parameters is kept: of the mean while training goes on, of the trained weights
    while the mean is in use.

    Args:
        parameters: By name; changed in place.
        decay: Share of the mean that a later step leaves.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, decay: float = DECAY) -> None:
        self._parameters = {n: p for n, p in parameters.items() if p.requires_grad}
        self._other = {n: p.detach().clone() for n, p in self._parameters.items()}
        self._decay = decay
        self._n_steps = 0
        self._in_use = False

    @torch.no_grad()
    def note_step(self) -> None:
        """Take the weights of the step that has just ended into the mean."""
        self._n_steps += 1
        share = max(1 - self._decay, 1 / self._n_steps)
        for name, mean in self._other.items():
            mean.lerp_(self._parameters[name], share)

    def use(self) -> None:
        """Give the modules the mean."""
        if not self._in_use and self._n_steps:
            self._swap()

    def put_back(self) -> None:
        """Give the modules the weights that training goes on from."""
        if self._in_use:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            kept = parameter.clone()
            parameter.copy_(self._other[name])
            self._other[name].copy_(kept)
        self._in_use = not self._in_use

    def state(self) -> dict[str, Tensor]:
        """Return what the modules do not hold, as named tensors; not copies."""
        told = torch.tensor([self._n_steps, int(self._in_use)])
        return {**self._other, "average": told}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` returned, once the modules hold what they held then.

        Without a state, as training wrote none before there was a mean, it begins anew.
        """
        for name, value in self._other.items() if state else ():
            value.copy_(state[name])
        told = state.get("average", torch.zeros(2))
        self._n_steps, self._in_use = int(told[0]), bool(told[1])

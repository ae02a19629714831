"""Outer steps on private users, each with clipped gradients and noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.meta.outer_loss import OuterDraw, OuterLoss
from graphmeta.meta.private_gradient import clipped_sum, user_gradients
from graphmeta.meta.weight_average import WeightAverage
from graphmeta.privacy.accounting import Release
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.support_draws import SupportDraws

# Users whose gradients are held at once.
AT_ONCE = 64


class PrivateSteps:
    """Trains the weights that users adapt from on users who are not in the graph.

    A step draws each user with the same chance, adds their clipped gradients (`clipped_sum`) and
    noise of `noise * clip` to each number, divides by the expected number of users and descends by
    Adam. The model ends with the mean of the weights over the steps. What follows from a noisy sum
    tells no more of a user than the sum does.

    A private user is a new user to the model: support and query are of the own row, and the
    subgraph is of open users. Items without an open user count for nothing, so that no private
    user's episodes depend on another's.

    Args:
        scorer: Trained; its learner is changed in place.
        open_graph: The graph that it samples.
        private: The users.
        clip: Largest norm of a user's gradient; infinite for no bound, with no noise.
        release: The noise, as a multiple of `clip`, the chance of each user, and the steps.
        lr: Step size of Adam.
        adapted_share: Share of the steps that train through adaptation.
        k_max: Largest support.

    Raises:
        ConfigError: A number is out of its range, or the learner adapts no parameters.
        DataError: No private user has two items that open users have.
    """

    def __init__(
        self,
        scorer: FewShotScorer,
        open_graph: HeteroData,
        private: HeteroData,
        *,
        clip: float,
        release: Release,
        lr: float,
        adapted_share: float,
        k_max: int,
    ) -> None:
        self.learner, self.head, self.sampler = scorer.learner, scorer.head, scorer.sampler
        self.clip, self.release = clip, release
        is_known = (
            open_graph[RATES].edge_index[1].bincount(minlength=int(open_graph["item"].num_nodes))
        )
        self._draws = SupportDraws(private, counts=is_known > 0)
        self._n_private = int(private["user"].num_nodes)
        self._has_items = torch.zeros(self._n_private, dtype=torch.bool)
        self._has_items[self._draws.users] = True
        # It draws what the users of a step share; of the open users it reads nothing.
        self._outer = OuterLoss(
            self.learner,
            self.head,
            EpisodeLoader(open_graph, sampler=self.sampler, k_max=k_max),
            adapted_share=adapted_share,
        )
        parameters = dict(self.learner.encoder.named_parameters())
        self._trained = {name: parameters[name] for name in self.learner.adapted_names}
        self._optimizer = torch.optim.Adam(self._trained.values(), lr=lr)
        self._average = WeightAverage(self._trained)

    def run(self, generator: torch.Generator) -> None:
        """Take all steps.

        Args:
            generator: Draws users, supports, neighbours and noise; unknown to whoever gets the
                model.
        """
        self.learner.train()
        for _ in range(self.release.n_times):
            self._optimizer.zero_grad()
            draw = self._outer.draw(generator)
            heard = torch.rand(self._n_private, generator=generator) < self.release.sampling_rate
            total = self.clipped_gradient(heard.nonzero().flatten(), draw, generator)
            expected = self.release.sampling_rate * self._n_private
            for name, parameter in self._trained.items():
                parameter.grad = (total[name] + self._noise(parameter, generator)) / expected
            self._optimizer.step()
            self._average.note_step()
        self.learner.eval()
        self._average.use()

    def clipped_gradient(
        self, users: Tensor, draw: OuterDraw, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the sum of the users' clipped gradients, without noise.

        Args:
            users: Rows of the private graph; those with fewer than two items add nothing.
            draw: What they share.
            generator: Draws supports and neighbours.

        Shapes:
            users: int64, `[n_users]`.
            output: float32, `[*parameter_shape]` for each trained parameter.
        """
        device = self.head.bias.device
        total = {name: torch.zeros_like(weight) for name, weight in self._trained.items()}
        for some in users[self._has_items[users]].split(AT_ONCE):
            if not len(some):
                continue
            support, seen = self._draws.draw(
                some, draw.k, in_order=draw.in_order, generator=generator
            )
            episodes = self.sampler.sample(support, generator=generator).to(device)
            gradients = user_gradients(
                self.learner,
                self.head,
                episodes,
                seen.to_dense(self.sampler.num_items).to(device),
                is_adapted=draw.is_adapted,
                generator=generator,
            )
            for name, found in clipped_sum(gradients, self.clip).items():
                total[name] += found
        return total

    def _noise(self, parameter: Tensor, generator: torch.Generator) -> Tensor:
        if not self.release.noise:
            return torch.zeros_like(parameter)
        drawn = torch.randn(parameter.shape, generator=generator)
        return self.release.noise * self.clip * drawn.to(parameter.device)

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the trained weights."""
        return {name: weight.detach().clone() for name, weight in self._trained.items()}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Go back to what `weights` returned."""
        for name, weight in self._trained.items():
            weight.copy_(weights[name])

"""What every learner shares: an encoder, the weights that adapt, and how users are scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.meta.query_loss import query_loss
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.sampled_items import SampledItems

FastWeights = dict[str, Tensor]
# Where adaptation finds the user's embedding itself, its name among the fast weights.
USER = "user"


class Learner(nn.Module, ABC):
    """Adapts an encoder to each user: a support goes in, fast weights come out.

    The shared weights are never changed by adaptation: fast weights are tensors of their own,
    one row per user, and go through the encoder by `torch.func.functional_call`.

    A learner of your own says how to `adapt`. All else has a default here: it adapts
    (`is_adaptive`), to a single edge (`min_support`), and is scored by the encoder with the fast
    weights. These may be rows of the encoder's parameters, the user's embedding itself under the
    name "user", or anything else that its `score` reads.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        adapt: Patterns (as in `fnmatch`) of the parameter names to adapt; may be empty for a
            learner whose fast weights are not the encoder's.
        is_batched: Run all users at once with `vmap`; otherwise one after the other, for
            encoders whose operations `vmap` cannot batch.

    Raises:
        ConfigError: A pattern matches no parameter, or the encoder has none.
    """

    def __init__(
        self, encoder: nn.Module, *, adapt: Sequence[str] = (), is_batched: bool = True
    ) -> None:
        super().__init__()
        names = [name for name, _ in encoder.named_parameters()]
        if not names:
            raise ConfigError(f"{type(encoder).__name__} has no parameters; nothing could adapt")
        for pattern in adapt:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ConfigError(
                    f"adapt pattern {pattern!r} matches no parameter; some names: {names[:5]}"
                )
        self.encoder = encoder
        self.adapted_names = [n for n in names if any(fnmatchcase(n, p) for p in adapt)]
        self.is_batched = is_batched

    @property
    def is_adaptive(self) -> bool:
        """False where `adapt` would return the shared weights for every user."""
        return True

    @property
    def min_support(self) -> int:
        """The fewest edges that `adapt` learns from; with fewer, users keep the shared weights."""
        return 1

    @abstractmethod
    def adapt(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        *,
        generator: torch.Generator | None = None,
    ) -> FastWeights:
        """Return each user's own weights, from the shared ones and the user's support.

        Args:
            episodes: The users' subgraphs.
            head: Embeds the nodes and scores the catalogue.
            generator: For learners that draw.
        """

    def outer_loss(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        seen: Tensor,
        *,
        is_adapted: bool,
        sampled: SampledItems | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return what meta-training descends: by default the `query_loss` of the scores.

        Args:
            episodes: Training users, each with some of the own items as support.
            head: Embeds the nodes and scores the catalogue.
            seen: Each user's whole row; what is not support is the query.
            is_adapted: Score the users after adaptation; otherwise with the shared weights.
            sampled: Items that stand for the catalogue, all that the users have seen among them;
                `seen` then has their columns alone. None for the catalogue.
            generator: For learners that draw.

        Shapes:
            seen: float32, `[n_episodes, n_items]`; ones at support and query items.
            output: a number.
        """
        if is_adapted:
            fast = self.adapt(episodes, head, generator=generator)
        else:
            fast = self.shared_weights(len(episodes))
        return self.query_loss(episodes, fast, head, seen, sampled)

    def query_loss(
        self,
        episodes: EpisodeBatch,
        fast: FastWeights,
        head: CatalogueHead,
        seen: Tensor,
        sampled: SampledItems | None = None,
    ) -> Tensor:
        """Return the `query_loss` of the scores with these weights; arguments as `outer_loss`."""
        scores = self.score(episodes, fast, head, None if sampled is None else sampled.item)
        support, weight = episodes.support, head.query_weight
        return query_loss(scores, support, seen, weight=weight, sampled=sampled)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: the learner's own few numbers move ten times as fast."""
        encoder = [*self.encoder.parameters()]
        known = {id(parameter) for parameter in encoder}
        own = [parameter for parameter in self.parameters() if id(parameter) not in known]
        groups = [{"params": encoder, "lr": lr}, {"params": own, "lr": 10 * lr}]
        return [group for group in groups if group["params"]]

    def shared_weights(self, n_episodes: int) -> FastWeights:
        """Return the adapted parameters before adaptation, one row per episode.

        Shapes:
            output: `[n_episodes, *parameter_shape]` for each adapted parameter.
        """
        parameters = dict(self.encoder.named_parameters())
        return {
            n: parameters[n].unsqueeze(0).expand(n_episodes, *parameters[n].shape)
            for n in self.adapted_names
        }

    def encode(
        self, episodes: EpisodeBatch, fast: FastWeights, x_dict: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the users' embeddings, each from the encoder with that user's weights.

        Relation features are passed on to an encoder whose `edge_dim` asks for them. One that
        `trims_to_user` is told the size of the support, so that it need not embed all nodes.

        Args:
            episodes: The users' subgraphs.
            fast: Each user's own weights; without any the shared ones count.
            x_dict: The inputs of the encoder.

        Shapes:
            x_dict: float32, `[n_episodes, n_nodes_of_type, c]`.
            output: float32, `[n_episodes, out_channels]`.

        Raises:
            EncoderError: The encoder cannot be batched, or does not embed the users.
        """
        inputs: list[dict[Any, Tensor]] = [dict(x_dict), dict(episodes.edge_index_dict)]
        if getattr(self.encoder, "edge_dim", 0):
            inputs.append(dict(episodes.edge_attr_dict))

        options = {}
        if getattr(self.encoder, "trims_to_user", False):
            options["support_size"] = episodes.support.item_index.size(1)

        def run(weights: FastWeights, arguments: list[dict[Any, Tensor]]) -> Tensor:
            if weights:
                out = functional_call(self.encoder, weights, tuple(arguments), options)
            else:
                out = self.encoder(*arguments, **options)
            return _user_of(out, self.encoder)[0]

        if not self.is_batched:
            each = [
                run({n: w[i] for n, w in fast.items()}, [_row(part, i) for part in inputs])
                for i in range(len(episodes))
            ]
            return torch.stack(each)
        try:
            z: Tensor = vmap(run, randomness="different")(fast, inputs)
        except RuntimeError as error:
            raise EncoderError(
                f"{type(self.encoder).__name__} failed on a batch of users ({error}); its "
                f"input width must be the {next(iter(x_dict.values())).size(-1)} channels "
                "of the item table; if it is, pass is_batched=False for the slower loop"
            ) from error
        return z

    def _for_head(self, z: Tensor, head: CatalogueHead) -> Tensor:
        """Return the embeddings, which must be as wide as the items'; `[n_episodes, channels]`."""
        channels = head.table.channels
        if z.size(-1) != channels:
            raise EncoderError(
                f"{type(self.encoder).__name__} embeds a user in {z.size(-1)} numbers, not in "
                f"channels={channels}; make its output as wide as the item embeddings"
            )
        return z

    def embed(self, episodes: EpisodeBatch, fast: FastWeights, head: CatalogueHead) -> Tensor:
        """Return the users' embeddings that the head scores: the fast weights', or the encoder's.

        Args:
            episodes: The users' subgraphs.
            fast: Each user's own weights; without any the shared ones count.
            head: Embeds the nodes.

        Shapes:
            output: float32, `[n_episodes, channels]`.

        Raises:
            EncoderError: As `encode`, or the embeddings are not as wide as the items'.
        """
        if USER in fast and USER not in self.adapted_names:
            return fast[USER]
        return self._for_head(self.encode(episodes, fast, head.x_dict(episodes)), head)

    def score(
        self,
        episodes: EpisodeBatch,
        fast: FastWeights,
        head: CatalogueHead,
        items: Tensor | None = None,
    ) -> Tensor:
        """Return the catalogue's scores, or some items', for each episode's user.

        Args:
            episodes: The users' subgraphs.
            fast: Each user's own weights; without any the shared ones count.
            head: Embeds the nodes and scores the catalogue.
            items: The only items to score, distinct and ascending; None for the catalogue.

        Shapes:
            items: int64, `[m]`.
            output: float32, `[n_episodes, n_items]`, or `[n_episodes, m]`.
        """
        scores: Tensor = head(self.embed(episodes, fast, head), episodes, items)
        return scores


def _user_of(out: object, encoder: nn.Module) -> Tensor:
    """Return the users' embeddings among an encoder's output; `[n_users, out_channels]`."""
    name, wanted = type(encoder).__name__, "return {'user': [n_users, channels], ...}"
    if not isinstance(out, Mapping):
        raise EncoderError(f"{name} returned a {type(out).__name__}, not a dict; {wanted}")
    if "user" not in out:
        raise EncoderError(f"{name} returned node types {list(out)} without 'user'; {wanted}")
    user = out["user"]
    if not isinstance(user, Tensor):
        raise EncoderError(
            f"{name} returned a {type(user).__name__} for 'user', not a tensor; {wanted}"
        )
    if user.dim() != 2:
        raise EncoderError(f"{name} returned users in {user.dim()} dimensions, not in 2; {wanted}")
    return user


def _row(part: Mapping[Any, Tensor], i: int) -> dict[Any, Tensor]:
    return {name: value[i] for name, value in part.items()}

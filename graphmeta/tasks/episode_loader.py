"""Batches of training episodes, epoch by epoch, for any training loop."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.domains import domain_of
from graphmeta.data.fake_clicks import with_clicks
from graphmeta.data.links import has_links
from graphmeta.data.weighted_draw import draw_distinct
from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.episode import RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.seen_items import SeenItems
from graphmeta.tasks.support_draws import SupportDraws


class EpisodeLoader(IterableDataset[tuple[EpisodeBatch, Tensor]]):
    """Yields episodes of training users with their whole rows, each user once per epoch.

    A batch draws one k, log-uniform in 1 to `k_max` (0 in one batch out of ten where users have
    features or links). k items of a user, random ones or, where edges have times, the first ones,
    as new users will show them, become the support; what else is in the user's row is the query.
    At least one item is left for it, so users with a single item are left out. The user's own node
    is not sampled.

    Iterating again gives the next epoch. A batch is a function of `seed`, the epoch and its number
    in the epoch alone. So `DataLoader(loader, batch_size=None, num_workers=2)` gives the same
    batches, sampled ahead; its workers have copies, so call `set_epoch` before each pass.

    Args:
        graph: The training graph.
        sampler: Samples that graph; None for an `EpisodeSampler` as it is by default.
        batch_size: Users per batch; the last one may be smaller.
        k_max: Largest support.
        support_share: None for few shots, as above. A number trains as an auto-encoder is
            trained: users show this share of their items, at random, up to `k_max`.
        random_share: Share of the batches, 0 to 1, whose supports are random items although edges
            have times.
        shilled_share: In this share of the batches, 0 to 1, every support is followed by a click
            that its user never made, so that training learns what little a single edge may be
            worth. Its item is drawn from those the user has not, by popularity to a power that is
            uniform in 0 to 1; the query stays true.
        new_domain_share: In this share of the batches, 0 to 1, every user is known in other domains
            and new in one, a random one of the user's: the support is of the others' items as far
            as they go. Items need domains (`data.with_domains`).
        seed: Draws the order of the users, supports and neighbours.

    Shapes:
        yields: an `EpisodeBatch`, and `seen`, float32, `[n_episodes, n_items]`; ones at support and
            query items.

    Raises:
        ConfigError: A number is out of its range.
        DataError: No user has two items, or the sampler is of another graph.
    """

    def __init__(
        self,
        graph: HeteroData,
        *,
        sampler: EpisodeSampler | None = None,
        batch_size: int = 128,
        k_max: int = 10,
        support_share: float | None = None,
        random_share: float = 0.0,
        shilled_share: float = 0.0,
        new_domain_share: float = 0.0,
        seed: int = 0,
    ) -> None:
        if min(batch_size, k_max) < 1:
            raise ConfigError(f"batch_size={batch_size} and k_max={k_max} must be at least 1")
        if support_share is not None and not 0 < support_share < 1:
            raise ConfigError(
                f"support_share={support_share} must be above 0 and below 1, or None for few shots"
            )
        for name, share in (
            ("random_share", random_share),
            ("shilled_share", shilled_share),
            ("new_domain_share", new_domain_share),
        ):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name}={share} must be in 0..1")
        if new_domain_share:
            domain_of(graph)
        sampler = EpisodeSampler(graph) if sampler is None else sampler
        size = (int(graph["user"].num_nodes), int(graph["item"].num_nodes))
        if size != (sampler.num_users, sampler.num_items):
            raise DataError(
                f"the sampler is of a graph of {sampler.num_users} users and {sampler.num_items} "
                f"items, but this one has {size[0]} and {size[1]}; make it from the same graph"
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.k_max = k_max
        self.support_share = support_share
        self.random_share = random_share
        self.shilled_share = shilled_share
        self.new_domain_share = new_domain_share
        self.seed = seed
        self.epoch = 0
        self._k_min = 0 if "x" in graph["user"] or has_links(graph) else 1
        self._draws = SupportDraws(graph)
        self._popularity = graph[RATES].edge_index[1].bincount(minlength=size[1]).clamp(min=1)

    def __len__(self) -> int:
        return math.ceil(len(self.users) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[EpisodeBatch, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._batches(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch` the next one; the same epoch gives the same batches again."""
        self.epoch = epoch

    @property
    def users(self) -> Tensor:
        """Rows of the users with at least two items; int64, `[n_users]`."""
        return self._draws.users

    @property
    def is_timed(self) -> bool:
        """True where supports are the first items in time, but for a `random_share` of them."""
        return self._draws.is_timed and self.support_share is None

    @property
    def share(self) -> float:
        """The most of their items that users show: all but one for few shots."""
        return 1.0 if self.support_share is None else self.support_share

    @property
    def n_items(self) -> Tensor:
        """How many items each user of the graph has; int64, `[n_users_of_graph]`."""
        return self._draws.n_items

    def settings(self) -> dict[str, object]:
        """Return what sets the batches, but for the generator, in words and numbers."""
        names = ("batch_size", "k_max", "support_share", "random_share", "shilled_share")
        return {
            **{name: getattr(self, name) for name in (*names, "new_domain_share")},
            "num_neighbors": self.sampler.num_neighbors,
            "a training graph with the hash": self._draws.fingerprint(),
        }

    def user_batches(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return all users in a random order, cut into batches.

        Shapes:
            output: int64, `[batch_size]` each; the last may be shorter.
        """
        order = self.users[torch.randperm(len(self.users), generator=generator)]
        return order.split(self.batch_size)

    def support_size(self, draw: float) -> int:
        """Return k for a number that is uniform in 0 to 1."""
        if self.support_share is not None:
            return self.k_max
        if self._k_min == 0 and draw < 0.1:
            return 0
        return min(self.k_max, int(math.exp(draw * math.log(self.k_max + 1))))

    def in_order(self, generator: torch.Generator) -> bool:
        """Return whether the supports of a batch are the first items in time, not random ones."""
        # What new users show is what comes first; where nothing tells, any items.
        if not (self.is_timed and self.random_share):
            return self.is_timed
        return float(torch.rand(1, generator=generator)) >= self.random_share

    def load(
        self, users: Tensor, k: int, *, in_order: bool, generator: torch.Generator
    ) -> tuple[EpisodeBatch, Tensor]:
        """Return the episodes of some users, and their whole rows.

        Args:
            users: Rows of the training graph.
            k: Support size; users with k items or fewer show all but one.
            in_order: Take the first items in time, not random ones.
            generator: Draws who arrives in a domain, supports, clicks, then neighbours.

        Shapes:
            users: int64, `[n_episodes]`.
            output: an `EpisodeBatch`, and float32, `[n_episodes, n_items]`.
        """
        episodes, seen = self.draw(users, k, in_order=in_order, generator=generator)
        return episodes, seen.to_dense(self.sampler.num_items)

    def draw(
        self, users: Tensor, k: int, *, in_order: bool, generator: torch.Generator
    ) -> tuple[EpisodeBatch, SeenItems]:
        """Return the same as `load`, with the users' items as a list and not as rows."""
        arrives = False
        if self.new_domain_share:
            arrives = float(torch.rand((), generator=generator)) < self.new_domain_share
        support, seen = self._draws.draw(
            users, k, in_order=in_order, generator=generator, share=self.share, arrives=arrives
        )
        if self.shilled_share and k:
            support = self._perhaps_shilled(support, seen, generator)
        return self.sampler.sample(support, generator=generator, own_user=users), seen

    def _perhaps_shilled(
        self, support: Support, seen: SeenItems, generator: torch.Generator
    ) -> Support:
        """Return the support, in a share of the batches with a click that was not the user's."""
        draw, power = torch.rand(2, generator=generator).tolist()
        if draw >= self.shilled_share:
            return support
        weight = self._popularity.float().pow(power)
        is_known = seen.to_dense(len(weight)) > 0
        clicked = draw_distinct(weight, is_known, n=1, generator=generator)
        return with_clicks(support, clicked)

    def _batches(self, epoch: int) -> Iterator[tuple[EpisodeBatch, Tensor]]:
        batches = self.user_batches(self._generator(f"{epoch}"))
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number in range(first, len(batches), step):
            generator = self._generator(f"{epoch},{number}")
            k = self.support_size(float(torch.rand((), generator=generator)))
            in_order = self.in_order(generator)
            yield self.load(batches[number], k, in_order=in_order, generator=generator)

    def _generator(self, of: str) -> torch.Generator:
        digest = hashlib.blake2b(f"{self.seed},{of}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)

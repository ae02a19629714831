"""What an attack does to a fitted method: to its rankings, and to who is pushed into them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Self, get_args

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data import ColdUsers
from graphmeta.data.fake_clicks import own_items, with_clicked_users
from graphmeta.data.shilling import Fillers, inject_profiles
from graphmeta.data.weighted_draw import draw_distinct
from graphmeta.errors import ConfigError
from graphmeta.ranking import Scorer, evaluate

CLICKS = ("none", "random", "popular", "target", "worst")
# Clicks that the worst one is chosen from.
N_TRIED = 10
SHOWN = "ndcg@10"


@dataclass(frozen=True)
class Attack:
    """Fake users in the training graph; none where `share` is 0.

    Args:
        fillers: As of `inject_profiles`.
        share: Fake users for each real one.
    """

    fillers: Fillers
    share: float

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the attack that is written as `bandwagon:0.2`.

        Raises:
            ConfigError: It is written otherwise.
        """
        name, _, share = text.partition(":")
        for fillers in get_args(Fillers):
            with contextlib.suppress(ValueError):
                if name == fillers and 0 < float(share) <= 1:
                    return cls(fillers, float(share))
        raise ConfigError(
            f"attack {text!r} must be written as in 'bandwagon:0.2': one of {get_args(Fillers)}, "
            "and the fake users for each real one, up to 1"
        )

    def on(self, train: HeteroData, targets: Tensor, *, profile_size: int, seed: int) -> HeteroData:
        """Return the attacked training graph."""
        if not self.share:
            return train
        return inject_profiles(
            train,
            targets,
            fillers=self.fillers,
            share=self.share,
            profile_size=profile_size,
            seed=seed,
        )

    def __str__(self) -> str:
        """Return how it is written."""
        return f"{self.fillers}:{self.share:g}" if self.share else "clean"


def measured(
    scorer: Scorer,
    users: ColdUsers,
    targets: Tensor,
    *,
    k: int,
    click: str = "none",
    seed: int = 0,
) -> pd.DataFrame:
    """Return each user's NDCG@10, and whether the ten best hold a pushed item.

    Args:
        scorer: A fitted method.
        users: Held-out users.
        targets: Rows of the pushed items.
        k: What users show, before the click.
        click: What they click by mistake, which is "none", a "random" item, a "popular" one (drawn
            by popularity), a pushed "target", or the "worst" of ten (drawn by the square root of
            the popularity): the one after which the user's NDCG@10 is lowest, as an adversary
            would choose who knew the query.
        seed: Draws clicks and breaks ties.

    Shapes:
        targets: int64, `[n_targets]`.

    Returns:
        Columns `user`, `ndcg@10` and `hit`, a row per user.
    """
    if click == "none":
        return _figures(scorer, users, targets, k, seed)
    tried = [
        _figures(scorer, with_clicked_users(users, items, k=k), targets, k + 1, seed)
        for items in _clicked(users, targets, click, seed).split(1, dim=1)
    ]
    every = pd.concat(tried, ignore_index=True)
    return every.loc[every.groupby("user", sort=False)[SHOWN].idxmin()].reset_index(drop=True)


def _clicked(users: ColdUsers, targets: Tensor, click: str, seed: int) -> Tensor:
    """Return items to click, or to try; int64, `[n_users, n]`."""
    power = {"popular": 1.0, "worst": 0.5}.get(click, 0.0)
    weight = users.item_count.clamp(min=1).float().pow(power)
    if click == "target":
        # Who has them all already clicks something else.
        weight = torch.full_like(weight, 1e-12)
        weight[targets] = 1.0
    generator = torch.Generator().manual_seed(seed)
    n = N_TRIED if click == "worst" else 1
    return draw_distinct(weight, own_items(users), n=n, generator=generator)


def _figures(scorer: Scorer, users: ColdUsers, targets: Tensor, k: int, seed: int) -> pd.DataFrame:
    report = evaluate(scorer, users, k=(k,), seed=seed)
    best = report.rankings[report.rankings["rank"] <= 10]
    is_pushed = best["item"].isin(users.item_ids.to_ids(targets))
    hit = is_pushed.groupby(best["user"]).any()
    found = report.per_user[["user", SHOWN]]
    return found.assign(hit=hit.loc[found["user"]].to_numpy().astype(float))

"""What recommendations do to the catalogue: how much of it, how evenly, how known."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.ranking.long_tail import long_tail


def catalogue_metrics(best: Tensor, item_count: Tensor, n_train_users: int) -> dict[str, float]:
    """Return coverage, Gini, popularity, novelty and long-tail share of all users' top 10.

    - coverage: share of the catalogue that is recommended to at least one user.
    - Gini: inequality of the recommendation counts `c` over the whole catalogue of n items,
      `sum_i (2 i - n - 1) c_(i) / (n sum_i c_i)` with `c` ascending; 0 is even, near 1 is all
      to one item.
    - popularity: mean share of the training users that have the recommended item.
    - novelty: mean `-log2((count + 1) / (n_train_users + 2))`, the share smoothed by one user
      with the item and one without, so that an item that nobody has is finite.
    - tail share: share of the recommendations that are items of the `long_tail`.

    Args:
        best: Items of each user, best first.
        item_count: Training users of each item of the catalogue.
        n_train_users: Training users in all.

    Shapes:
        best: int64, `[n_users, 20]`; the first ten columns count, fewer in a small catalogue.
        item_count: int64, `[n_items]`.
    """
    top = best[:, :10].flatten()
    n_items = len(item_count)
    count = torch.bincount(top, minlength=n_items).double()
    place = torch.arange(1, n_items + 1, dtype=torch.float64)
    inequality = ((2 * place - n_items - 1) * count.sort().values).sum()
    known = item_count.double()
    novelty = -((known + 1) / (n_train_users + 2)).log2()
    return {
        "coverage@10": float((count > 0).double().mean()),
        "gini@10": float(inequality / (n_items * count.sum())),
        "popularity@10": float(known[top].mean() / n_train_users),
        "novelty@10": float(novelty[top].mean()),
        "tail_share@10": float(long_tail(item_count)[top].double().mean()),
    }

"""What do new users lose when training users get differential privacy, and what do attacks find?

Run it with `python -m graphmeta.experiments.privacy`, or for a data set that has a card with
`--data ml-1m --data-root FOLDER`. A few training users are open, all others private
(`graphmeta.privacy`). Test users are ranked for, and serve as non-members of the attack.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from graphmeta.data import ColdSplit, ColdUsers
from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.split import cold_users, history_order
from graphmeta.errors import ConfigError
from graphmeta.experiments.fitted_splits import fitted_splits, made_by, run_report, split_options
from graphmeta.experiments.kept_frame import kept_frame
from graphmeta.experiments.privacy_report import EVERYBODY, OPEN, draw, report, under
from graphmeta.privacy import PrivateTraining, open_users, part_users, user_losses
from graphmeta.ranking import ColdStartRecommender, evaluate

PROGRAM = "graphmeta.experiments.privacy"
SIZES = (1, 3, 5, 10)
# What decides the figures of a way to train, beside the split.
OPTIONS = ("epochs", "open_share", "open_epochs", "min_steps", "private_steps")
# Members to attack in each split, about as many as there are test users.
N_MEMBERS = 400
# Validation users of each split, who are open: they choose what costs nothing of the budget.
N_VALIDATION = 150


def main(argv: list[str] | None = None) -> int:
    """Train, attack, print tables and return the exit code: 2 where that cannot be done."""
    parser = split_options(PROGRAM)
    parser.add_argument(
        "--epsilons", type=float, nargs="+", default=[1, 2, 4, 8, math.inf], help="budgets"
    )
    parser.add_argument("--open-share", type=float, default=0.02, help="of the training users")
    parser.add_argument("--open-epochs", type=int, default=2, help="training on open users")
    parser.add_argument("--min-steps", type=int, default=25, help="least steps of such an epoch")
    parser.add_argument("--private-steps", type=int, default=20, help="steps under noise")
    parser.add_argument("--kept", type=Path, help="keep figures in this folder, go on from them")
    typed = parser.parse_args(argv)

    def text() -> str:
        found = pd.concat([part for split in _splits(typed) for part in split], ignore_index=True)
        picture = draw(found, typed.out) if typed.out is not None else None
        return report(found, picture, made_by(PROGRAM, argv))

    return run_report(typed, text)


def _splits(typed: argparse.Namespace) -> Iterator[Iterator[pd.DataFrame]]:
    if not all(epsilon > 0 for epsilon in typed.epsilons):
        raise ConfigError(f"--epsilons {typed.epsilons} must be above 0")
    for split, everybody in fitted_splits(typed):
        yield _figures(split, everybody, typed)


def _figures(
    split: ColdSplit, everybody: ColdStartRecommender, typed: argparse.Namespace
) -> Iterator[pd.DataFrame]:
    """Yield the figures of each way to train on a split."""
    is_open = open_users(split.train, typed.open_share, seed=split.seed)
    graph, private = part_users(split.train, is_open)
    members = members_of(split, ~is_open)
    validation = split.validation.select(torch.arange(min(N_VALIDATION, len(split.validation))))
    ways: dict[str, float] = {EVERYBODY: math.inf, OPEN: 0.0}
    ways |= {under(epsilon): epsilon for epsilon in typed.epsilons}
    about = [typed.data, typed.data_root, *(getattr(typed, option) for option in OPTIONS)]

    def figures(name: str, epsilon: float) -> pd.DataFrame:
        model, spent = everybody, epsilon
        if name != EVERYBODY:
            model = ColdStartRecommender(
                epochs=typed.open_epochs, min_steps=typed.min_steps, seed=split.seed
            )
        if name == OPEN:
            model.fit(graph, validation)
        elif name != EVERYBODY:
            training = PrivateTraining(
                epsilon=epsilon, n_steps=typed.private_steps, noise_seed=split.seed
            )
            fitted = training.fit(model, graph, private, validation)
            model, spent = fitted.model, fitted.epsilon
        return figures_of(model, split, members).assign(
            seed=split.seed, method=name, epsilon=spent, n_open=int(is_open.sum())
        )

    for name, epsilon in ways.items():
        begins = f"{split.seed}-{name.replace(' ', '-')}"
        yield kept_frame(typed.kept, begins, about, partial(figures, name, epsilon))


def figures_of(model: ColdStartRecommender, split: ColdSplit, members: ColdUsers) -> pd.DataFrame:
    """Return what a model does for test users, and its losses on them and on members.

    Returns:
        A row per user: user, is_member, loss, and the NDCG@10 of test users by support size in
        columns named by the size (missing for members).
    """
    sizes = [k for k in SIZES if k <= split.k_max]
    ndcg = evaluate(model, split.test, k=sizes).per_user.pivot(
        index="user", columns="k", values="ndcg@10"
    )
    ndcg.columns = ndcg.columns.map(str)
    parts = []
    for users, is_member in ((members, True), (split.test, False)):
        losses = user_losses(model, users, k=split.k_max).numpy()
        parts.append(
            pd.DataFrame({"user": users.user_ids.ids, "is_member": is_member, "loss": losses})
        )
    ranked = parts[1].merge(ndcg, left_on="user", right_index=True, validate="1:1")
    return pd.concat([parts[0], ranked], ignore_index=True)


def members_of(split: ColdSplit, is_private: torch.Tensor) -> ColdUsers:
    """Return some private users, with first items and query cut as those of test users are."""
    train = split.train
    rows = is_private.nonzero().flatten()
    generator = torch.Generator().manual_seed(split.seed)
    some = torch.zeros_like(is_private)
    some[rows[torch.randperm(len(rows), generator=generator)[:N_MEMBERS]]] = True
    edges = some[train[FORWARD].edge_index[0]].nonzero().flatten().numpy()
    order = history_order(train, edges, split.seed, in_time="time" in train[FORWARD])
    every_item = np.arange(int(train["item"].num_nodes))
    return cold_users(train, order, every_item, train=train, k_max=split.k_max, name="private")


if __name__ == "__main__":
    sys.exit(main())

"""What every way of asking offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData


@dataclass(frozen=True)
class Answers:
    """What a batch of users answered to "do you know and like this item?".

    Shapes:
        asked: bool, `[n_users, n_items]`.
        known: bool, `[n_users, n_items]`; those that the user said yes to, all of them asked.
            An item asked and not known is a "don't know".
    """

    asked: Tensor
    known: Tensor

    @staticmethod
    def none(n_users: int, n_items: int) -> Answers:
        """Return those of users who were asked nothing."""
        nothing = torch.zeros(n_users, n_items, dtype=torch.bool)
        return Answers(nothing, nothing.clone())

    def __len__(self) -> int:
        return len(self.asked)

    def to(self, question: Tensor, is_known: Tensor) -> Answers:
        """Return the answers with one more each.

        Shapes:
            question: int64, `[n_users]`; rows of the catalogue.
            is_known: bool, `[n_users]`.
        """
        at = question.unsqueeze(1)
        asked = self.asked.scatter(1, at, torch.ones_like(at, dtype=torch.bool))
        return Answers(asked, self.known.scatter(1, at, is_known.unsqueeze(1)))


class Questions(ABC):
    """A way of choosing the next question, fitted to the training users.

    Args:
        graph: The training graph.
    """

    name: ClassVar[str]

    def __init__(self, graph: HeteroData) -> None:
        self.n_items = int(graph["item"].num_nodes)

    @abstractmethod
    def worth(self, answers: Answers) -> Tensor:
        """Return how much each item is worth asking about; those asked do not count.

        Shapes:
            output: float32, `[n_users, n_items]`.
        """

    def next(self, answers: Answers, n: int = 1) -> Tensor:
        """Return the n items most worth asking each user about, the best first.

        Shapes:
            output: int64, `[n_users, n]`.
        """
        return self.worth(answers).masked_fill(answers.asked, -torch.inf).topk(n).indices

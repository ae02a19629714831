"""Ways of asking against what they are defined by."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.ask import (
    QUESTIONS,
    AdaptiveQuestions,
    Answers,
    DecisionTreeQuestions,
    EntropyQuestions,
    GreedyQuestions,
    PopularityEntropyQuestions,
    PopularityQuestions,
    RandomQuestions,
)
from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.scipy_matrix import to_scipy


@pytest.fixture(scope="module")
def graph() -> HeteroData:
    return from_frame(planted_interactions(), rating="rating")


def asked(n_items: int, known: list[int], unknown: list[int], n_users: int = 1) -> Answers:
    answers = Answers.none(n_users, n_items)
    answers.asked[:, known + unknown] = True
    answers.known[:, known] = True
    return answers


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_no_question_comes_twice(graph: HeteroData, name: str) -> None:
    questions = QUESTIONS[name](graph)
    answers = Answers.none(3, 100)
    generator = torch.Generator().manual_seed(0)
    for n in range(12):
        question = questions.next(answers)[:, 0]
        assert not bool(answers.asked.gather(1, question.unsqueeze(1)).any())
        answers = answers.to(question, torch.rand(3, generator=generator) < 0.5)
        assert answers.asked.sum(1).tolist() == [n + 1] * 3
    several = questions.next(answers, 5)
    assert all(len(set(row.tolist())) == 5 for row in several)
    assert not bool(answers.asked.gather(1, several).any())
    assert questions.worth(answers).shape == (3, 100)


def test_lists(graph: HeteroData) -> None:
    matrix = to_scipy(graph)
    popularity = np.asarray(matrix.sum(0)).ravel()
    nobody = Answers.none(1, 100)
    first = PopularityQuestions(graph).next(nobody, 3)[0].numpy()
    assert popularity[first].min() >= np.sort(popularity)[-3]
    # Ratings of five kinds and "don't know".
    item = int(first[0])
    ratings = to_scipy(graph, ratings=True)[:, [item]].toarray().ravel()
    share = np.unique(ratings, return_counts=True)[1] / 200
    entropy = EntropyQuestions(graph).order
    assert float(entropy[item]) == pytest.approx(-(share * np.log(share)).sum(), rel=1e-5)
    both = PopularityEntropyQuestions(graph).order
    assert float(both[item]) == pytest.approx(np.log1p(popularity[item]) * float(entropy[item]))
    one, other = (RandomQuestions(graph, seed=seed).next(nobody, 100) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_the_greedy_list_asks_different_people() -> None:
    # Items a and b are known to the same four users, c to two others.
    rows = [(u, i) for u in range(4) for i in ("a", "b")] + [(u, "c") for u in (4, 5, 6)]
    graph = from_frame(pd.DataFrame(rows, columns=["user", "item"]))
    nobody = Answers.none(1, 3)
    ids = graph["item"].id_map
    assert list(ids.to_ids(GreedyQuestions(graph).next(nobody, 3)[0])) == ["a", "c", "b"]
    assert list(ids.to_ids(PopularityQuestions(graph).next(nobody, 3)[0]))[-1] == "c"


def test_the_posterior_is_that_of_the_joint_gaussian(graph: HeteroData) -> None:
    questions = AdaptiveQuestions(graph, n_factors=6)
    known, unknown = [3, 7], [20, 41, 60]
    mean, covariance = questions.posterior(asked(100, known, unknown))
    prior = torch.linalg.inv(questions.precision.double())
    f = questions.factors[[*known, *unknown]].double()
    y = torch.tensor([1.0, 1, 0, 0, 0]).double()
    noise = questions.noise[[*known, *unknown]].double()
    # Conditioning of a joint Gaussian, by the gain matrix.
    gain = prior @ f.T @ torch.linalg.inv(f @ prior @ f.T + noise.diag())
    m = questions.mean.double()
    torch.testing.assert_close(mean[0].double(), m + gain @ (y - f @ m), atol=1e-3, rtol=1e-3)
    wanted = prior - gain @ f @ prior
    torch.testing.assert_close(covariance[0].double(), wanted, atol=1e-3, rtol=1e-3)


def test_the_worth_is_what_an_answer_takes_from_the_variance(graph: HeteroData) -> None:
    questions = AdaptiveQuestions(graph, n_factors=6, power=0.0)
    before = asked(100, [3], [20])
    worth = questions.worth(before)[0]

    def total(answers: Answers) -> float:
        f = questions.factors.double()
        return float(((f @ questions.posterior(answers)[1][0].double()) * f).sum())

    for item in (0, 5, 33):
        after = asked(100, [3], [20, item])
        assert float(worth[item]) == pytest.approx(total(before) - total(after), rel=0.02)


def test_yes_raises_the_own_group(graph: HeteroData) -> None:
    questions = AdaptiveQuestions(graph)
    ids = graph["item"].id_map
    group = torch.tensor([int(str(i)[1:]) % 4 for i in ids.ids])
    own = (group == 1).nonzero().flatten()
    mean, _ = questions.posterior(asked(100, own[:3].tolist(), []))
    likely = (questions.factors @ mean[0]) - (questions.factors @ questions.mean)
    assert float(likely[group == 1].mean()) > float(likely[group != 1].mean()) + 0.02


def test_the_tree_splits_by_squared_error(graph: HeteroData) -> None:
    matrix = to_scipy(graph).toarray()

    def error(users: np.ndarray) -> float:
        rows = matrix[users]
        return float(((rows - rows.mean(0)) ** 2).sum()) if len(rows) else 0.0

    def best(users: np.ndarray, free: list[int]) -> int:
        has = {i: users & (matrix[:, i] > 0) for i in free}
        errors = {i: error(h) + error(users & ~h) for i, h in has.items()}
        return min(errors, key=lambda i: errors[i])

    everyone = np.ones(200, dtype=bool)
    questions = DecisionTreeQuestions(graph)
    first = int(questions.next(Answers.none(1, 100))[0, 0])
    assert first == best(everyone, list(range(100)))
    for is_known in (True, False):
        side = (matrix[:, first] > 0) == is_known
        answers = asked(100, [first] if is_known else [], [] if is_known else [first])
        assert int(questions.next(answers)[0, 0]) == best(
            side, [i for i in range(100) if i != first]
        )

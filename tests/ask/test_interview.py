"""An interview in the caller's ids, and simulated ones."""

from pathlib import Path

import pytest
import torch

from graphmeta.ask import QUESTIONS, Answers, Interview, PopularityQuestions, simulate_interviews
from graphmeta.ask.simulate import _halves
from graphmeta.data import ColdSplit, from_frame, planted_interactions, split_cold_users
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.experiments.ask import main
from graphmeta.ranking import ColdStartRecommender


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    return split_cold_users(from_frame(planted_interactions(skew=0.3), time="time"), seed=0)


@pytest.fixture(scope="module")
def model(split: ColdSplit) -> ColdStartRecommender:
    return ColdStartRecommender(channels=8, epochs=2, min_steps=1).fit(split.train)


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_an_interview(model: ColdStartRecommender, name: str) -> None:
    interview = Interview(model, name)
    first = interview.next()[0]
    assert isinstance(first, str)
    after = interview.next(known=[first], n=3)
    assert len(set(after)) == 3
    assert first not in after
    assert interview.next(unknown=[first])[0] != first
    assert interview.next(known=[first], n=3) == after


def test_an_answer_changes_what_is_asked(model: ColdStartRecommender) -> None:
    interview = Interview(model)
    first = interview.next()[0]
    assert interview.next(known=[first], n=10) != interview.next(unknown=[first], n=10)


def test_bad_input(model: ColdStartRecommender, split: ColdSplit) -> None:
    interview = Interview(model, PopularityQuestions(split.train))
    with pytest.raises(UnknownIdError, match="'no'"):
        interview.next(known=["no"])
    with pytest.raises(DataError, match="'i1' is both known and unknown"):
        interview.next(known=["i1"], unknown=["i1", "i2"])
    n_items = len(model.item_ids)
    with pytest.raises(ConfigError, match=rf"n=0 is outside 1\.\.{n_items}"):
        interview.next(n=0)
    with pytest.raises(ConfigError, match="questions='trivia' must be one of"):
        Interview(model, "trivia")
    with pytest.raises(DataError, match="not fitted"):
        Interview(ColdStartRecommender())
    with pytest.raises(ConfigError, match="n_questions=-1"):
        simulate_interviews(model.fitted, interview.questions, split.test, n_questions=-1)
    nobody = split.test.select(torch.arange(0))
    with pytest.raises(DataError, match="no user has 5 items"):
        simulate_interviews(model.fitted, interview.questions, nobody, n_questions=1)


def test_halves_are_apart_and_whole(split: ColdSplit) -> None:
    says, query, kept = _halves(split.test, 100, 0)
    assert not bool((says & query).any())
    for row, user in enumerate(kept.tolist()):
        first = split.test.first.item_index[user]
        items = {*first[first >= 0].tolist(), *split.test.query(user).tolist()}
        assert items == set((says | query)[row].nonzero().flatten().tolist())


def test_simulated_users_are_judged_alike(model: ColdStartRecommender, split: ColdSplit) -> None:
    found = {
        name: simulate_interviews(
            model.fitted, QUESTIONS[name](split.train), split.test, n_questions=4
        )
        for name in ("popularity", "adaptive", "random")
    }
    start = [table[table["n_asked"] == 0]["ndcg@10"].tolist() for table in found.values()]
    assert start[0] == start[1] == start[2]
    for table in found.values():
        assert (table["n_known"] <= table["n_asked"]).all()
        assert table.groupby("user")["n_known"].is_monotonic_increasing.all()
    known = {name: t[t["n_asked"] == 4]["n_known"].mean() for name, t in found.items()}
    assert known["popularity"] > known["random"]


def test_an_oracle_of_questions_helps(model: ColdStartRecommender, split: ColdSplit) -> None:
    says, _, _ = _halves(split.test, 100, 0)

    class Oracle(PopularityQuestions):
        def worth(self, answers: Answers) -> torch.Tensor:
            return says.float()

    found = simulate_interviews(model.fitted, Oracle(split.train), split.test, n_questions=5)
    assert (found["n_known"] == found["n_asked"]).all()
    mean = found.groupby("n_asked")["ndcg@10"].mean()
    assert mean[5] > mean[0] + 0.05


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ask.md"
    words = ["--questions", "10", "--by", "popularity", "decision-tree", "--seeds", "0"]
    assert main([*words, "--epochs", "1", "--out", str(out)]) == 0
    text = out.read_text()
    assert "| decision-tree |" in text
    assert "5 of them less 10 by popularity" in text
    assert "![NDCG@10 by questions](ask.png)" in text
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert main(["--by", "trivia"]) == 2
    assert "--by 'trivia' must be one of" in capsys.readouterr().err
    assert main(["--questions", "-1"]) == 2
    assert "--questions -1 must be 0 or more" in capsys.readouterr().err

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support, from_frame, planted_interactions, split_cold_users
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.ranking import evaluate
from graphmeta.ranking.baselines import MultVAE, Popularity
from graphmeta.ranking.baselines.mult_vae import _draw_support


def test_beats_popularity_where_taste_is_planted():
    split = split_cold_users(from_frame(planted_interactions(600, skew=0.0)), seed=0)
    vae = MultVAE(batch_size=20).fit(split.train)
    found, popular = (
        evaluate(method, split.test, k=(3, 5)).per_user.groupby("k")["ndcg@10"].mean()
        for method in (vae, Popularity().fit(split.train))
    )
    assert (found > 1.25 * popular).all()


def test_scores_by_hand(planted_graph: HeteroData):
    vae = MultVAE(channels=3, num_epochs=1, popularity_weight=0.5).fit(planted_graph)
    w, b, a, a0, v, c = vae._checkpoints.at(1.0)
    hidden = torch.tanh((w[4] + w[7]) / 2**0.5 + b)
    mean = (hidden @ a + a0)[:3]
    expected = mean @ v + c + 0.5 * vae._fitted().log_popularity
    scores = vae.score(Support(torch.tensor([[7, -1, 4]])))
    assert torch.allclose(scores[0], expected, atol=1e-5)


def test_same_seed_same_scores_and_another_seed_others(planted_graph: HeteroData):
    support = Support(torch.tensor([[0, 1], [2, -1]]))
    one, same, other = (
        MultVAE(num_epochs=1, seed=seed).fit(planted_graph).score(support) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_scores_depend_on_the_set_of_own_items_only(planted_graph: HeteroData):
    vae = MultVAE(num_epochs=1).fit(planted_graph)
    batch = vae.score(Support(torch.tensor([[3, 5, 9], [1, -1, -1], [-1, -1, -1]])))
    alone = vae.score(Support(torch.tensor([[9, 3, 5, -1]])))
    assert torch.allclose(batch[0], alone[0], atol=1e-5)
    assert not torch.allclose(batch[0], batch[1])


def test_stopping_early_needs_no_new_fit(planted_graph: HeteroData):
    vae = MultVAE(num_epochs=5, batch_size=200).fit(planted_graph)
    support = Support(torch.tensor([[0, 1]]))
    full = vae.score(support)
    vae.stop_at = 0.2
    assert not torch.allclose(vae.score(support), full)


def test_an_empty_support_is_ranked_by_popularity(planted_graph: HeteroData):
    vae = MultVAE(num_epochs=1, popularity_weight=3.0).fit(planted_graph)
    expected = vae._fitted().log_popularity
    assert torch.equal(vae.score(Support(torch.full((1, 2), -1)))[0], expected)
    assert torch.equal(vae.score(Support(torch.empty(1, 0, dtype=torch.long)))[0], expected)


def test_support_is_drawn_from_the_row_log_uniformly():
    rows = sp.csr_matrix(torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 0, 0]]).float().numpy())
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([_draw_support(rows, 3, generator) for _ in range(4000)])
    size = (drawn >= 0).sum(2)
    # Of k in 1..3, k has probability log((k + 1) / k) / log(4).
    share = torch.bincount(size[:, 0], minlength=4) / len(size)
    assert share.tolist() == pytest.approx([0, 0.5, 0.2925, 0.2075], abs=0.03)
    assert (size[:, 1] == 1).all()
    assert (drawn[:, 1, 0] == 1).all()
    first = torch.bincount(drawn[:, 0, 0], minlength=6) / len(size)
    assert first.tolist() == pytest.approx([0.25, 0, 0.25, 0.25, 0, 0.25], abs=0.03)
    full = drawn[size[:, 0] == 3][:, 0].sort(1).values
    assert (full.diff(dim=1) > 0).all()


def test_support_is_the_start_of_the_row_where_asked():
    indices, indptr = np.array([5, 3, 0, 2, 4]), np.array([0, 4, 5])
    rows = sp.csr_matrix((np.ones(5), indices, indptr), shape=(2, 6))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        first, second = _draw_support(rows, 3, generator, is_random=False).tolist()
        size = sum(item >= 0 for item in first)
        assert first == [*[5, 3, 0][:size], *[-1] * (3 - size)]
        assert second == [4, -1, -1]


def test_first_items_change_the_fit_where_there_are_times():
    frame = planted_interactions(30, 20, 2, per_user=6)
    support = Support(torch.tensor([[0, 1]]))

    def scores(train: HeteroData, **options: bool) -> torch.Tensor:
        return MultVAE(num_epochs=1, **options).fit(train).score(support)

    untimed = from_frame(frame)
    assert scores(untimed).equal(scores(untimed, first_in_time=True))
    timed = from_frame(frame.assign(when=range(len(frame))), time="when")
    assert not scores(timed).equal(scores(timed, first_in_time=True))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"channels": 0}, "channels=0 must be at least 1"),
        ({"k_max": 0}, "k_max=0 must be at least 1"),
        ({"num_epochs": 0}, "num_epochs=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"kl_weight": -1.0}, "kl_weight=-1.0 must be at least 0"),
        ({"lr": 0.0}, "lr=0.0 must be above 0"),
        ({"dropout": 1.0}, "dropout=1.0 must be at least 0 and below 1"),
        ({"averaging": -0.1}, "averaging=-0.1 must be at least 0 and below 1"),
        ({"stop_at": 0.0}, "stop_at=0.0 must be above 0 and at most 1"),
    ],
)
def test_bad_options_are_refused(option: dict[str, float], message: str):
    with pytest.raises(ConfigError, match=message):
        MultVAE(**option)


def test_an_unfitted_scorer_and_an_unknown_item_are_refused(planted_graph: HeteroData):
    with pytest.raises(DataError, match="MultVAE is not fitted"):
        MultVAE().score(Support(torch.tensor([[0]])))
    vae = MultVAE(num_epochs=1).fit(planted_graph)
    with pytest.raises(DataError, match="support item 100 is outside the catalogue"):
        vae.score(Support(torch.tensor([[100]])))


def test_a_diverging_fit_is_refused(planted_graph: HeteroData):
    with pytest.raises(NonFiniteError, match=r"the loss of step .*; lower lr=1000000.0"):
        MultVAE(lr=1e6, num_epochs=5).fit(planted_graph)


def test_one_item_per_user_is_enough_to_fit():
    train = from_frame(planted_interactions(6, 5, 2, per_user=1))
    vae = MultVAE(num_epochs=2).fit(train)
    assert vae.score(Support(torch.tensor([[0]]))).isfinite().all()


def test_search_space_builds_and_names_attributes():
    space = MultVAE.search_space()
    scorer = space.build(**{name: axis.first for name, axis in space.axes.items()})
    assert all(hasattr(scorer, name) for name in space.axes)

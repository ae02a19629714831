"""Prototypes against the paper's distance, written out, and a metric loss computed by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from pytorch_metric_learning import losses
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta import check_learner, query_loss
from graphmeta.meta.prototypes import Prototypes
from graphmeta.tasks.episode import EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

CHANNELS = 6
SHOWN = ([0, 1, 2], [3, 4], [5], [])


def make(encoder: nn.Module, **options: object) -> Prototypes:
    """Return a learner whose metric is not the identity and whose weight is not small."""
    learner = Prototypes(encoder, channels=CHANNELS, **options)
    with torch.no_grad():
        noise = torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(0))
        learner.metric.weight.add_(0.3 * noise)
        learner.curve.values["closeness"].copy_(torch.tensor([0.5, 1.0, 1.5, 2.0]))
    return learner


@pytest.fixture
def seen(episodes: EpisodeBatch) -> Tensor:
    query = torch.zeros(4, 9)
    query[[0, 0, 0, 1, 1, 2, 3], [4, 5, 7, 0, 8, 2, 6]] = 1.0
    return episodes.support.to_dense(9) + query


def test_scores_are_squared_distances_to_the_mean(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = make(encoder).eval()
    scores = learner.score(episodes, learner.adapt(episodes, head), head)
    shared = learner.score(episodes, learner.shared_weights(4), head)
    items = [learner.metric.weight @ row for row in head.table.output]
    for row, weight in ((0, 1.0), (2, 0.5)):
        prototype = sum(items[i] for i in SHOWN[row]) / len(SHOWN[row])
        closeness = torch.stack([-(item - prototype).square().mean() for item in items])
        # The distance is the score up to a constant of the user.
        gap = scores[row] - (shared[row] + weight * closeness)
        torch.testing.assert_close(gap, gap.mean().expand(9), atol=1e-5, rtol=0.0)
        assert float(closeness.detach().std()) > 0.1
    assert torch.equal(scores[3], shared[3])


def test_keeps_the_contract(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    check_learner(make(encoder).eval(), episodes, head)
    check_learner(Prototypes(encoder, channels=CHANNELS).eval(), episodes, head)


def test_training_starts_at_the_plain_metric_with_a_small_weight(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = Prototypes(encoder, channels=CHANNELS)
    fast = learner.adapt(episodes, head)
    torch.testing.assert_close(fast["prototype"][1], head.table.output[[3, 4]].mean(0))
    gap = learner.score(episodes, fast, head) - learner.score(episodes, {}, head)
    assert 0 < float(gap.detach().abs().max()) < 0.2


def test_the_outer_gradient_reaches_encoder_and_learner(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = Prototypes(encoder, channels=CHANNELS)
    learner.outer_loss(episodes, head, seen, is_adapted=True).backward()
    groups = learner.parameter_groups(0.1)
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    held = [parameter for group in groups for parameter in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, learner.parameters()))
    for parameter in (learner.metric.weight, *learner.curve.parameters()):
        assert parameter.grad is not None
        assert bool((parameter.grad != 0).any())
    assert any(bool((p.grad != 0).any()) for p in encoder.parameters() if p.grad is not None)


def test_the_outer_gradient_is_the_true_one(
    encoder: nn.Module, double: tuple[EpisodeBatch, CatalogueHead], seen: Tensor
) -> None:
    episodes, head = double
    learner = make(encoder.double(), metric_loss=losses.NTXentLoss(temperature=0.5))
    outer = _Outer(learner.double())
    names = ["metric.weight", "curve.values.closeness", "encoder.output.user.bias"]
    parameters = dict(learner.named_parameters())

    def loss(*values: Tensor) -> Tensor:
        state = {f"learner.{n}": v for n, v in zip(names, values, strict=True)}
        return torch.func.functional_call(outer, state, (episodes, head, seen.double()))

    start = [parameters[name].detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(loss, start)


class _Outer(nn.Module):
    def __init__(self, learner: Prototypes) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor) -> Tensor:
        return self.learner.outer_loss(episodes, head, seen, is_adapted=True)


def test_the_metric_loss_is_the_contrastive_loss_by_hand(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = make(
        encoder, metric_loss=losses.NTXentLoss(temperature=0.5), metric_weight=0.7, n_references=3
    )
    total = learner.outer_loss(episodes, head, seen, is_adapted=True)
    plain = query_loss(
        learner.score(episodes, learner.adapt(episodes, head), head), episodes.support, seen
    )
    items = [learner.metric.weight @ row for row in head.table.output]
    # Without a generator, references are spread over the query; user 3 has shown nothing.
    references = {0: [4, 5, 7], 1: [0, 8, 8], 2: [2, 2, 2]}
    costs = []
    for user, own in references.items():
        prototype = sum(items[i] for i in SHOWN[user]) / len(SHOWN[user])
        alike = [(torch.cosine_similarity(prototype, item, dim=0) / 0.5).exp() for item in items]
        others = sum(alike[j] for u in references if u != user for j in references[u])
        costs += [-(alike[j] / (alike[j] + others)).log() for j in own]
    torch.testing.assert_close(total, plain + 0.7 * sum(costs) / 9, atol=1e-5, rtol=1e-5)
    # The shared weights have no prototypes to train.
    unadapted = learner.outer_loss(episodes, head, seen, is_adapted=False)
    shared = learner.score(episodes, learner.shared_weights(4), head)
    assert torch.equal(unadapted, query_loss(shared, episodes.support, seen))


@pytest.mark.parametrize(
    "metric_loss",
    [
        losses.ContrastiveLoss(),
        losses.MultiSimilarityLoss(),
        losses.NTXentLoss(distance=LpDistance(power=2)),
        losses.SupConLoss(),
        losses.TripletMarginLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_losses_of_the_package_train_the_metric(
    metric_loss: nn.Module,
    encoder: nn.Module,
    episodes: EpisodeBatch,
    head: CatalogueHead,
    seen: Tensor,
) -> None:
    learner = make(encoder, metric_loss=metric_loss, metric_weight=1.0)
    extra = learner.outer_loss(episodes, head, seen, is_adapted=True)
    learner.metric_loss = None
    extra = extra - learner.outer_loss(episodes, head, seen, is_adapted=True)
    (gradient,) = torch.autograd.grad(extra, learner.metric.weight)
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().max()) > 1e-4


class _Witness(nn.Module):
    """Keeps what it was called with."""

    def forward(
        self, embeddings: Tensor, labels: Tensor, *, ref_emb: Tensor, ref_labels: Tensor
    ) -> Tensor:
        self.call = (embeddings, labels, ref_emb, ref_labels)
        return embeddings.sum()


def test_references_are_query_items_of_their_user_drawn_by_the_generator(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    witness = _Witness()
    learner = make(encoder, metric_loss=witness, n_references=200)

    def draw(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        learner.outer_loss(episodes, head, seen, is_adapted=True, generator=generator)
        prototypes, labels, embedded, users = witness.call
        wanted = learner.adapt(episodes, head)["prototype"][:3]
        torch.testing.assert_close(prototypes, wanted)
        assert labels.tolist() == [0, 1, 2]
        assert users.tolist() == [row for row in range(3) for _ in range(200)]
        item = torch.cdist(embedded, learner.metric(head.table.output)).argmin(1)
        return item.view(3, 200)

    first = draw(0)
    # All of the query, nothing else, and each item about as often as the others.
    for row, query in enumerate(([4, 5, 7], [0, 8], [2])):
        found, count = first[row].unique(return_counts=True)
        assert found.tolist() == query
        assert int(count.min()) > 0.7 * 200 / len(query)
    assert torch.equal(draw(0), first)
    assert not torch.equal(draw(1), first)


def test_a_batch_without_prototype_or_query_has_no_metric_loss(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead, seen: Tensor
) -> None:
    learner = make(encoder, metric_loss=losses.NTXentLoss())
    nothing, seen_then = episodes[slice(3, 4)], seen[3:]
    loss = learner.outer_loss(nothing, head, seen_then, is_adapted=True)
    assert torch.equal(loss, learner.outer_loss(nothing, head, seen_then, is_adapted=False))


def test_a_batch_that_shows_nothing_is_scored_by_the_head(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead, seen: Tensor
) -> None:
    learner = make(encoder, metric_loss=losses.NTXentLoss())
    support = Support(torch.empty(2, 0, dtype=torch.long))
    none = EpisodeSampler(graph, num_neighbors=(2, 2)).sample(support, generator=torch.Generator())
    scores = learner.score(none, learner.adapt(none, head), head)
    assert torch.equal(scores, learner.score(none, learner.shared_weights(2), head))
    loss = learner.outer_loss(none, head, seen[:2], is_adapted=True)
    assert torch.equal(loss, query_loss(scores, support, seen[:2]))


def test_padding_and_order_change_no_score(
    encoder: nn.Module, graph: HeteroData, head: CatalogueHead
) -> None:
    learner = make(encoder).eval()
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    scores = []
    for support in ([[3, 4], [0, 1]], [[4, -1, 3, -1], [0, 1, 2, 6]]):
        one = sampler.sample(Support(torch.tensor(support)), generator=torch.Generator())
        scores.append(learner.score(one, learner.adapt(one, head), head)[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)


def test_weights_survive_a_round_trip(
    encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead
) -> None:
    learner = make(encoder, metric_loss=losses.NTXentLoss()).eval()
    # A metric loss is for training only: who serves the weights needs none.
    other = Prototypes(copy.deepcopy(encoder), channels=CHANNELS).eval()
    other.load_state_dict(learner.state_dict())
    wanted = learner.score(episodes, learner.adapt(episodes, head), head)
    assert torch.equal(other.score(episodes, other.adapt(episodes, head), head), wanted)


def test_bad_input(encoder: nn.Module, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    with pytest.raises(ConfigError, match="channels=0 and n_references=4 must be at least 1"):
        Prototypes(encoder, channels=0)
    with pytest.raises(ConfigError, match="channels=6 and n_references=0 must be at least 1"):
        Prototypes(encoder, channels=CHANNELS, n_references=0)
    for weight in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match=f"metric_weight={weight} must be 0 or more"):
            Prototypes(encoder, channels=CHANNELS, metric_weight=weight)
    wide = Prototypes(encoder, channels=8)
    with pytest.raises(ConfigError, match=r"channels=8, but .* are 6 wide; pass channels=6"):
        wide.adapt(episodes, head)

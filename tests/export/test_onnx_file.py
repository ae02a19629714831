"""The file scores as the model does, for every kind of model, user and support size."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jaxtyping
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv

import graphmeta
from graphmeta.data import ColdSplit, IdMap, from_frame, planted_interactions, split_cold_users
from graphmeta.data.cold_users import Support
from graphmeta.errors import (
    ConfigError,
    DataError,
    EncoderError,
    MissingExtraError,
    OutputError,
)
from graphmeta.export import export_onnx, scoring_inputs
from graphmeta.meta import MAML, Learner, RelationNetwork, RidgeHead, relation_learner
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.linear_part import Linear, LinearPart
from graphmeta.ranking.prior_blend import Blend, PriorBlend

N_USERS = 6


class Sage(nn.Module):
    """Two layers that no `vmap` is asked to batch; without relation features."""

    def __init__(self, graph: HeteroData, channels: int) -> None:
        super().__init__()
        edge_types = graph.metadata()[1]
        self.convs = nn.ModuleList(
            HeteroConv({t: SAGEConv(channels, channels) for t in edge_types}) for _ in range(2)
        )

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[Any, Tensor]
    ) -> Mapping[str, Tensor]:
        for conv in self.convs:
            x_dict = {t: x.relu() for t, x in conv(x_dict, edge_index_dict).items()}
        return x_dict


@dataclass(frozen=True)
class Exported:
    """A model, its file, and users it never saw."""

    model: ColdStartRecommender
    path: Path
    session: onnxruntime.InferenceSession
    split: ColdSplit

    def scores(self, support: Support, model: ColdStartRecommender | None = None) -> Tensor:
        """Return what the file makes of users, adapted in Python as the model says."""
        ids = self.split.train["item"].id_map
        features = {} if support.user_x is None else {"user_x": support.user_x}
        inputs = scoring_inputs(
            self.model if model is None else model,
            [ids.to_ids(row).tolist() for row in support.item_index],
            ratings=None if support.rating is None else support.rating.tolist(),
            times=None if support.time is None else support.time.tolist(),
            **features,
        )
        (found,) = self.session.run(["scores"], inputs)
        return torch.from_numpy(found)


def split_of(*, featured: bool) -> ColdSplit:
    table = planted_interactions(n_users=300, n_items=250, per_user=25)
    graph = from_frame(table, rating="rating", time="time")
    if featured:
        # A weight, which does not vote, before three genres, which do.
        genres = (torch.arange(250).view(-1, 1) % torch.tensor([2, 3, 5]) == 0).float()
        graph["item"].x = torch.cat([torch.linspace(0.1, 0.9, 250).view(-1, 1), genres], dim=1)
        graph["user"].x = torch.linspace(-1, 1, 600).view(300, 2)
    split = split_cold_users(graph, seed=0)
    if featured:
        # Two new items, of one genre and of two.
        item = split.train["item"]
        item.x = torch.cat([item.x, torch.tensor([[0.5, 1, 0, 0], [0.5, 1, 1, 0]])])
        item.num_nodes, item.id_map = len(item.x), IdMap([*item.id_map.ids, "new", "newer"])
    return split


def fitted(split: ColdSplit, learner: Learner | None = None, **options: Any) -> Any:
    """Return a model that adapts at some sizes, adds another prior at each, and a linear part."""
    model = ColdStartRecommender(learner, channels=16, epochs=1, min_steps=3, **options)
    model.fit(split.train)
    prior = PriorBlend.of_graph(split.train, device=model.fitted.device)
    prior.chosen = {1: Blend("popularity", 0.6), 3: Blend("active", 0.0), 5: Blend("active", 1.2)}
    gate = {1: True, 2: True, 3: False, 5: False, 10: True}
    linear = LinearPart.of_graph(split.train, Linear(1e2, 5.0, 4), device=torch.device("cpu"))
    scale = torch.linspace(0.5, 2.0, len(linear.vector))
    linear = LinearPart(linear.vector, linear.squared, linear.chosen, scale=scale)
    model._fitted = replace(model.fitted, prior=prior, linear=linear, gate=gate)
    return model


@pytest.fixture(scope="module", autouse=True)
def as_outside_of_tests() -> Iterator[None]:
    """Let `int` be a symbol, as it is while a module is traced, and keep no log of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        patch.setattr(logging.getLogger("torch.__trace"), "propagate", False)
        yield


def exported(model: ColdStartRecommender, split: ColdSplit, folder: Path) -> Exported:
    path = folder / "model.onnx"
    export_onnx(model, path)
    return Exported(model, path, onnxruntime.InferenceSession(path), split)


@pytest.fixture(scope="module", params=["features", "bundle", "ridge", "sage"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder, kind = tmp_path_factory.mktemp("export"), request.param
    split = split_of(featured=kind in ("features", "ridge"))
    train = split.train
    if kind == "features":
        model = fitted(split)
    elif kind == "bundle":
        fitted(split, num_voters=4).save(folder / "model.gm")
        model = ColdStartRecommender.load(folder / "model.gm")
    elif kind == "ridge":
        learner = relation_learner(train.metadata(), channels=16, wrap=RidgeHead)
        model = fitted(split, learner, num_voters=4).with_niche(0.3)
    else:
        model = fitted(split, MAML(Sage(train, 16), is_batched=False, inner_lr=1.0))
    return exported(model, split, folder)


def same(found: Tensor, wanted: Tensor) -> None:
    """Check scores, and the ten best items but where a near-tie may decide."""
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) < 1e-4
    for got, want in zip(found, wanted, strict=True):
        best = want.topk(11)
        if float(-best.values.diff().max()) > 2e-4:
            assert got.topk(10).indices.tolist() == best.indices[:10].tolist()


@pytest.mark.parametrize("k", [0, 1, 2, 5, 10])
def test_scores_as_the_model(file: Exported, k: int) -> None:
    support = file.split.test.support(k)[slice(N_USERS)]
    models = {"gated": file.model, "on": file.model.adapted(), "off": file.model.unadapted()}
    wanted = {name: model.score(support) for name, model in models.items()}
    for name, model in models.items():
        same(file.scores(support, model), wanted[name])
        same(file.scores(support[slice(1)], model), model.score(support[slice(1)]))
    if k == 10:  # The cases do differ.
        assert float((wanted["on"] - wanted["off"]).abs().max()) > 2e-4
        assert wanted["gated"].equal(wanted["on"])


@pytest.mark.parametrize("file", ["features"], indirect=True)
def test_new_items(file: Exported) -> None:
    support = file.split.test.support(3)[slice(N_USERS)]
    without = replace(file.model.fitted, new_items=None).score(support)
    moved = (file.scores(support) - without).abs()
    assert float(moved[:, -2:].min()) > 0.1
    assert float(moved[:, :-2].max()) < 1e-4


def test_histories_of_any_length_side_by_side(file: Exported) -> None:
    first = file.split.test.first
    ids = file.split.train["item"].id_map
    sizes = [3, 0, 10, 1, 5, 2]
    histories = [
        ids.to_ids(row[:size]).tolist() for row, size in zip(first.item_index, sizes, strict=False)
    ]
    (found,) = file.session.run(None, scoring_inputs(file.model, histories))
    for history, scores in zip(histories, found, strict=True):
        ranking = file.model.recommend(history, 200)
        score_of = dict(zip(ids.ids.tolist(), scores.tolist(), strict=True))
        assert [score_of[item] for item in ranking.items] == pytest.approx(ranking.scores, abs=1e-4)


@pytest.mark.parametrize("file", ["features", "ridge"], indirect=True)
def test_features_of_users(file: Exported) -> None:
    support = file.split.test.support(2)[slice(N_USERS)]
    without = replace(support, user_x=None)
    same(file.scores(without), file.model.score(without))
    assert float((file.scores(without) - file.scores(support)).abs().max()) > 1e-2


def test_what_the_file_tells(file: Exported) -> None:
    model = onnx.load(file.path)
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["format"] == "1"
    assert json.loads(told["item_ids"]) == file.model.item_ids.ids.tolist()
    inputs = scoring_inputs(file.model, [[], []])
    assert json.loads(told["inputs"]) == [*inputs]
    assert [value.name for value in file.session.get_inputs()] == [*inputs]
    shapes = {value.name: value.shape for value in file.session.get_inputs()}
    assert shapes["support"] == ["n_users", "support_size"]
    assert {shape[0] for shape in shapes.values()} == {"n_users"}
    assert file.session.get_outputs()[0].shape == ["n_users", len(file.model.item_ids)]
    # Nothing of the machine that wrote it.
    assert str(Path(graphmeta.__file__).parents[1]).encode() not in file.path.read_bytes()


def test_interactions_are_held_once_in_each_direction(file: Exported) -> None:
    content = onnx.load(file.path).SerializeToString()
    linear = file.model.fitted.linear
    assert linear is not None
    directions = [*linear.vector.shape], [*linear.vector.T.shape]
    large = sorted(
        len(x.raw_data)
        for x in onnx.load(file.path).graph.initializer
        if [*x.dims] not in directions
    )[-3:]
    n_edges = file.split.train["user", "rates", "item"].edge_index.size(1)
    # int32, rows padded to twice their length at most; ids, weights and operations besides.
    assert max(large) <= 2 * 4 * n_edges
    assert len(content) < 2 * 2 * 4 * n_edges + 4 * linear.vector.numel() + 250_000


@pytest.fixture(scope="module")
def small() -> ColdStartRecommender:
    graph = from_frame(planted_interactions(), rating="rating", time="time")
    return ColdStartRecommender(channels=8, epochs=0).fit(graph)


def with_learner(model: ColdStartRecommender, learner: Learner) -> ColdStartRecommender:
    other = ColdStartRecommender(channels=8, epochs=0)
    other._fitted, other._train = replace(model.fitted, learner=learner), model.train_graph
    return other


def test_what_cannot_be_exported(small: ColdStartRecommender, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    metadata = small.train_graph.metadata()
    other = relation_learner(
        metadata, channels=8, wrap=lambda encoder: RelationNetwork(encoder, channels=8)
    )
    with pytest.raises(ConfigError, match="RelationNetwork scores by more than its encoder"):
        export_onnx(with_learner(small, other), path)
    with pytest.raises(DataError, match="not fitted"):
        export_onnx(ColdStartRecommender(), path)
    table = pd.DataFrame({"user": [1, 1, 2, 2], "item": pd.to_datetime(["2020", "2021"] * 2)})
    of_dates = ColdStartRecommender(channels=8, epochs=0).fit(from_frame(table))
    with pytest.raises(DataError, match=r"Timestamp.* cannot be written as JSON"):
        export_onnx(of_dates, path)
    assert not [*tmp_path.iterdir()]


class Deciding(Sage):
    """Looks at numbers to decide what to do."""

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[Any, Tensor]
    ) -> Mapping[str, Tensor]:
        if float(x_dict["user"].detach().sum()) > 1e3:
            return x_dict
        return super().forward(x_dict, edge_index_dict)


class Adding(Sage):
    """Adds up by `index_add`."""

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[Any, Tensor]
    ) -> Mapping[str, Tensor]:
        source, target = edge_index_dict["item", "rev_rates", "user"]
        user, item = x_dict["user"], x_dict["item"]
        return super().forward(
            {"user": user.index_add(0, target, item[source]), "item": item}, edge_index_dict
        )


class Counting(Sage):
    """Treats large subgraphs unlike small ones."""

    def forward(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[Any, Tensor]
    ) -> Mapping[str, Tensor]:
        out = super().forward(x_dict, edge_index_dict)
        is_large = x_dict["user"].size(0) > 8
        return {t: x + 1 if is_large else x for t, x in out.items()}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Deciding, "cannot be traced"),
        (Adding, "adds up rows by index_add"),
        (Counting, "the traced scores of a user differ"),
    ],
)
def test_an_encoder_that_cannot_be_traced(
    small: ColdStartRecommender, tmp_path: Path, kind: type[Sage], message: str
) -> None:
    torch.manual_seed(0)
    model = with_learner(small, MAML(kind(small.train_graph, 8), is_batched=False))
    with pytest.raises(EncoderError, match=message):
        export_onnx(model, tmp_path / "model.onnx")
    assert not [*tmp_path.iterdir()]


def test_an_older_file_stays(
    small: ColdStartRecommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with monkeypatch.context() as patch:
        large = onnx.GraphProto(initializer=[onnx.TensorProto(raw_data=bytes(2000))])
        patch.setattr("graphmeta.export.scoring_model.traced", lambda *_: large)
        patch.setattr("graphmeta.export.scoring_model.MOST_BYTES", 1000)
        with pytest.raises(OutputError, match=r"take 0\.0 GiB, and one ONNX file holds 2"):
            export_onnx(small, path)
    with monkeypatch.context() as patch:
        patch.setattr("graphmeta.export.onnx_file.find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"graphmeta\[onnx\]"):
            export_onnx(small, path)
    assert path.read_text() == "old"

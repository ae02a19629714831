"""Items like those that were shown."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer
from torch_geometric.data import HeteroData

from graphmeta.data import Support, bipartite_graph, from_frame, planted_interactions
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines import ContentKNN


def _graph() -> HeteroData:
    x = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0]]).float()
    return bipartite_graph(
        torch.tensor([[0, 0, 1], [0, 1, 2]]),
        user_ids=IdMap([0, 1]),
        item_ids=IdMap(range(5)),
        item_x=x,
    )


def test_the_cosine_of_tf_idf() -> None:
    graph = _graph()
    x = graph["item"].x.numpy()
    # Without smoothing scikit-learn's weight is log(n / n_f) + 1.
    weight = x * np.log(5 / np.array([2, 2, 2]))
    theirs = TfidfTransformer(smooth_idf=False).fit(x).idf_ - 1
    np.testing.assert_allclose(theirs, np.log(5 / np.array([2, 2, 2])))
    unit = weight / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-12)
    scores = ContentKNN().fit(graph).score(Support(torch.tensor([[0, 2]])))
    expected = (unit[0] + unit[2]) @ unit.T
    np.testing.assert_allclose(scores[0, :4].numpy(), expected[:4], rtol=1e-5)
    assert scores[0, 4] < scores[0, :4].min()  # It shares nothing.


def test_rare_features_count_for_more() -> None:
    graph = _graph()
    graph["item"].x = torch.tensor([[1, 1], [1, 0], [1, 0], [0, 1], [1, 0]]).float()
    scores = ContentKNN(rarity=1.0, norm=0.0).fit(graph).score(Support(torch.tensor([[0]])))
    assert scores[0, 3] > scores[0, 1]
    flat = ContentKNN(rarity=0.0, norm=0.0).fit(graph).score(Support(torch.tensor([[0]])))
    assert flat[0, 3] == flat[0, 1]


def test_what_it_cannot_do_without() -> None:
    with pytest.raises(DataError, match="needs item features"):
        ContentKNN().fit(from_frame(planted_interactions()))
    with pytest.raises(ConfigError, match="norm=-1"):
        ContentKNN(norm=-1)

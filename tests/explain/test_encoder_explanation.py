import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.explain import GNNExplainer
from torch_geometric.nn import HGTConv

from graphmeta.errors import DataError, UnknownIdError
from graphmeta.explain import explain_encoder
from graphmeta.meta import MAML
from graphmeta.ranking import ColdStartRecommender

HISTORY = ["i1", "i5", "i9"]


@pytest.mark.parametrize("is_own", [False, True])
def test_pygs_explainer_runs_on_the_adapted_encoder(
    planted_graph: HeteroData, is_own: bool
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = MAML(HGTConv(8, 8, planted_graph.metadata()), inner_steps=1) if is_own else None
        model = ColdStartRecommender(learner, channels=8, epochs=1, min_steps=1).fit(planted_graph)
        options = {"node_mask_type": "object", "edge_mask_type": None if is_own else "object"}
        found = explain_encoder(model, HISTORY, "i2", GNNExplainer(epochs=5), **options)
    assert found["item"].node_id[:3] == HISTORY
    assert found["user"].node_id[0] is None
    mask = found["item"].node_mask if is_own else found["user", "rates", "item"].edge_mask
    assert len(mask) > 3
    assert float(mask.abs().max()) > 0


def test_bad_input(planted_graph: HeteroData) -> None:
    model = ColdStartRecommender(channels=8, epochs=0).fit(planted_graph)
    with pytest.raises(DataError, match="history is empty"):
        explain_encoder(model, [], "i2", GNNExplainer(epochs=1))
    with pytest.raises(UnknownIdError, match="'no'"):
        explain_encoder(model, HISTORY, "no", GNNExplainer(epochs=1))

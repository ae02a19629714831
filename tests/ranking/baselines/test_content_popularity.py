"""The popularity of new items, from that of items like them."""

import pandas as pd
import pytest
import torch

from graphmeta.data import Support, from_frame, planted_interactions
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines import ContentPopularity


def test_new_items_are_as_popular_as_items_like_them() -> None:
    table = pd.DataFrame({"user": [0, 1, 2, 3, 0], "item": [0, 0, 0, 0, 1]})
    graph = from_frame(table)
    graph["item"].num_nodes = 5
    graph["item"].x = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 1]])
    model = ContentPopularity().fit(graph)
    scores = model.score(Support(torch.tensor([[0], [-1]])))
    assert torch.equal(scores[0], scores[1])
    # One is like the first item, one like the second, and one like both: like each by 2 ^ -2.
    wanted = torch.tensor([4.0, 1, 4, 1, 2.5]).log1p()
    torch.testing.assert_close(scores[0], wanted)


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="needs item features"):
        ContentPopularity().fit(from_frame(planted_interactions()))
    with pytest.raises(ConfigError, match="power=0"):
        ContentPopularity(power=0)

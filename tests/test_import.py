"""What `import graphmeta` gives."""

import subprocess
import sys

import pytest

import graphmeta
from graphmeta import data, encoders, meta, ranking


def test_names_are_those_of_their_packages() -> None:
    assert graphmeta.data is data
    assert graphmeta.MAML is meta.MAML
    assert graphmeta.RelationEncoder is encoders.RelationEncoder
    assert graphmeta.ColdStartRecommender is ranking.ColdStartRecommender
    assert graphmeta.evaluate is ranking.evaluate
    assert set(graphmeta.__all__) <= set(dir(graphmeta))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'graphmeta' has no attribute 'Recommender'"):
        _ = graphmeta.Recommender  # type: ignore[attr-defined]


def test_the_import_alone_is_light() -> None:
    told = (
        "import sys, graphmeta; print('torch' in sys.modules); "
        "print(graphmeta.live.__name__, graphmeta.meta.ANIL.__name__); "
        "from graphmeta import *; print(ColdStartRecommender.__module__, data.__name__)"
    )
    said = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [
        "False",
        "graphmeta.live",
        "ANIL",
        "graphmeta.ranking.recommender",
        "graphmeta.data",
    ]

"""Writes a trained recommender's scoring path as one ONNX file."""

from __future__ import annotations

import contextlib
import json
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from graphmeta.data.id_map import IdMap
from graphmeta.data.whole_file import write_whole
from graphmeta.errors import ConfigError, DataError, MissingExtraError
from graphmeta.export.scoring_model import scoring_model
from graphmeta.meta.learner import Learner
from graphmeta.meta.ridge_head import RidgeHead
from graphmeta.ranking import ColdStartRecommender

# Raised when files change such that what reads the older ones cannot read them.
FORMAT = 1


def export_onnx(model: ColdStartRecommender, path: str | Path) -> None:
    """Write the scoring path of a trained recommender as one ONNX file: whole, or not at all.

    The file holds the encoder, the catalogue's head and what validation users had added to the
    scores. It takes the subgraphs and weights of any number of users, by the names of
    `scoring_inputs`, and returns `scores`, float32, `[n_users, n_items]`. How many users there
    are, how much they have shown (-1 in `support` is padding) and how large their subgraphs are
    may differ from call to call. Sampling and adapting stay in Python.

    Its metadata hold `item_ids`, the catalogue's ids in the order of the scores as JSON, the
    `inputs` as JSON and the number of the `format`.

    Args:
        model: A fitted recommender on the CPU.
        path: The file, by custom with the suffix `.onnx`.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        ConfigError: The learner's score is not that of encoder and head, or the model is not on
            the CPU.
        EncoderError: The encoder cannot be traced, or the trace scores otherwise.
        DataError: The recommender is not fitted, or item ids cannot be written as JSON.
        OutputError: The model exceeds the 2 GB of one file, or the file cannot be written; an
            older one is as it was.
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise MissingExtraError("export needs onnx and onnxscript; pip install 'graphmeta[onnx]'")
    scorer = model.fitted
    _refuse_learner(scorer.learner)
    if scorer.device.type != "cpu":
        raise ConfigError(
            f"the model is on {scorer.device}; save it and load it with device='cpu' to export it"
        )
    if scorer.half_life is not None:
        raise ConfigError("an exported model knows no half-life; call with_half_life(None) first")
    item_ids = _as_json(model.item_ids)
    file = scoring_model(scorer)
    inputs = json.dumps([value.name for value in file.graph.input])
    for key, value in (("format", str(FORMAT)), ("inputs", inputs), ("item_ids", item_ids)):
        file.metadata_props.add(key=key, value=value)
    content = file.SerializeToString(deterministic=True)
    write_whole(path, lambda partial: partial.write_bytes(content))


def _refuse_learner(learner: Learner) -> None:
    kind = type(learner)
    is_plain = kind.score is Learner.score and kind.encode is Learner.encode
    if not is_plain and kind.score is not RidgeHead.score:
        raise ConfigError(
            f"{kind.__name__} scores by more than its encoder and the catalogue's head, which is "
            "all that can be exported; use a learner that does not, such as MAML or RidgeHead"
        )


def _as_json(item_ids: IdMap) -> str:
    ids = pd.Index(item_ids.ids).tolist()
    with contextlib.suppress(TypeError, ValueError):
        text = json.dumps(ids)
        if json.loads(text) == ids:
            return text
    raise DataError(f"item ids such as {ids[0]!r} cannot be written as JSON; use texts or numbers")

"""The scoring path of a trained recommender as one ONNX file."""

from graphmeta.export.onnx_file import export_onnx
from graphmeta.export.scoring_inputs import scoring_inputs

__all__ = ["export_onnx", "scoring_inputs"]

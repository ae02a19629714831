"""From torch modules to one ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphmeta.errors import EncoderError

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 18, 10


def traced(
    module: nn.Module, inputs: Mapping[str, Tensor], axes: Mapping[str, Sequence[int]], output: str
) -> onnx.GraphProto:
    """Return a module of positional tensors as ONNX.

    Args:
        module: The module.
        inputs: Arguments such as will come, by name.
        axes: The axes of each whose length may differ from call to call.
        output: The name of what it returns.

    Raises:
        EncoderError: The module cannot be traced, or depends on the length of such an axis.
    """
    shapes = tuple(dict.fromkeys(axes[name], torch.export.Dim.DYNAMIC) for name in inputs)
    try:
        with torch.no_grad(), _without_notes():
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                input_names=[*inputs],
                output_names=[output],
                dynamic_shapes=(shapes,),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise EncoderError(
            f"the scoring path cannot be traced ({error.__cause__ or error}); an encoder whose "
            "work depends on the values or the number of its nodes and edges cannot be exported"
        ) from error
    if program is None:
        raise EncoderError("torch exported nothing; install the tested torch and onnxscript")
    graph = program.model_proto.graph
    _share_constants(graph)
    _strip(graph)
    _refuse_racing_sums(graph)
    return graph


def for_each_user(body: onnx.GraphProto, output: str) -> onnx.NodeProto:
    """Return the node that runs the graph of one user for each, and stacks what it returns.

    Args:
        body: The graph; the node takes what it takes, with an axis of users before it.
        output: The name of the stack.
    """
    from onnx import compose, helper

    names = [value.name for value in body.input]
    inner = compose.add_prefix_graph(body, "each_user/")
    return helper.make_node("Scan", names, [output], body=inner, num_scan_inputs=len(names))


def as_model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    inputs: Mapping[str, Tensor],
    axes: Mapping[str, Mapping[int, str]],
    output: str,
    output_axes: Sequence[str | int],
) -> onnx.ModelProto:
    """Return a model, free of what tracing noted of the machine that it ran on.

    Args:
        nodes: What it computes, in order.
        constants: What it holds.
        inputs: Tensors such as it takes, by name.
        axes: The axes of each whose length may differ from call to call, and their names.
        output: The name of what it returns, a matrix of float32.
        output_axes: The lengths, or names, of its axes.
    """
    from onnx import TensorProto, helper

    values = []
    for name, x in inputs.items():
        kind = helper.np_dtype_to_tensor_dtype(x.cpu().numpy().dtype)
        shape = [axes[name].get(at, length) for at, length in enumerate(x.shape)]
        values.append(helper.make_tensor_value_info(name, kind, shape))
    returned = helper.make_tensor_value_info(output, TensorProto.FLOAT, output_axes)
    graph = helper.make_graph(nodes, "scoring", values, [returned], constants)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="graphmeta",
        producer_version=version("graphmeta"),
    )


def _share_constants(graph: onnx.GraphProto) -> None:
    """Keep one of equal constants: tracing repeats one where it is read again."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    kept, name_of = [], {}
    for constant in graph.initializer:
        content = (constant.data_type, tuple(constant.dims), constant.raw_data)
        name_of[constant.name] = name = first.setdefault(content, constant.name)
        if name == constant.name:
            kept.append(constant)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for node in graph.node:
        node.input[:] = [name_of.get(name, name) for name in node.input]


def _strip(graph: onnx.GraphProto) -> None:
    """Leave out names of files and functions, and lengths of axes that hold for the example."""
    del graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _refuse_racing_sums(graph: onnx.GraphProto) -> None:
    """Refuse the one sum that onnxruntime computes wrongly where a row comes again.

    Its threads overwrite each other (`ScatterND` with a reduction, as of `index_add`); the sums of
    PyG's `scatter` are another operation.
    """
    for node in graph.node:
        if node.op_type == "ScatterND" and any(
            a.name == "reduction" and a.s not in (b"", b"none") for a in node.attribute
        ):
            raise EncoderError(
                "the encoder adds up rows by index_add or index_put, which ONNX runtimes compute "
                "wrongly; add them up by scatter_add, as torch_geometric.utils.scatter does"
            )


@contextmanager
def _without_notes() -> Iterator[None]:
    """Hide what the tracer says of its own inner life; where it fails, it raises."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)

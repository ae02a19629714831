"""ANIL: only the encoder's last module adapts."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphmeta.meta.maml import MAML

PARAMETERS = (nn.ParameterDict, nn.ParameterList)


class ANIL(MAML):
    """MAML that adapts the last module of the encoder and nothing else.

    Raghu et al., "Rapid learning or feature reuse?", ICLR 2020: almost no inner loop. Its
    inner gradients stop at the last module, so that a step costs little.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        options: The options of `MAML`, less `adapt`.

    Raises:
        ConfigError: As `MAML`.
    """

    def __init__(self, encoder: nn.Module, **options: Any) -> None:
        super().__init__(encoder, adapt=(f"{last_module(encoder)}*",), **options)


def last_module(encoder: nn.Module) -> str:
    """Return the prefix of the parameters of the last module, empty where all are in one.

    Wrappers that hold a single module are opened; then the last of several counts. Those of a
    `ModuleDict`, such as one per node type, count together, and so do a module's parameters, a
    `ParameterDict` of them too, with all else in that module.

    Args:
        encoder: The module to look into.
    """
    prefix = ""
    while True:
        children = [
            (name, child)
            for name, child in encoder.named_children()
            if next(child.parameters(), None) is not None
        ]
        own = next(encoder.parameters(recurse=False), None) is not None
        own = own or any(isinstance(child, PARAMETERS) for _, child in children)
        if own or not children:
            return prefix
        if len(children) > 1 and isinstance(encoder, nn.ModuleDict) and prefix:
            return prefix
        name, encoder = children[-1]
        prefix += f"{name}."
        if len(children) > 1:
            return prefix

"""The errors that graphmeta raises at its public boundary.

Every error derives from `GraphMetaError` and from the builtin that a caller would
expect, so that `except ValueError` and `except GraphMetaError` both work. The message
says what was expected, what arrived and what to do.
"""


class GraphMetaError(Exception):
    """Base class of every error that graphmeta raises on purpose."""


class DataError(GraphMetaError, ValueError):
    """The interactions, features or files cannot be used as they are."""


class DataNotFoundError(GraphMetaError, FileNotFoundError):
    """A file, folder or named data set is not there."""


class ConfigError(GraphMetaError, ValueError):
    """An option has a value that cannot work."""


class UnknownIdError(GraphMetaError, KeyError):
    """An external id that the graph does not know."""

    def __str__(self) -> str:
        """Return the message itself; `KeyError` would print its `repr`."""
        return str(self.args[0]) if self.args else ""


class LeakageError(GraphMetaError, ValueError):
    """Information that must be held out reached training."""


class EncoderError(GraphMetaError, TypeError):
    """An encoder breaks the contract `forward(x_dict, edge_index_dict) -> {type: Tensor}`."""


class NonFiniteError(GraphMetaError, FloatingPointError):
    """A loss, a gradient or a score is NaN or infinite."""


class MissingExtraError(GraphMetaError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class OutputError(GraphMetaError, OSError):
    """A result cannot be written."""


class ProtocolError(GraphMetaError, RuntimeError):
    """The evaluation is broken, or its figures cannot be what they claim to be."""


class DistributedError(GraphMetaError, RuntimeError):
    """A process that trains along is gone, or processes hold different weights."""


class OutOfMemoryError(GraphMetaError, MemoryError):
    """A configuration would need more memory than there is."""

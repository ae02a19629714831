"""Settings that tools can read, change and copy, in the manner of scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np

from graphmeta.errors import ConfigError


def plain(value: Any) -> Any:
    """Return Python's own number for one of NumPy's, in tuples and lists too; all else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list) and any(isinstance(one, np.generic) for one in value):
        return type(value)(plain(one) for one in value)
    return value


class Parameters:
    """Gives a class the methods that `sklearn.base.clone` and search tools call.

    The class keeps every argument of its constructor, as it was given, as an attribute of the same
    name; of NumPy's numbers it may keep `plain` ones.
    """

    @classmethod
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor.

        Args:
            deep: Without effect: no argument has settings of its own.
        """
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **settings: Any) -> Self:
        """Change some arguments of the constructor; what was fitted is gone.

        Raises:
            ConfigError: An argument is unknown, or its value cannot work.
        """
        for name in settings:
            if name not in self._names():
                raise ConfigError(f"{name!r} is no setting; known: {self._names()}")
        type(self).__init__(self, **{**self.get_params(), **settings})
        return self

    def __repr__(self) -> str:
        """Return the arguments that are not the defaults."""
        defaults = {n: p.default for n, p in inspect.signature(type(self)).parameters.items()}
        changed = [
            f"{name}={value!r}" if isinstance(value, int | float | str | tuple) else f"{name}=..."
            for name, value in self.get_params().items()
            if value is not defaults[name] and value != defaults[name]
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

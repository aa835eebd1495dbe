"""Rows as data frames of libraries that are the user's, where they are installed."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from minigan.errors import ConfigError, UnavailableError, quoted

FRAMES: dict[str, Callable[[Any, np.ndarray, Sequence[str]], Any]] = {  # how a library makes one
    "pandas": lambda library, rows, names: library.DataFrame(rows, columns=list(names)),
    "polars": lambda library, rows, names: library.DataFrame(rows, schema=list(names), orient="row"),
}


def library_called(name: str) -> Any:
    """A library of data frames.

    Raises:  ConfigError – for another name;  UnavailableError – where it is not installed
    """
    if not isinstance(name, str) or name not in FRAMES:
        raise ConfigError(f"a library of data frames is one of {', '.join(FRAMES)}, received {quoted(name)}")
    if find_spec(name) is None:
        raise UnavailableError(f"a data frame of {name} needs {name}; install it with: pip install {name}")
    return import_module(name)


def with_column(library: str, frame: Any, name: str, values: list[str]) -> Any:
    """A data frame with one column more, of texts."""
    if library == "polars":
        return frame.with_columns(library_called(library).Series(name, values))
    return frame.assign(**{name: values})


def as_frame(library: str, rows: np.ndarray, names: Sequence[str]) -> Any:
    """Rows with names, as a data frame.

    Shapes:  rows (n, p)
    Raises:  as ``library_called``; ConfigError – for names that polars does not take
    """
    found = library_called(library)
    if library == "polars" and len(set(names)) < len(names):
        raise ConfigError(
            f"a data frame of polars has a name for each column, and these are {quoted(list(names))}; take "
            'library="pandas", or learn them by different names'
        )
    return FRAMES[library](found, rows, names)

"""Work on very many numbers, as principal axes and sorts, while which a signal can still end the program."""

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

LONG = 400**2  # numbers of a matrix that LAPACK takes so long for that a signal should not wait
MANY = 10**6  # numbers that take as long to sort


def principal_axes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean squares of rows along orthonormal axes, ascending, and the axes.

    Of fewer rows than features they come from the inner products of the rows, a smaller matrix; an axis along
    which the rows do not differ is 0 then.

    Shapes:  z (n, p) → (k,), (p, k), k = min(n, p)
    """
    n, p = z.shape
    if n >= p:
        squares, axes = interruptible(np.linalg.eigh, z.T @ z / n)
        return squares, axes
    squares, weights = interruptible(np.linalg.eigh, z @ z.T / n)
    lengths = np.sqrt(n * np.maximum(squares, 0.0))
    seen = lengths > 1e-8 * lengths[-1]
    weights = weights * (seen / np.where(seen, lengths, 1.0))
    return np.where(seen, squares, 0.0), z.T @ weights


def ordered(x: np.ndarray) -> np.ndarray:
    """``np.sort(x, axis=0)``, which a signal can end; a copy of what is in order."""
    if x.ndim == 1 and (x[1:] >= x[:-1]).all():
        return x.copy()
    result: np.ndarray = interruptible(partial(np.sort, axis=0), x, MANY)
    return result


def interruptible(f: Callable[[np.ndarray], Any], x: np.ndarray, least: int = LONG) -> Any:
    """``f(x)``, of ``least`` numbers or more such that the main thread answers signals meanwhile.

    Python calls a handler between two of its own instructions, and a factorisation or a sort is one of them.
    So it has a thread of its own, for which the main one waits; what a handler raises leaves that behind.
    """
    return answering(partial(f, x), x.size, least)


def answering(f: Callable[[], Any], size: int, least: int = MANY) -> Any:
    """``f()``, which handles ``size`` numbers, as ``interruptible`` calls."""
    if size < least or threading.current_thread() is not threading.main_thread():
        return f()
    given: list[Any] = []

    def work() -> None:
        try:
            given.append(f())
        except Exception as error:
            given.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if isinstance(given[0], Exception):
        raise given[0]
    return given[0]

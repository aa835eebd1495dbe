"""Reverse-mode differentiation, and the one mutation there is."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NoReturn

from minigan import backend
from minigan.backend import writes
from minigan.engine.primitives import sum_to
from minigan.engine.tensor import Call, Operand, Primitive, StaleTensorError, Tensor, is_tracked, observer

__all__ = ["assign", "filled", "grad"]


def grad(y: Tensor, wrt: Iterable[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """∂(Σy)/∂x for every x in ``wrt``; zeros where y does not depend on x.

    With ``create_graph`` the gradients carry their own history and can be differentiated again. The sum is
    over all of y, so a loss with one value per replica gives each replica its own gradient. Gradients may
    share memory with each other and with y's history: compute from them, do not assign to them.

    Raises:  StaleTensorError – if a value needed on the way was overwritten since
             TypeError – if y is not a Tensor, wrt not a list of Tensors with a history, or a rule on the way
             is missing
    """
    wrt = _checked(y, wrt)
    asked, cotangent = set(wrt), {y: filled(y, 1.0)}
    way, youngest_first = _between(asked, y)
    for t, call in youngest_first:
        if t not in cotangent:  # y sees t only via steps, slope 0
            continue
        if call.age < writes.last:
            _refuse_stale(t, call)
        g = cotangent[t] if t in asked else cotangent.pop(t)
        vjps, seen = call.primitive.vjps, t
        inputs: Sequence[Operand] = call.inputs
        if not create_graph:  # constants have no history, so the rules record nothing more
            seen, inputs = Tensor(t.array), [Tensor(x.array) if type(x) is Tensor else x for x in inputs]
        for k, x in enumerate(call.inputs):
            if type(x) is Tensor and x in way:
                if (vjp := vjps[k] if k < len(vjps) else _missing(call, k)) is not None:
                    gx = vjp(g, seen, *inputs, **call.params)
                    if gx.array.shape != x.array.shape:
                        gx = sum_to(gx, x.array.shape)
                    cotangent[x] = cotangent[x] + gx if x in cotangent else gx
    return [cotangent[x] if x in cotangent else filled(x, 0.0) for x in wrt]


def _checked(y: Tensor, wrt: Iterable[Tensor]) -> list[Tensor]:
    if type(y) is not Tensor or isinstance(wrt, Tensor):
        raise TypeError("grad(y, wrt) takes a Tensor y and a list of Tensors wrt")
    wrt = list(wrt)
    for k, x in enumerate(wrt):
        if not is_tracked(x):
            what = f"a constant of shape {x.shape}" if type(x) is Tensor else type(x).__name__
            raise TypeError(
                f"no gradient can be asked through wrt[{k}], {what}; make it with variable(array) before use"
            )
    return wrt


def _between(asked: set[Tensor], y: Tensor) -> tuple[set[Tensor], Iterator[tuple[Tensor, Call]]]:
    """The tensors on the way from ``asked`` to y; and those made of others there, youngest first.

    Only the rules between them need to run.
    """
    calls = {} if y.call is None else {y: y.call}
    stack = list(calls.values())
    while stack:
        for x in stack.pop().inputs:
            if type(x) is Tensor and x.call is not None and x not in calls:
                calls[x] = x.call
                stack.append(x.call)
    way, made = calls.keys() & asked, []
    for t in sorted(calls, key=attrgetter("call.age")):
        if not way.isdisjoint((call := calls[t]).inputs):
            way.add(t)
            made.append((t, call))
    return way, reversed(made)


def _refuse_stale(t: Tensor, call: Call) -> None:
    for x in (t, *call.inputs):
        if type(x) is Tensor and writes.last_to(x.array) > call.age:
            raise StaleTensorError(
                f"a value that {call.primitive} used or made, shape {t.shape}, was overwritten since; "
                "take all gradients before updating any parameter"
            )


def _missing(call: Call, k: int) -> NoReturn:
    raise TypeError(
        f"{call.primitive} has no derivative with respect to its input {k}; pass a Python number there"
    )


def filled(like: Tensor, value: float) -> Tensor:
    """A constant tensor of one value, shaped like another."""
    array = backend.of(like.array).xp.full(like.shape, value, like.dtype)
    if (watching := observer.get()) is not None:
        watching.declare(array)
    return Tensor(array)


def _assign(xp: Any, value: backend.Array, out: backend.Array) -> None:
    out[...] = value


_assignment = Primitive("assign", _assign)


def assign(target: Tensor, value: Tensor) -> None:
    """target ← value: the only mutation there is.

    What was computed from the old value can no longer be differentiated.

    Raises:  ValueError – unless shapes and dtypes are equal (nothing is broadcast or cast silently)
             TypeError – unless both are Tensors
    """
    if type(target) is not Tensor or type(value) is not Tensor:
        received = f"{type(target).__name__} and {type(value).__name__}"
        raise TypeError(f"assign(target, value) takes two Tensors; received {received}")
    if target.shape != value.shape or target.dtype != value.dtype:
        raise ValueError(
            f"assign writes {target.dtype}{list(target.shape)}; received {value.dtype}{list(value.shape)}"
        )
    if (watching := observer.get()) is not None:
        watching.record(_assignment, [value.array], {}, target)  # first, because it may refuse
    _assign(backend.of(target.array).xp, value.array, out=target.array)
    writes.mark_written(target.array)

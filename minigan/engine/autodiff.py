"""Reverse-mode differentiation, and the one mutation there is."""

from collections.abc import Iterable, Mapping
from contextvars import copy_context
from operator import setitem
from typing import Any, NoReturn

from minigan import backend
from minigan.backend import writes
from minigan.engine.primitives import sum_to
from minigan.engine.show import history
from minigan.engine.tensor import Primitive, StaleTensorError, Tensor, cut, flat, is_tracked, observer, taping

__all__ = ["assign", "filled", "grad"]


def grad(
    y: Tensor, wrt: Iterable[Tensor], *, create_graph: bool = False, unreached: str = "refuse"
) -> list[Tensor]:
    """∂(Σy)/∂x for every x in ``wrt``; 0 where y sees x by functions alone that are flat, as ``step``.

    With ``create_graph`` the gradients carry their own history and can be differentiated again; without, what
    is computed from them cannot. The sum is over all of y, so a loss with one value per replica gives each
    replica its own gradient. Gradients may share memory with each other and with y's history.

    unreached  "refuse" an x from which y was not computed, which is most often a mistake; or "zeros" for it

    Raises:  StaleTensorError – if a value needed on the way was overwritten since
             TypeError – if y is not a Tensor, wrt not a list of Tensors with a history, or a rule on the way
             is missing
             ValueError – if y or a gradient in it has no history, or y was not computed from every x
    """
    wrt = _checked(y, wrt, unreached)
    asked, cotangent = set(wrt), {y: filled(y, 1.0)}
    way, made = _between(asked, y)
    if unreached != "zeros" and not asked <= way:
        _refuse_unreached(y, wrt, way)
    within = copy_context()
    within.run(taping.set, create_graph)
    within.run(_pass_back, made, asked, way, cotangent)
    gradients = [cotangent[x] if x in cotangent else filled(x, 0.0) for x in wrt]
    kind = flat if create_graph else cut  # one that depends on nothing can be differentiated too
    return [g if g.call else Tensor(g.memory, kind) for g in gradients]


def _pass_back(made: list[Tensor], asked: set[Tensor], way: set[Tensor], cotangent: dict[Any, Any]) -> None:
    """From the youngest on, each tensor's cotangent adds to those of what it was made of."""
    for t in reversed(made):
        if t not in cotangent:  # y sees t only via steps, slope 0
            continue
        call: Any = t.call
        if call.age < writes.last:
            _refuse_stale(t, call)
        g, vjps = cotangent[t] if t in asked else cotangent.pop(t), call.primitive.vjps
        for k, x in enumerate(call.inputs):
            if type(x) is Tensor and x in way:
                if k >= len(vjps):
                    what = f"has no derivative with respect to its input {k}; pass a Python number there"
                    raise TypeError(f"{call.primitive} {what}")
                if (vjp := vjps[k]) is not None:
                    gx = vjp(g, t, *call.inputs, **call.params)
                    if gx.memory.shape != x.memory.shape:
                        gx = sum_to(gx, x.memory.shape)
                    cotangent[x] = cotangent[x] + gx if x in cotangent else gx


def _checked(y: Tensor, wrt: Iterable[Tensor], unreached: str) -> list[Tensor]:
    if type(y) is not Tensor or isinstance(wrt, (Tensor, Mapping)) or not isinstance(wrt, Iterable):
        way = "a Tensor y and a list of Tensors wrt, as [x] or net.parameters"
        raise TypeError(f"grad(y, wrt) takes {way}; received {type(y).__name__} and {type(wrt).__name__}")
    for k, x in enumerate(wrt := list(wrt)):
        if not is_tracked(x):
            what = f"a constant of shape {x.shape}" if type(x) is Tensor else type(x).__name__
            way = "make it with variable(array) before use"
            raise TypeError(f"no gradient can be asked through wrt[{k}], {what}; {way}")
    if unreached not in ("refuse", "zeros"):
        raise ValueError(f"unreached is 'refuse' or 'zeros'; received {unreached!r}")
    if y.call is None:
        why = "computed from constants, cut by constant(…), or returned by a captured program"
        raise ValueError(f"y, of shape {y.shape}, has no history to differentiate: it was {why}")
    return wrt


def _refuse_unreached(y: Tensor, wrt: list[Tensor], way: set[Tensor]) -> NoReturn:
    k = next(k for k, x in enumerate(wrt) if x not in way)
    why = "constant(…), .numpy() or a captured program cut its history, or variable(…) made another"
    why = "y stands where x is to be, and x where y is" if y in _between({y}, wrt[k])[0] else why
    if any(t.call is flat for t in history(y)):
        why = "a gradient that y was computed from does not depend on it, so that this derivative is 0"
    asked = "a gradient that is to be 0 is asked for by grad(…, unreached='zeros')"
    raise ValueError(f"y was not computed from wrt[{k}], of shape {wrt[k].shape}: {why}; {asked}")


def _between(asked: set[Tensor], y: Tensor) -> tuple[set[Tensor], list[Tensor]]:
    """The tensors on the way from ``asked`` to y, and those made of others there, whose rules are to run."""
    way, made, lost = asked.intersection(before := history(y)), list[Tensor](), set[Tensor]()
    for t in before:
        if (call := t.call) is not None:
            if not way.isdisjoint(call.inputs):
                way.add(t)
                made.append(t)
            if call is cut or lost and t not in asked and not lost.isdisjoint(call.inputs):
                lost.add(t)
    if y in lost:
        what = "y was computed from a gradient g without its history; take that by grad(…, create_graph=True)"
        raise ValueError(f"{what}, or constant(g) where no history is meant")
    return way, made


def _refuse_stale(t: Tensor, call: Any) -> None:
    for x in (t, *call.inputs):
        if type(x) is Tensor and writes.last_to(x.memory) > call.age:
            what = f"a value that {call.primitive} used or made, shape {t.shape}, was overwritten since"
            raise StaleTensorError(f"{what}; take all gradients before updating any parameter")


def filled(like: Tensor, value: float) -> Tensor:
    """A constant tensor of one value, shaped like another."""
    array = backend.of(like.memory).xp.full(like.shape, value, like.dtype)
    if (watching := observer.get()) is not None:
        watching.declare(array)
    return Tensor(array)


_assignment = Primitive("assign", lambda xp, value, out: setitem(out, ..., value))


def assign(target: Tensor, value: Tensor) -> None:
    """target ← value, the only mutation; what was computed from the old value is not differentiated again.

    Raises:  ValueError – unless shapes and dtypes are equal (nothing is broadcast or cast silently)
             TypeError – unless both are Tensors, the target a variable or a constant and no result
    """
    if type(target) is not Tensor or type(value) is not Tensor:
        kinds = f"{type(target).__name__} and {type(value).__name__}"
        raise TypeError(f"assign(target, value) takes two Tensors; received {kinds}")
    if target.call is not None and target.call.primitive.name != "variable":
        made = f"{target.call.primitive} made this of values that would stay as they are"
        raise TypeError(f"assign writes a variable or a constant; {made}, take constant(t) to write into t")
    to, new = target.memory, value.memory
    if to.shape != new.shape or to.dtype != new.dtype:
        received = f"{value.dtype}{list(value.shape)}"
        raise ValueError(f"assign writes {target.dtype}{list(target.shape)}; received {received}")
    if (watching := observer.get()) is not None:
        watching.record(_assignment, [new], {}, target)  # first, because it may refuse
    to[...] = new
    writes.mark_written(to)

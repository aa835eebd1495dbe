"""A native step held against the eager one before it is believed: a compiler may be wrong without a word.

The step has just run twice as Python runs it; the code repeats the second of the two. What differs by more
than rounding refuses it, unless rounding of that size can do so much: Adam divides by the root of a gradient
that may be zero but for rounding. How much it can do is asked of the recorded step, whose every result is
then disturbed at random (Parker 1997, Monte Carlo arithmetic), a sum by as much as its terms round. What is
wrong from one start is looked at from others, since a fault shows from all of them.
"""

from typing import Any

import numpy as np

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # of the largest number of an array
TRIALS, DISTURBED, MARGIN = 4, 4.0, 64.0  # runs, units in the last place, times what they do
SUMS = ("matmul", "sum")  # whose rounding is as large as their terms, however small what these come to
STARTS = 3  # from all of which a fault shows; a rounding that no trial met, of a gradient that is 0, is rare


def refusal_of(program: Any, trace: Any, start: list[tuple[Any, Any]]) -> str:
    """Why a program is not what the eager step is, in a sentence; "" where it is.

    trace  of the eager step, which has just been run
    start  [(array, content)] of inputs and state before that run
    """
    rng, why = np.random.default_rng(0), ""
    for _ in range(STARTS):
        if not (why := _difference(program, trace, start)):
            return ""
        start = [(array, _near(content, rng)) for array, content in start]
        _run(trace, start, None)
    return why


def _difference(program: Any, trace: Any, start: Any) -> str:
    """What a program makes otherwise from a start than the recorded step just did."""
    arrays = program.state | {f"output {k}": a for k, a in enumerate(program.returned)}
    expected = {name: a.copy() for name, a in arrays.items()}
    _put_back(start)
    with np.errstate(all="ignore"):
        program._run([a[None] for a in program.inputs], 1)
        received = {name: a.copy() for name, a in arrays.items()}
        wrong = {name for name in arrays if _beyond(expected[name], received[name], None).any()}
        if not wrong:
            return ""
        reach = _reach(trace, start, {name: arrays[name] for name in wrong}, expected)
        for name in sorted(wrong):
            bad = _beyond(expected[name], received[name], reach[name])
            if bad.any():
                sizes = np.abs(expected[name])
                scale = np.max(sizes[np.isfinite(sizes)], initial=0.0) or 1.0
                apart = np.abs(expected[name] - received[name])[bad]
                apart = np.max(np.nan_to_num(apart, nan=np.inf)) / scale
                return (
                    f"its {name} is not the eager step's: {np.count_nonzero(bad)} of {bad.size} numbers are "
                    f"wrong, by up to {apart:.1e} of the largest; this is a bug of minigan or of the compiler"
                )
    return ""


def _beyond(expected: Any, received: Any, reach: Any) -> Any:
    """Where two arrays differ by more than rounding, or by more than what rounding reaches."""
    same = (expected == received) | (np.isnan(expected) & np.isnan(received))
    finite = np.abs(expected)[np.isfinite(expected)]
    bound = TOLERANCE[expected.dtype.name] * np.max(finite, initial=0.0)
    if reach is not None:
        bound = np.maximum(bound, MARGIN * reach)
    return ~(same | (np.abs(expected - received) <= bound))


def _reach(trace: Any, start: Any, arrays: Any, expected: Any) -> Any:
    """{name: how far rounding moves each number}."""
    rng, reach = np.random.default_rng(0), {name: np.zeros(a.shape) for name, a in arrays.items()}
    for _ in range(TRIALS):
        _run(trace, start, rng)
        for name, a in arrays.items():
            reach[name] = np.fmax(reach[name], np.abs(a - expected[name]))
    return reach


def _run(trace: Any, start: Any, rng: Any) -> None:
    """The recorded step from a start, each of its results disturbed where there is an ``rng``."""
    _put_back(start)
    with np.errstate(all="ignore"):
        for i in trace.instructions:
            if i.is_view:
                continue
            sizes = None
            if rng is not None and i.primitive.name in SUMS:
                sizes = i.kernel(np, *map(np.abs, i.inputs), **i.params)
            i.kernel(np, *i.inputs, out=i.output, **i.params)
            if rng is not None and i.primitive.name != "assign":
                noise = DISTURBED * np.finfo(i.output.dtype).eps * rng.uniform(-1.0, 1.0, i.output.shape)
                noise *= i.output if sizes is None else sizes
                np.add(i.output, noise, out=i.output, casting="same_kind")


def _near(content: Any, rng: Any) -> Any:
    """Numbers a little smaller: another start, with the signs and zeros of this one."""
    return (content * rng.uniform(0.99, 1.0, content.shape)).astype(content.dtype)


def _put_back(contents: list[tuple[Any, Any]]) -> None:
    for array, content in contents:
        np.copyto(array, content)

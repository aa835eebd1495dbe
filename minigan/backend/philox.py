"""Random numbers by counter: functions of (seed, replica, stream, step, element), alike on every backend.

Philox4x32-10 with the counter (element // 4, stream, low and high word of the step) and a key of seed and
replica; in float64 a counter makes two elements, not four. So a number can be drawn again from its indices
alone, and does not depend on what is drawn beside it, on the number of replicas or on the lengths of blocks.
kernels/philox.cuh is the same in CUDA C, bitwise. The normals are Box and Muller's, with a logarithm
and a sine of our own: of +, -, *, / and sqrt, each rounded once, so that no library decides.

Stratified numbers are quantiles at (k + v)/n: v is the element's uniform number, and k where a swap-or-not
shuffle of the n rows of its column takes its row; the keys are the words of one more counter. So a number is
still a function of its indices.

Source:  J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011); logarithm: FreeBSD's msun;
         shuffle: V. T. Hoang, B. Morris, P. Rogaway, An enciphering scheme based on a card shuffle (2012);
         normal quantiles: M. J. Wichura, Algorithm AS 241 (1988)
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan.backend import Backend, kernels

MULTIPLIERS, WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
ROUNDS, WORD = 10, 0xFFFFFFFF
SHUFFLED = 2**16  # added to a stream: that of the keys of its shuffles
SWAPS = 16  # rounds of a shuffle
CHUNK = 2**13  # counters at once, so that what they need stays in the cache
THREADS = 256  # of a block on a GPU


class Format(NamedTuple):
    """What the construction of one type of float is made of; unsigned is an integer of its size."""

    unsigned: Any
    signed: Any
    mantissa: int
    half: int  # the bits of sqrt(1/2)
    ln2: tuple[float, float]  # a high part, whose product with an exponent is exact, and the rest
    logarithm: tuple[float, ...]  # the highest power first
    sine: tuple[float, ...]
    quantile: tuple[
        tuple[tuple[float, ...], tuple[float, ...]], ...
    ]  # numerator, denominator: middle, tails, far


FORMATS = {
    np.dtype("float32"): Format(
        np.uint32, np.int32, 23, 0x3F3504F3, (0.6931381, 9.058001e-06),
        (0.24279079, 0.28498787, 0.40000972, 0.6666666),
        (0.00015016996, -0.004671238, 0.07968818, -0.64596343, 0.5707963),
        (((59.10937472, 159.29113202, 50.434271938, 3.3871327179),
          (67.1875636, 78.757757664, 17.895169469, 1.0)),
         ((0.17023821103, 1.3067284816, 2.75681539, 1.4234372777), (0.12021132975, 0.7370016425, 1.0)),
         ((0.017337203997, 0.42868294337, 3.081226386, 6.6579051150), (0.012258202635, 0.24197894225, 1.0))),
    ),
    np.dtype("float64"): Format(
        np.uint64, np.int64, 52, 0x3FE6A09E667F3BCD, (6.93147180369123816490e-01, 1.90821492927058770002e-10),
        (1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
         2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
         6.666666666666735130e-01),
        (7.171082075839656e-12, -6.737144381287702e-10, 5.6930083773637533e-08, -3.5988505489121733e-06,
         0.00016044118832630316, -0.004681754136250138, 0.07969262624628796, -0.6459640975062523,
         0.5707963267948967),
        (((2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
           13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
          (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
           5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0)),
         ((7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
           3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
          (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
           0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187,
           1.0)),
         ((2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
           0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699,
           6.6579046435011037772),
          (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
           7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769,
           1.0))),
    ),
}  # fmt: skip


def uniform(
    backend: Backend,
    shape: Sequence[int],
    *,
    seed: int | Sequence[int],
    stream: int,
    steps: range,
    replicas: int | Sequence[int] | None = None,
    axis: int = 0,
    dtype: Any = "float32",
    columns: int = 0,
) -> Any:
    """Numbers strictly between 0 and 1 for a block of steps: ``shape`` for each step of each replica.

    Without ``replicas``, one ``seed`` draws without a replica axis; several draw one replica each, as each
    does alone. With them, a count or their numbers, one seed is shared by all. The replica axis stands at
    ``axis`` of a step's shape.

    With ``columns`` they are stratified: the axes from ``axis`` on are n rows of so many columns, and each
    column has one number in each of n equal slices of probability, in random order.

    Shapes:  → (len(steps), *shape), with replicas (len(steps), *shape[:axis], R, *shape[axis:])
    """
    return _draw("uniform", backend, shape, seed, stream, steps, replicas, axis, dtype, columns)


def normal(
    backend: Backend,
    shape: Sequence[int],
    *,
    seed: int | Sequence[int],
    stream: int,
    steps: range,
    replicas: int | Sequence[int] | None = None,
    axis: int = 0,
    dtype: Any = "float32",
    columns: int = 0,
) -> Any:
    """Standard normal numbers, otherwise as ``uniform``; at most 6.8 in float32 and 9.5 in float64."""
    return _draw("normal", backend, shape, seed, stream, steps, replicas, axis, dtype, columns)


def key(seed: int, replica: int = 0) -> tuple[int, int]:
    """The two words of a key: (seed, replica), where the seed is less than 2³².

    The upper word of a larger seed is mixed with the replica: seeds differ at equal replicas, and replicas at
    equal seeds.
    """
    return seed & WORD, (replica + (seed >> 32) * WEYL[0]) & WORD


def philox(counter: Sequence[Any], keys: Sequence[Any]) -> list[np.ndarray]:
    """The four words that Philox4x32-10 makes of each counter: uint64 arrays below 2³².

    Counters and keys are words below 2³² or arrays of them, which broadcast.
    """
    counter, keys = ([np.asarray(x, np.uint64) for x in words] for words in (counter, keys))
    shape = np.broadcast_shapes(*(x.shape for x in (*counter, *keys)))
    even, odd, products, spare = (np.empty((2, *shape), np.uint64) for _ in range(4))
    for k in range(2):
        even[k], odd[k] = counter[2 * k], counter[2 * k + 1]
    ends = (2, *(1 for _ in shape))
    multipliers, weyl = (np.array(x, np.uint64).reshape(ends) for x in (MULTIPLIERS, WEYL))
    word, half = np.uint64(WORD), np.uint64(32)
    key = np.stack(np.broadcast_arrays(*keys))
    key = key.reshape(2, *(1,) * (len(shape) + 1 - key.ndim), *key.shape[1:])
    for _ in range(ROUNDS):
        np.multiply(even, multipliers, out=products)
        crossed = products[::-1]
        np.right_shift(crossed, half, out=even)
        np.bitwise_xor(even, odd, out=even)  # whose upper half is cut off below
        np.bitwise_xor(even, key, out=even)
        np.bitwise_and(even, word, out=even)
        odd, products, spare = crossed, spare, products
        key = key + weyl  # its upper half goes the same way
    odd = odd & word
    return [even[0], odd[0], even[1], odd[1]]


def _draw(distribution, backend, shape, seed, stream, steps, replicas, axis, dtype, columns):
    keys, single = _keys(seed, replicas)
    shape, dtype = tuple(shape), np.dtype(dtype)
    size, inner = math.prod(shape), math.prod(shape[axis:])
    if dtype not in FORMATS:
        raise ValueError(f"random numbers are float32 or float64; {dtype} was asked for")
    if steps.step != 1 or len(steps) and not 0 <= steps.start < steps.stop <= 2**64:
        raise ValueError(f"a block of steps is a range without gaps, of steps below 2⁶⁴; received {steps}")
    if not 0 <= stream <= WORD or size > WORD:
        raise ValueError(f"a stream and the elements of a step are below 2³²; received {stream} and {size}")
    if columns and (columns < 0 or inner % columns or stream >= SHUFFLED):
        raise ValueError(f"{columns} columns must divide {inner} elements, and streams be below 2¹⁶")
    final = (len(steps), *shape) if single else (len(steps), *shape[:axis], len(keys), *shape[axis:])
    if backend.xp is np:
        draw = _stratified_on_host if columns and size else _on_host
        numbers = draw(distribution, size, inner, keys, stream, steps, dtype, columns)
        return numbers.reshape(final)
    out = backend.xp.empty(final, dtype)
    counters = len(steps) * len(keys) * -(-size // (16 // dtype.itemsize))
    if counters:
        arguments = (
            out, _on_device(backend, keys), np.uint64(steps.start), np.uint32(stream),
            *map(np.int64, (len(steps), len(keys), size, inner, *([columns] if columns else []))),
        )  # fmt: skip
        name = f"philox_stratified_{distribution}" if columns else f"philox_{distribution}"
        kernel = _module(backend).kernel(f"{name}_{dtype.name}")
        kernel((-(-counters // THREADS), 1, 1), (THREADS, 1, 1), arguments)
    return out


def _keys(seed, replicas):
    """((key of each replica), whether there is one without an axis)."""
    several = not isinstance(seed, (int, np.integer))
    if replicas is None:
        seeds = seed if several else (seed,)
        return tuple(key(int(s)) for s in seeds), not several
    numbers = range(replicas) if isinstance(replicas, (int, np.integer)) else replicas
    seeds = seed if several else (seed,) * len(numbers)
    if len(seeds) != len(numbers):
        raise ValueError(f"{len(seeds)} seeds for {len(numbers)} replicas; one for all, or one for each")
    return tuple(key(int(s), int(r)) for s, r in zip(seeds, numbers, strict=True)), False


@functools.lru_cache(maxsize=4)
def _module(backend):
    return backend.module(kernels.source("philox"))


@functools.lru_cache(maxsize=64)
def _on_device(backend, keys):
    return backend.array(np.array(keys, np.uint32))


# ── NumPy ───────────────────────────────────────────────────────────────────────────────────────────────────


def _on_host(distribution, size, inner, keys, stream, steps, dtype, columns=0):
    """(steps, outer, replicas, inner) numbers; as many counters at once as the cache holds."""
    per_counter, number = 16 // dtype.itemsize, np.uint64
    blocks, count, replicas = -(-size // per_counter), len(steps), len(keys)
    made = np.empty((replicas, count, blocks, per_counter), dtype)
    fill = _uniforms if distribution == "uniform" else _normals
    together = max(1, CHUNK // max(1, blocks))  # steps
    beside = max(1, CHUNK // max(1, blocks * count))  # replicas
    for part in _parts(replicas, beside):
        key = np.array(keys[part], number).T[:, :, None]
        for some in _parts(count, together):
            step = np.arange(some.stop - some.start, dtype=number) + number(steps.start + some.start)
            for few in _parts(blocks, CHUNK):
                width = few.stop - few.start
                block = np.tile(np.arange(few.start, few.stop, dtype=number), len(step))
                at = np.repeat(step, width)
                words = philox((block, stream, at & number(WORD), at >> number(32)), key)
                out = made[part, some, few].reshape(-1, len(block), per_counter)
                fill(_integers(words, dtype), out)
    made = made.reshape(replicas, count, blocks * per_counter)[:, :, :size]
    made = made.reshape(replicas, count, size // max(1, inner), inner)
    return np.ascontiguousarray(made.transpose(1, 2, 0, 3))


def _parts(count, length):
    return [slice(k, min(k + length, count)) for k in range(0, count, length)]


def _integers(words, dtype):
    """The words, or in float64 pairs of them, as integers of the float's size."""
    if dtype.itemsize == 4:
        return [w.astype(np.uint32) for w in words]
    return [low | high << np.uint64(32) for low, high in (words[:2], words[2:])]


def _uniforms(integers, out):
    for k, x in enumerate(integers):
        _interval(x, out[..., k])


def _interval(x, out):
    """Strictly between 0 and 1, exactly: the upper bits of x, and a half."""
    f = FORMATS[out.dtype]
    bits = out.dtype.itemsize * 8 - f.mantissa
    np.copyto(out, np.right_shift(x, f.unsigned(bits)).view(f.signed), casting="same_kind")
    np.add(out, out.dtype.type(0.5), out=out)
    np.multiply(out, out.dtype.type(0.5**f.mantissa), out=out)


def _normals(integers, out):
    for k in range(0, out.shape[-1], 2):
        x, y = integers[k : k + 2]
        f, radius, side = FORMATS[out.dtype], _radius(x, out.dtype), np.empty(x.shape, out.dtype)
        top = f.unsigned(1 << (out.dtype.itemsize * 8 - 1))
        _interval(y << f.unsigned(2), side)
        for j, a in enumerate((np.subtract(out.dtype.type(1), side), side)):
            value = _sine(a)
            np.multiply(radius, value, out=value)
            bits = value.view(f.unsigned)
            bits ^= (y << f.unsigned(j)) & top  # the sign
            out[..., k + j] = value


def _sine(a):
    """sin(π a / 2) = a + a S(a²) for a in (0, 1)."""
    value = _series(FORMATS[a.dtype].sine, a * a)
    np.multiply(value, a, out=value)
    return np.add(value, a, out=value)


def _series(coefficients, z):
    """A polynomial, the highest power first, by Horner's scheme."""
    number = z.dtype.type
    y = z * number(coefficients[0])
    for c in coefficients[1:-1]:
        np.add(y, number(c), out=y)
        np.multiply(y, z, out=y)
    return np.add(y, number(coefficients[-1]), out=y)


def _radius(x, dtype):
    """sqrt(-2 ln u), u in (0, 1] of all bits of x, as its small values make the tails."""
    number, bits = dtype.type, dtype.itemsize * 8
    u = x.astype(dtype)
    np.multiply(u, number(0.5**bits), out=u)
    np.add(u, number(0.5 ** (bits + 1)), out=u)
    return _radius_of(u)


def _radius_of(u):
    """sqrt(-2 ln u); u is used up."""
    f, number = FORMATS[u.dtype], u.dtype.type
    # u = 2^exponent (1 + r), 1 + r from sqrt(1/2) to sqrt(2)
    whole = u.view(f.signed)
    exponents = whole - f.signed(f.half)
    np.right_shift(exponents, f.signed(f.mantissa), out=exponents)
    exponent = exponents.astype(u.dtype)
    np.left_shift(exponents, f.signed(f.mantissa), out=exponents)
    np.subtract(whole, exponents, out=whole)
    r = np.subtract(u, number(1), out=u)
    s = r + number(2)
    np.divide(r, s, out=s)
    z = s * s
    series = _series(f.logarithm, z)
    np.multiply(series, z, out=series)
    half = np.multiply(r, r, out=z)
    np.multiply(half, number(0.5), out=half)
    low = np.add(series, half, out=series)
    np.multiply(low, s, out=low)
    np.add(low, np.multiply(exponent, number(f.ln2[1]), out=s), out=low)
    np.subtract(half, low, out=half)
    np.subtract(half, r, out=half)
    np.multiply(exponent, number(f.ln2[0]), out=exponent)
    log = np.subtract(exponent, half, out=exponent)
    np.multiply(log, number(-2), out=log)
    return np.sqrt(log, out=log)


# ── Strata ──────────────────────────────────────────────────────────────────────────────────────────────────


def _stratified_on_host(distribution, size, inner, keys, stream, steps, dtype, columns):
    """(steps, outer, replicas, rows, columns) numbers: where v puts them in the slices of shuffled rows."""
    v = _on_host("uniform", size, inner, keys, stream, steps, dtype)
    made = v.reshape(len(steps), size // inner, len(keys), inner // columns, columns)
    key = np.array(keys, np.uint64).T.reshape(2, 1, 1, -1, 1)
    of = np.arange(size // inner, dtype=np.uint64)[:, None, None] * np.uint64(columns)
    of = of + np.arange(columns, dtype=np.uint64)
    for part in _parts(len(steps), max(1, 4 * CHUNK // (size * len(keys)))):
        step = np.arange(steps.start + part.start, steps.start + part.stop, dtype=np.uint64)[
            :, None, None, None
        ]
        words = philox((of, stream + SHUFFLED, step & np.uint64(WORD), step >> np.uint64(32)), key)
        rows = _shuffled(inner // columns, [word.astype(np.uint32)[:, :, :, None] for word in words])
        levels = np.divide(rows + made[part].astype(np.float64), inner // columns)
        made[part] = levels if distribution == "uniform" else _quantiles(levels, dtype)
    return made


def _shuffled(n, words):
    """Where a swap-or-not shuffle takes the rows 0 … n − 1; its keys are the words, rotated.

    Shapes:  words 4 times (…, 1, columns) → (…, n, columns)
    """
    *front, _, columns = words[0].shape
    x = np.empty((*front, n, columns), np.uint32)
    x[:] = np.arange(n, dtype=np.uint32)[:, None]
    other, swaps = np.empty_like(x), np.empty_like(x)
    for k in range(SWAPS):
        a, b = _rotated(words[k % 4], k // 4 * 8), words[(k + 1) % 4]
        np.subtract(_scaled(a, n), x, out=other)
        np.minimum(other, np.add(other, np.uint32(n), out=swaps), out=other)  # modulo n
        np.maximum(x, other, out=swaps)
        np.bitwise_xor(swaps, a, out=swaps)
        np.multiply(swaps, b | np.uint32(1), out=swaps)
        signs = swaps.view(np.int32)
        np.right_shift(signs, 31, out=signs)  # all bits, or none
        np.bitwise_xor(other, x, out=other)
        np.bitwise_and(other, swaps, out=other)
        np.bitwise_xor(x, other, out=x)
    a, b, c, d = words
    np.add(x, _scaled(a ^ _rotated(b, 4) ^ _rotated(c, 12) ^ _rotated(d, 20), n), out=x)
    return np.minimum(x, np.subtract(x, np.uint32(n), out=other), out=x)


def _rotated(word, bits):
    return word << np.uint32(bits) | word >> np.uint32(32 - bits) if bits else word


def _scaled(word, n):
    """⌊n word / 2³²⌋: one of 0 … n − 1."""
    return (word.astype(np.uint64) * np.uint64(n) >> np.uint64(32)).astype(np.uint32)


def _quantiles(levels, dtype):
    """Φ⁻¹ of levels in (0, 1), which are float64, in the given type."""
    f, number = FORMATS[dtype], dtype.type
    q = np.subtract(levels, 0.5).astype(dtype)
    z = np.multiply(q, _ratio(f.quantile[0], number(0.180625) - q * q))
    at = np.flatnonzero(np.abs(q) > number(0.425))
    side, low = q.reshape(-1)[at], levels.reshape(-1)[at]
    r = _radius_of(np.where(side < 0, low, np.subtract(1.0, low)).astype(dtype)) * number(0.5**0.5)
    tail = _ratio(f.quantile[1], r - number(1.6))
    far = np.flatnonzero(r > number(5))
    tail[far] = _ratio(f.quantile[2], r[far] - number(5))
    z.reshape(-1)[at] = np.where(side < 0, -tail, tail)
    return z


def _ratio(series, r):
    above, below = series
    return _series(above, r) / _series(below, r)

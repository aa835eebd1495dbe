"""The pieces of `minigan bench` under pytest-benchmark: products, elementwise work, layers, steps, replicas.

    python -m pytest bench/bench_gpu.py [--benchmark-json=FILE]
    python -m pytest bench/bench_gpu.py -k "step and 128x32"

Each variant that this machine has, in blocks of as many calls for all variants of a size. On a GPU one
synchronisation at the end of a block is part of what is timed; compiling is not. extra_info has the size, the
variant, the steps of a block, ``microseconds`` per step and GAN, and what computes. The command adds turns,
controls and the comparison of losses.
"""

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler.capture import CaptureError
from minigan.profiling import benchmark
from minigan.profiling.benchmark import KINDS
from minigan.profiling.timings import Size

SIZES = Size(64, 16), Size(128, 32), Size(512, 128), Size(4096, 512)
REPLICAS = tuple(Size(128, 32, R) for R in (1, 64, 1024))
CALLS, OPERATIONS = 4000, 2**27  # of a block, at most
ROUNDS = 7
CASES = [
    pytest.param(what, variant, size, id=f"{what} {size.batch}x{size.width}-R{size.replicas} {variant.name}")
    for what, kind in KINDS.items()
    for variant in kind.variants
    for size in (REPLICAS if what == "replicas" else SIZES)
]


@pytest.fixture(scope="module")
def limit():
    """A function that sets the number of BLAS threads."""
    with benchmark.blas_control() as limit:
        yield limit


def test_control(benchmark):
    a = np.random.default_rng(0).standard_normal((256, 256), dtype="float32")
    benchmark.group = "control"
    benchmark(np.matmul, a, a, out=np.empty_like(a))


@pytest.mark.parametrize(("what", "variant", "size"), CASES)
def test_work(request, limit, what, variant, size):
    limit(benchmark.cores() if variant.threads == "BLAS" else 1)
    try:
        home = backends.get(variant.backend)
        task = benchmark.make(home, KINDS[what], variant, size)
    except (backends.BackendError, CaptureError) as error:
        pytest.skip(str(error))
    timer = request.getfixturevalue("benchmark")
    count = max(
        1, int(min(CALLS, OPERATIONS // (KINDS[what].flops(size) * max(size.replicas, 1)))) // task.steps
    )
    timer.group = f"{what} {size}"
    steps = task.steps * count
    timer.extra_info.update(size._asdict(), variant=variant.name, steps=steps, computes=home.describe())
    timer.pedantic(benchmark.timed, (task, count), rounds=ROUNDS, warmup_rounds=1)
    if timer.stats is not None:  # it is under --benchmark-disable
        seconds = timer.stats.stats.median / (steps * max(size.replicas, 1))
        timer.extra_info["microseconds"] = 1e6 * seconds

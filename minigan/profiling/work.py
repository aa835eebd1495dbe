"""The work that `minigan bench` times: its kinds, their sizes, and the variants that do each.

Products, elementwise work, a layer there and back, whole steps of one GAN and of many; the same numbers on
every backend. What a column is, is data: a Variant; what a row is, a Kind.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from minigan import backend as backends
from minigan.compiler import cuda_launches
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean
from minigan.engine.tensor import constant, variable
from minigan.gan.game import Game
from minigan.gan.orders import Batch
from minigan.machine import available_memory, cores
from minigan.nn.layers import Dense
from minigan.nn.layers import activation as activation_called
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.profiling.results import Size
from minigan.profiling.timing import timed

RATE, BETA1, BETA2 = 1e-3, 0.5, 0.999
MEAN, SD = 4.0, 1.25  # of the data

CHECKED = 20  # steps until losses are compared, at most
LIVE = 50  # arrays of a step, as large as a hidden layer, that are alive at most
SAMPLES, OPERATIONS = 2**21, 2**28  # in the batches, and in the products, of a block of steps, at most
TOGETHER = 16  # steps of a block of replicas, whatever their operations: so long a group stays in the cache
MOST = 2**20  # of batch and width

SIZES = tuple(
    Size(*size)
    for size in ((64, 16), (128, 32), (256, 64), (512, 128), (2048, 256), (4096, 512), (8192, 1024))
)
QUICK_SIZES = SIZES[0], SIZES[3]
MANY = tuple(Size(B, H, R) for B, H in ((64, 16), (128, 32)) for R in (1, 16, 256, 4096))
QUICK_MANY = tuple(Size(64, 16, R) for R in (1, 64))


@dataclass(frozen=True)
class Variant:
    """One way to do a piece of work.

    threads    all cores, or one; who has them: the BLAS, or the program of a captured step
    execution  "call" of the array library; "eager", every step by Python; or as capture has it: "planned" for
               NumPy, on a GPU a graph as "recorded" or of fused "launches", or a "block" for each GAN
    most       operations of a step, beyond which it is left out: it would take minutes, and say nothing new
    """

    backend: str = "numpy"
    execution: str = "call"
    dtype: str = "float32"
    tf32: bool = False
    threads: Literal["one", "BLAS", "program"] = "one"
    most: float = math.inf

    @property
    def name(self) -> str:
        """What tables call it: the same on every machine."""
        where = {"numpy": "NumPy", "cupy": "CuPy"}.get(self.backend, self.backend)
        number = " TF32" if self.tf32 else " float64" if self.dtype == "float64" else ""
        count = {"one": "1 thread", "BLAS": "all threads of BLAS", "program": "all threads"}[self.threads]
        how = HOW[self.execution]
        return ", ".join(filter(None, (where + number, count if self.backend == "numpy" else "", how)))

    @property
    def on_gpu(self) -> bool:
        """Whether it needs one."""
        return self.backend != "numpy"


HOW = {
    "call": "", "eager": "eager", "planned": "captured", "recorded": "recorded graph",
    "launches": "fused graph", "block": "block kernel",
}  # fmt: skip
CALLS = (
    Variant(),
    Variant(threads="BLAS"),
    Variant(dtype="float64"),
    Variant("cupy"),
    Variant("cupy", tf32=True),
    Variant("cupy", dtype="float64"),
)
LAYERS = (
    Variant(execution="planned"),
    Variant(execution="planned", threads="BLAS"),
    Variant(execution="eager"),
    *(Variant("cupy", execution) for execution in ("eager", "recorded", "launches")),
    Variant("cupy", "launches", tf32=True),
)
STEPS = (
    Variant(execution="planned"),
    Variant(execution="planned", threads="BLAS"),
    Variant(execution="planned", threads="program"),
    Variant(execution="planned", dtype="float64", most=1e11),
    Variant(execution="eager", most=1e11),
    *(Variant("cupy", execution) for execution in ("eager", "recorded", "launches")),
    Variant("cupy", "block", most=1e10),  # of one multiprocessor
    Variant("cupy", "launches", tf32=True),
    Variant("cupy", "launches", dtype="float64"),
)
REPLICAS = (
    Variant(execution="planned"),
    Variant(execution="planned", threads="program"),
    *(Variant("cupy", execution) for execution in ("recorded", "launches", "block")),
)


@dataclass(frozen=True)
class Task:
    """A piece of work made ready: ``call()`` starts ``steps`` of it and does not wait for their end."""

    backend: backends.Backend
    call: Callable[[], Any]
    steps: int = 1
    losses: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None  # after so many steps from the start
    program: Any = None  # the captured step, if it is one

    def timed(self, count: int) -> tuple[float, float]:
        """Seconds of so many calls and one synchronisation; the same by the device's own clock."""
        return timed(self.call, count, self.backend)

    def wall(self, count: int) -> float:
        """Seconds of so many calls and one synchronisation."""
        return self.timed(count)[0]


@dataclass(frozen=True)
class Kind:
    """A row of what is measured: how it is made, what it costs, and which ceiling bounds it."""

    about: str
    make: Callable[[backends.Backend, Variant, Size], Task]
    variants: tuple[Variant, ...]
    sizes: tuple[Size, ...]
    quick: tuple[Size, ...]
    flops: Callable[[Size], float]
    moved: Callable[[Size], float]  # numbers read and written by a call that keeps none of them
    bound: Literal["product", "copy"] = "product"


def arrays(backend: backends.Backend, dtype: str, *shapes: tuple[int, ...]) -> list[Any]:
    """Normal numbers of these shapes, the same on every backend."""
    rng = np.random.default_rng(0)
    return [backend.array(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def make_product(backend: backends.Backend, variant: Variant, size: Size) -> Task:
    """out ← x W, the product of a hidden layer.    Shapes:  (B, H), (H, H)"""
    B, H = size.batch, size.width
    x, W = arrays(backend, variant.dtype, (B, H), (H, H))
    return Task(backend, partial(backend.xp.dot, x, W, backend.xp.empty((B, H), variant.dtype)))


def make_elementwise(backend: backends.Backend, variant: Variant, size: Size) -> Task:
    """out ← tanh(x + b), in two calls.    Shapes:  (B, H), (1, H)"""
    B, H = size.batch, size.width
    x, b = arrays(backend, variant.dtype, (B, H), (1, H))
    xp, out = backend.xp, backend.xp.empty((B, H), variant.dtype)

    def call() -> Any:
        xp.add(x, b, out=out)
        return xp.tanh(out, out=out)

    return Task(backend, call)


def make_layer(backend: backends.Backend, variant: Variant, size: Size) -> Task:
    """A dense layer of tanh, and the gradients of its mean in x, W and b."""
    B, H = size.batch, size.width
    x, W, b = map(variable, arrays(backend, variant.dtype, (B, H), (H, H), (1, H)))
    layer, parameters = Dense(H, H, activation_called("tanh")), {"W": W, "b": b}

    def step() -> Any:
        return grad(mean(layer(parameters, x)), [x, W, b])

    if variant.execution == "eager":
        return Task(backend, step)
    return Task(backend, captured(step, variant, state={"x": x, **parameters}))


def make_step(backend: backends.Backend, variant: Variant, size: Size, checked: int = CHECKED) -> Task:
    """The step of one GAN, or of R: D moves on x and G(z), then G through the new D; their draws are made.

    checked  how many steps its losses may be asked after
    """
    game, start = make_game(backend, size, variant.dtype)
    share = max(size.replicas, 1)
    few = max(TOGETHER if size.replicas else 1, OPERATIONS // (flops_of_step(size) * share))
    steps = max(1, min(64, few, SAMPLES // (size.batch * share)))
    draws = batches(size, max(steps, checked)).astype(variant.dtype)
    everything = [backend.array(block) for block in draws]
    blocks = [backend.array(block[:steps]) for block in draws]
    first, program = [block[0] for block in everything], None
    if variant.execution == "eager":

        def advance(blocks: list[Any]) -> Any:
            for k in range(blocks[0].shape[0]):
                losses = game.round(Batch(*(constant(block[k]) for block in blocks)))
            return losses
    else:
        program = captured(game.round, variant, Batch(*first), state=game.state)

        def advance(blocks: list[Any]) -> Any:
            return program.each(Batch(*blocks))

    def losses(count: int) -> tuple[np.ndarray, np.ndarray]:
        for tensor, content in zip(game.state.values(), start, strict=True):
            backend.xp.copyto(tensor.memory, content)
        found = advance([block[:count] for block in everything])
        return found.discriminator.numpy(), found.generator.numpy()

    return Task(backend, partial(advance, blocks), steps, losses, program)


def make_game(backend: backends.Backend, size: Size, dtype: str) -> tuple[Game, list[Any]]:
    """The game of one latent number and two nets 1-H-H-1, and a copy of its state as it starts."""
    rngs: Any = np.random.default_rng(0)
    if size.replicas:
        rngs = [np.random.default_rng(k) for k in range(size.replicas)]
    widths = 1, size.width, size.width, 1
    G, D = (mlp(widths, rngs=rngs, activation="tanh", backend=backend, dtype=dtype) for _ in range(2))
    game = Game(G, D, *(Adam(net.parameters, RATE, BETA1, BETA2) for net in (G, D)))
    return game, [backend.xp.array(tensor.memory) for tensor in game.state.values()]


def batches(size: Size, steps: int) -> np.ndarray:
    """x, z_d and z_g of so many steps, in float32.    Shapes:  (3, steps, 1, …, B, 1)"""
    lead = (size.replicas,) if size.replicas else ()
    draws = np.random.default_rng(1).standard_normal((3, steps, 1, *lead, size.batch, 1), dtype="float32")
    draws[0] = MEAN + SD * draws[0]
    return draws


def captured(step: Callable, variant: Variant, *inputs: Any, state: Any) -> Any:
    """The program of a step, executed as the variant says.

    Raises:  CaptureError – where the backend does not do that, or not with this step
    """
    threads = cores() if variant.threads == "program" else 1
    return capture(step, *inputs, state=state, threads=threads, execution=variant.execution)


def flops_of_step(size: Size) -> int:
    """Of the GAN step, per GAN: 12 products of (B, H) and (H, H), and the ends of both nets."""
    B, H, _ = size
    return 2 * B * (12 * H * H + 27 * H)


KINDS = {
    "gemm": Kind(
        "x W, (B, H) and (H, H)", make_product, CALLS, SIZES, QUICK_SIZES,
        lambda s: 2 * s.batch * s.width**2, lambda s: 2 * s.batch * s.width + s.width**2,
    ),
    "elementwise": Kind(
        "tanh(x + b), (B, H), two calls", make_elementwise, CALLS, SIZES, QUICK_SIZES,
        lambda s: 2 * s.batch * s.width, lambda s: 4 * s.batch * s.width, "copy",
    ),
    "layer": Kind(
        "tanh(x W + b) and its gradients in x, W and b", make_layer, LAYERS, SIZES, QUICK_SIZES,
        lambda s: 6 * s.batch * s.width**2, lambda s: 8 * s.batch * s.width + 3 * s.width**2,
    ),
    "step": Kind(
        "one step of a GAN, both nets 1-H-H-1", make_step, STEPS, SIZES, QUICK_SIZES,
        flops_of_step, lambda s: 49 * s.batch * s.width,
    ),
    "replicas": Kind(
        "one step of R GANs, per GAN", make_step, REPLICAS, MANY, QUICK_MANY,
        flops_of_step, lambda s: 49 * s.batch * s.width,
    ),
}  # fmt: skip


def make(home: backends.Backend, kind: Kind, variant: Variant, size: Size) -> Task:
    """The work of a kind, in the variant's precision.

    Raises:  BackendError – for TF32 where there is none
    """
    if not variant.tf32:
        return kind.make(home, variant, size)
    if not hasattr(home, "tf32"):
        raise backends.BackendError(f"{home.name} does not offer products in TF32")
    refuse_what_has_no_tf32(home, variant, size)

    def in_tf32(function: Callable) -> Callable:
        def call(*arguments: Any) -> Any:
            home.tf32 = True
            try:
                return function(*arguments)
            finally:
                home.tf32 = False

        return call

    task = in_tf32(kind.make)(home, variant, size)
    losses = task.losses and in_tf32(task.losses)
    return replace(task, call=in_tf32(task.call), losses=losses)


class TooLong(Exception):
    """A variant is not for work of this size."""


def refuse_what_takes_too_long(kind: Kind, size: Size, variant: Variant) -> None:
    """Raises:  TooLong – if a step has more operations than the variant is measured with"""
    if kind.flops(size) * max(size.replicas, 1) > variant.most:
        raise TooLong(f"at {size} a step has more than {variant.most / 1e9:g} GFLOP")


def refuse_what_does_not_fit(size: Size, variant: Variant) -> None:
    """Raises:  MemoryError – if a step of this size may take more than half of the memory that is free"""
    if variant.on_gpu or variant.execution == "call":
        return
    need = LIVE * size.batch * size.width * max(size.replicas, 1) * np.dtype(variant.dtype).itemsize
    free = available_memory()
    if free is not None and 2 * need > free:
        raise MemoryError(
            f"it may take {need / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} free"
        )


def refuse_what_has_no_tf32(home: Any, variant: Variant, size: Size) -> None:
    """Raises:  BackendError – if no product of the variant would be in TF32 on this GPU, or at this size"""
    if home.gemm.maker != "cuBLAS":
        raise backends.BackendError(
            f"TF32 needs cuBLAS, but the products of {home.name} are by its {home.gemm.maker}"
        )
    largest = size.batch * size.width**2 * max(size.replicas, 1)
    if variant.execution == "launches" and largest < cuda_launches.LARGE:
        raise backends.BackendError(
            f"at {size} nothing is in TF32: the fused graph leaves products to cuBLAS from "
            f"{cuda_launches.LARGE} multiplications on, and the largest has {largest}"
        )

"""The step in C by hand (fused_step.c), for one size and one processor: what compiled code can reach."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bench.peers.common import BETA1, BETA2, EPSILON, MEAN, RATE, SD, Variant, width_of
from minigan.compiler import c_compiler

DISTRIBUTION = "a C compiler"
SOURCE = Path(__file__).with_name("fused_step.c")
FLAGS = (  # those of -ffast-math but for what it does to the whole process
    "-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math",
    "-ffinite-math-only", "-fassociative-math", "-fno-signed-zeros", "-freciprocal-math",
    "-shared", "-fPIC", "-Wno-psabi", "-w",
)  # fmt: skip


def variants(batch, width, threads):
    """The whole step as one function; nothing for sizes that are not whole vectors."""
    if batch % (32 * threads) or width % 16:
        return {}
    return {"fused step": Variant(lambda *given: FusedStep(*given, threads=threads))}


def ensembles(batch, width, threads, replicas):
    """None: R GANs would be R calls."""
    return {}


class FusedStep:
    """One GAN, whose state is in a library of its own."""

    def __init__(self, weights, batch, seed=0, *, threads=1):
        self._batch, self._width = batch, width_of(weights["G"])
        numbers = {
            "B": batch,
            "H": self._width,
            "NT": threads,
            "LR_": RATE,
            "B1_": f"{BETA1}f",
            "B2_": f"{BETA2}f",
        }
        numbers |= {"EPS_": EPSILON, "MEAN_": f"{MEAN}f", "SD_": f"{SD}f"}
        command = [*c_compiler.find().command, *FLAGS, *(f"-D{k}={v}" for k, v in numbers.items())]
        command += ["-fopenmp"] if threads > 1 else []
        with tempfile.TemporaryDirectory() as folder:  # what is loaded stays
            subprocess.run([*command, str(SOURCE), "-o", f"{folder}/step.so", "-lm"], check=True)
            self._library = ctypes.CDLL(f"{folder}/step.so")
        given = [np.ascontiguousarray(weights[player], "float32") for player in "GD"]
        self._library.init(*map(_pointer, given), ctypes.c_uint64(seed + 1))
        self._gradients = [np.zeros_like(a) for a in given]

    def advance(self, steps):
        self._library.run(ctypes.c_long(steps))

    def follow(self, x, z_d, z_g):
        for batches in zip(x, z_d, z_g, strict=True):
            arrays = [np.ascontiguousarray(b, "float32") for b in batches]
            self._library.follow(*map(_pointer, (*arrays, *self._gradients)))

    def parameters(self):
        found = [np.zeros_like(a) for a in self._gradients]
        self._library.parameters(*map(_pointer, found))
        return dict(zip("GD", found, strict=True))

    def gradients(self):
        return {player: a.copy() for player, a in zip("GD", self._gradients, strict=True)}


def _pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)

"""A peer in a process of its own: it answers its driver, or trains once and ends.

    python -m bench.peers.process serve PEER VARIANT BATCH WIDTH THREADS REPLICAS     answers lines of stdin
    python -m bench.peers.process train PEER VARIANT BATCH WIDTH THREADS STEPS        trains; its peak memory
    python -m bench.peers.process grow PEER VARIANT BATCH WIDTH THREADS STEPS         trains; what memory grew

Nothing is imported that the peer does not need, so that its memory and its start are its own.
"""

import json
import math
import os
import resource
import sys
from importlib import import_module

import numpy as np

from bench.peers import common

CHECKED = 5  # steps compared with the reference
PLAYED = 128, 8  # steps until G's mean is compared: of small games, and of large ones,
LARGE = 2**24  # which are those from this batch × width² on
WARM = 1000


class Server:
    """One variant of one peer, checked once and timed in bursts."""

    def __init__(self, peer, variant, batch, width, threads, replicas):
        self.batch, self.width, self.replicas = batch, width, replicas or None
        self.weights = common.initial(width, replicas=self.replicas)
        self.peer = make(peer, variant, batch, width, threads, replicas)(self.weights, batch)
        self.block = getattr(self.peer, "block", 1)
        self.steps = None  # of a burst, as soon as it is known
        square = np.random.default_rng(0).standard_normal((256, 256), dtype="float32")
        self.control = square, np.empty_like(square)

    def check(self):
        """How far gradients and parameters are from the reference; the mean of G's samples later on."""
        from bench.peers.ours import reference

        data = common.batches(CHECKED, self.batch, replicas=self.replicas)
        which = slice(None) if self.replicas is None else [0, self.replicas - 1]
        weights = {player: flat[which] for player, flat in self.weights.items()}
        seen = data if self.replicas is None else [x[:, which] for x in data]
        self.peer.follow(*(x[:1] for x in data))
        _, expected = reference(weights, *(x[:1] for x in seen))
        gradient = distance(self.peer.gradients(), expected, which)
        self.peer.follow(*(x[1:] for x in data))
        expected, _ = reference(weights, *seen)
        moved = {player: θ - weights[player] for player, θ in expected.items()}
        shift = {player: θ - self.weights[player] for player, θ in self.peer.parameters().items()}
        self.peer.advance(PLAYED[self.batch * self.width**2 >= LARGE])
        return {"gradients": gradient, "parameters": distance(shift, moved, which), "mean": self.mean()}

    def mean(self):
        """The mean of 10 000 samples of G, over the first replicas."""
        z = np.random.default_rng(0).standard_normal((10_000, 1))
        θ = self.peer.parameters()["G"].reshape(-1, self.weights["G"].shape[-1])[:8]
        return float(np.mean([common.generate(flat, z).mean() for flat in θ]))

    def burst(self, seconds):
        """Seconds per step and GAN, over so many seconds; of a fixed product by NumPy; and interruptions."""
        from minigan.profiling.timing import calibrated, timed

        if self.steps is None:
            self.wall(1)  # may still compile, for longer than a burst
            self.steps = self.block * calibrated(self.wall, seconds)
        a, out = self.control
        control, _ = timed(lambda: np.matmul(a, a, out), 20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        wall, _ = timed(lambda: self.peer.advance(self.steps))
        return {
            "seconds": wall / self.steps / (self.replicas or 1),
            "steps": self.steps,
            "control": control,
            "interrupted": resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before,
        }

    def wall(self, blocks):
        """Seconds of so many blocks of steps."""
        from minigan.profiling.timing import timed

        return timed(lambda: self.peer.advance(blocks * self.block))[0]


def make(peer, variant, batch, width, threads, replicas=0):
    """The function that makes this variant."""
    module = import_module(f"bench.peers.{peer}")
    if replicas:
        found = module.ensembles(batch, width, threads, replicas)
    else:
        found = module.variants(batch, width, threads)
    if variant not in found and hasattr(module, "on_gpu"):  # what bench.gpu.probe alone asks for
        found = module.on_gpu(batch, width, replicas)
    return found[variant].make


def distance(own, expected, which=slice(None)):
    """The larger ‖own − expected‖ / ‖expected‖ of the two players."""
    return max(
        float(np.linalg.norm(own[player][which] - expected[player]) / np.linalg.norm(expected[player]))
        for player in expected
    )


def memory(key):
    """KiB of this process on Linux: VmRSS now, VmHWM at most; getrusage's maximum may be the parent's."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))


def main(arguments):
    """Answers are lines of JSON on what was stdout; whatever a library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task, peer, variant, *numbers = arguments
    numbers = [int(number) for number in numbers]

    def answer(content):
        print(json.dumps(content), file=answers, flush=True)

    if task == "serve":
        server = Server(peer, variant, *numbers)
        for line in sys.stdin:
            command, *values = line.split()
            answer(getattr(server, command)(*map(float, values)))
    else:
        batch, width, threads, steps = numbers
        trained = make(peer, variant, batch, width, threads)(common.initial(width), batch)
        if task == "train":
            trained.advance(steps)
            answer({"peak": memory("VmHWM")})
        else:
            trained.advance(WARM)
            before = memory("VmRSS")
            trained.advance(steps)
            answer({"growth": memory("VmRSS") - before, "steps": steps})
        if not all(math.isfinite(θ.sum()) for θ in trained.parameters().values()):
            raise SystemExit("the parameters are not finite")


if __name__ == "__main__":
    main(sys.argv[1:])

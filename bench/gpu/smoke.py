"""Whether a GPU computes what NumPy does, in order: the first minute on one.

    python -m bench.gpu.smoke cupy FILE.json     the file is replaced after each figure

The backend's stream before and after a graph, whether graphs and calls see each other's results, and games
in every execution against NumPy, twice: a race shows as other bits. Ends with 3 if the stream is lost, with 6
where there is no GPU.
"""

import sys
import time
from pathlib import Path

import numpy as np

from bench.gpu.probe import write
from minigan import backend as backends
from minigan.training.config import Config, replace
from minigan.training.experiment import Experiment

GAMES = {"default": {}, "packs of 2": {"packing": 2}, "batch 64": {"batch": 64}}
EXECUTIONS = "recorded", "launches", "block"
STEPS, ROUNDS = 20, 50


class Smoke:
    """What was found so far, in the form of the probe's files: section S."""

    def __init__(self, backend, path):
        self.backend, self.path, self.started = backend, Path(path), time.time()
        self.found = {"title": "smoke", "status": "not finished", "values": {}, "errors": {}}

    def note(self, key, call, *arguments):
        """Compute a figure, or note how that failed; print and write it."""
        try:
            what, text = "values", call(*arguments)
        except Exception as error:  # whatever a device does is a finding
            what, text = "errors", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        self.found[what][key] = text
        self.found["seconds"] = time.time() - self.started
        write(self.path, self.backend, {"S": self.found})
        print(f"{self.found['seconds']:6.1f} s  {key}: {text}", flush=True)


def ours(backend):
    """Whether what CuPy is asked for now goes to the backend's stream."""
    return "yes" if backend.cp.cuda.get_current_stream() == backend.stream else "no"


def ordered(backend, graph, x, rounds=ROUNDS):
    """Calls, a graph, calls: each has to see what the others left."""
    for k in range(rounds):
        backend.xp.copyto(x, backend.xp.zeros(x.shape, "float32"))
        for _ in range(20):
            graph.launch()
        backend.xp.multiply(x, 2.0, out=x)
        if not (backend.to_host(x) == 40.0).all():
            return f"no, in round {k}"
    return "yes"


def state(config, steps):
    """All that some steps leave behind, by name."""
    experiment = Experiment(config)
    experiment.advance(steps)
    return {name: np.array(a, "float64") for name, a in experiment.arrays().items()}


def off(ours, its):
    """How far two states are from each other: the largest relative distance of an array."""
    norm = np.linalg.norm
    return max(float(norm(ours[k] - its[k]) / (norm(its[k]) + 1e-12)) for k in ours if ours[k].size)


def game(config, execution, reference, steps):
    """How far it is from the reference, and whether it comes out the same again."""
    config = replace(config, execution=execution)
    first, again = (state(config, steps) for _ in range(2))
    same = all(np.array_equal(first[k], again[k]) for k in first)
    return {"off": off(first, reference), "same bits again": "yes" if same else "no"}


def main(name, path, base=None, steps=STEPS, size=2**20):
    """Note all of it; 3 if the backend's stream was lost on the way, 6 where there is no GPU."""
    try:
        backend, base = backends.get(name), base or Config()
    except backends.BackendError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 6
    smoke = Smoke(backend, path)
    x = backend.array(np.zeros(size, "float32"))
    backend.xp.add(x, 1.0, out=x)
    smoke.note("our stream is current before a graph", ours, backend)
    graph = backend.graph(lambda: backend.xp.add(x, 1.0, out=x))
    smoke.note("our stream is current after a graph", ours, backend)
    smoke.note("graphs and calls are in order", ordered, backend, graph, x)
    for label, options in GAMES.items():
        config = replace(base, backend=name, **options)
        reference = state(replace(config, backend="numpy"), steps)
        for execution in EXECUTIONS:
            smoke.note(f"{label}, {execution}", game, config, execution, reference, steps)
    smoke.note("our stream is current at the end", ours, backend)
    smoke.found["status"] = "ok"
    write(smoke.path, backend, {"S": smoke.found})
    return 0 if ours(backend) == "yes" else 3


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))

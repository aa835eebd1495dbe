"""The cold start of a backend: the seconds of each part of a fresh process, up to a thousand steps."""

import json
import subprocess
import sys
import time

import numpy as np

from minigan import backend as backends
from minigan.profiling.results import Size, Start
from minigan.profiling.work import Variant, make_step

COLD = """
import sys, time
started = time.perf_counter()
import {library}
imported = time.perf_counter()
from minigan.profiling.cold import cold
cold("{backend}", started, imported)
"""
LIBRARIES = {"numpy": "numpy", "cupy": "cupy"}


def cold(backend: str, started: float, imported: float) -> None:
    """What a fresh process prints: the seconds of each part of its start, of 1000 steps, and all of them."""
    times = {f"import {LIBRARIES[backend]}": imported - started}

    def lap(name: str, since: float) -> float:
        now = time.perf_counter()
        times[name] = now - since
        return now

    now = lap("import minigan", imported)
    home = backends.get(backend)
    home.array(np.zeros(1))
    home.synchronize()
    now = lap("device, context and probe", now)
    size = Size(128, 32)
    execution = "planned" if backend == "numpy" else "launches"
    task = make_step(home, Variant(backend, execution), size)
    home.synchronize()
    now = lap("first step at (128, 32), with what it compiles", now)
    for _ in range(-(-1000 // task.steps)):
        task.call()
    home.synchronize()
    now = lap("1000 steps and their result on the host", now)
    times["the whole process"] = now - started
    print(json.dumps(times))


def starts(backend: str, runs: int) -> list[Start]:
    """The cold start of a backend in so many processes; empty where one of them fails."""
    code = COLD.format(library=LIBRARIES[backend], backend=backend)
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            return []
        for part, seconds in json.loads(done.stdout).items():
            found.setdefault(part, []).append(seconds)
    return [Start(backend, part, seconds) for part, seconds in found.items()]

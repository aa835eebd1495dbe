"""A long run does not grow: memory, live objects, file descriptors, also without the garbage collector."""

import gc
import os
import tempfile
from pathlib import Path

from bench.soak.harness import finished

SETTLED = 10_000  # steps after which nothing may grow any more, a third of fewer
LIMIT = 2.0  # MiB
POINTS = 100  # looks at the process


def measure(count, collectors=("on", "off"), broken=None):
    """``count`` steps of the default experiment through the trainer, with and without collector.

    broken  the function of bench/soak/broken.py that the process calls first, to prove that growth is found
    """
    results = {"steps": count}
    failures = {"memory grew": 0, "descriptors grew": 0, "objects grew": 0, "the run failed": 0}
    examples = {}
    for collector in collectors:
        with tempfile.TemporaryDirectory() as folder:
            seen, errors = Path(folder) / "seen", Path(folder) / "errors"
            code = finished(train_long, count, collector, broken, output=seen, errors=errors)
            lines, told = seen.read_text().splitlines(), errors.read_text()
        if code:
            failures["the run failed"] += 1
            examples["the run failed"] = told.strip()[-500:]
            continue
        rss, files, objects = ([float(word) for word in line.split()] for line in lines)
        growth = max(rss) - rss[0]
        results[f"collector_{collector}"] = {
            "mib_at_first": round(rss[0], 2), "growth_mib": round(growth, 2),
            "descriptors": [int(files[0]), int(files[-1])], "objects": [int(objects[0]), int(objects[-1])],
        }  # fmt: skip
        failures["memory grew"] += growth > LIMIT
        failures["descriptors grew"] += files[-1] > files[0]
        failures["objects grew"] += objects[-1] > 1.05 * objects[0]
    return {**results, "failures": failures, "examples": examples}


def resident():
    """Resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def train_long(count, collector, broken):
    """Train, in a process of ``finished``; three lines: memory, descriptors and objects at each look."""
    from minigan.storage.directory import RunDirectory
    from minigan.training.config import to_json
    from minigan.training.experiment import Experiment
    from minigan.training.settings import resolve
    from minigan.training.trainer import train

    if broken is not None:
        broken()
    if collector == "off":
        gc.disable()
    # Frames are kept by design, 200 at most, of 6 kB each: that growth is within the limit.
    sets = f"steps={count}", f"eval_every={max(100, count // 500)}", "checkpoint_seconds=1"
    config = resolve(environ={}, sets=sets)
    settled = min(SETTLED, count // 3)
    looks = [settled + k * (count - settled) // POINTS for k in range(POINTS)]
    seen = []

    def look(step):
        if looks and step >= looks[0]:
            looks.pop(0)
            if collector == "on":
                gc.collect()
            seen.append((resident(), len(os.listdir("/proc/self/fd")), len(gc.get_objects())))

    with tempfile.TemporaryDirectory() as folder:
        with RunDirectory.create(folder, config.name, to_json(config)) as run:
            train(Experiment(config), run, on_step=look)
    for values in zip(*seen, strict=True):
        print(*values)

"""What starting costs: `import minigan` beyond NumPy, `minigan --help`, the default run up to its verdict.

python -m bench.startup [--repeats 7] [--runs 3]

What Python and the C compiler make for the default run is kept when it is measured. Its CPU seconds are those
of the whole process, user and system, of all its threads and children; their parts are read off the clock of
another process, which runs first.

The first call of mg.fit in a process is held against the same training, its metrics and its verdict, by the
loop within it, which has been imported and has its configuration.
"""

import argparse
import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache, partial

from bench.common import table, write
from minigan.profiling.timing import in_turns, timed

COMMANDS = {
    "python, nothing imported": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import minigan": ["-c", "import minigan"],
    "minigan --help": ["-m", "minigan", "--help"],
}
FIT = """
import time, minigan as mg
started = time.perf_counter()
mg.fit("normal(4, 1.25)", steps=2000)
print(time.perf_counter() - started)
"""
LOOP = """
import time
from minigan.storage.memory import MemoryRun
from minigan.training.config import to_json
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve
from minigan.training.trainer import train
config = resolve(environ={}, sets=["target=normal(4, 1.25)", "steps=2000"])
experiment, record = Experiment(config), MemoryRun(to_json(config))
started = time.perf_counter()
with record:
    train(experiment, record)
print(time.perf_counter() - started)
"""
PARTS = """
import gc, json, sys, time
from minigan._command import PACE
gc.set_threshold(PACE)
import minigan.cli, minigan.front.figures, minigan.front.fitting, scipy.special
parts, within = {"Python, NumPy, SciPy and minigan imported": time.process_time()}, [0.0]

def timed(part, call):
    def timing(*arguments, **keywords):
        began = time.process_time()
        within.append(0.0)
        try:
            return call(*arguments, **keywords)
        finally:
            spent = time.process_time() - began
            parts[part] = parts.get(part, 0.0) + spent - within.pop()
            within[-1] += spent
    return timing

def draw_page(record, save=minigan.front.figures.save_overview):
    timed("matplotlib imported", __import__)("minigan.reports.overview")
    return timed("the page drawn", save)(record)

from minigan.training.draws import Draws
from minigan.training.steps import Steps
from minigan.training.trainer import Session
for part, owner, name in (
    ("the steps", Steps, "advance"), ("their draws", Draws, "block"),
    ("the evaluations", Session, "evaluate"), ("the verdict", Session, "judge"),
):
    setattr(owner, name, timed(part, getattr(owner, name)))
minigan.front.figures.save_overview = draw_page
minigan.cli.main(["-q", "train", "--out", sys.argv[1]])
parts["all else"] = time.process_time() - sum(parts.values())
print(json.dumps(parts))
"""
RUN = "minigan train, first metric line", "minigan train, to the end", "minigan train, CPU"
CALLS = {"mg.fit of 2000 steps, the first call": FIT, "the same training by itself": LOOP}


@cache
def compiled():
    """The environment of those who may keep what Python compiles, as most do."""
    kept = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    others = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return others | {"PYTHONPYCACHEPREFIX": kept}


def told(code):
    """The seconds that a Python process prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=compiled())
    return float(done.stdout)


def seconds(arguments):
    """Wall time of one Python process."""
    command = [sys.executable, *arguments]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=compiled()))[0]


def parts_of_run(folder):
    """CPU seconds of the parts of the default run."""
    command = [sys.executable, "-c", PARTS, folder]
    as_it_begins = compiled() | {"OPENBLAS_NUM_THREADS": "1"}  # as minigan/_command.py has it
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=as_it_begins)
    return json.loads(done.stdout.splitlines()[-1])


def default_run(folder):
    """Seconds to the first metric line, to the end, and of CPU, of the default run."""
    started, first, before = time.perf_counter(), None, os.times()
    command = [sys.executable, "-m", "minigan", "train", "--out", folder]
    ways = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "env": compiled()}
    with subprocess.Popen(command, **ways) as process:
        for line in process.stderr:
            if line.startswith("step") and first is None:
                first = time.perf_counter()
    if process.returncode:
        raise SystemExit(f"minigan train ended with exit code {process.returncode}")
    ended, after = time.perf_counter(), os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return first - started, ended - started, spent


def parts_table(parts):
    """The medians of the parts of runs."""
    names = parts[0] if parts else ()
    body = [(name, f"{statistics.median(each[name] for each in parts):.2f}") for name in names]
    return table(("parts of minigan train", "median s of CPU"), body)


def main(arguments=None):
    """Print the table; with --write also bench/results/startup.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    for command in COMMANDS.values():
        seconds(command)  # once to warm the file cache and compile
    found, _ = in_turns([partial(seconds, command) for command in COMMANDS.values()], options.repeats)
    times = dict(zip(COMMANDS, found, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(parts_of_run(folder), default_run(folder)) for _ in range(options.runs)]
    parts, runs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    times |= {name: list(column) for name, column in zip(RUN, zip(*runs, strict=True), strict=False)}
    pairs = [[told(code) for code in CALLS.values()] for _ in range(options.repeats + 1)][1:]
    times |= {name: list(column) for name, column in zip(CALLS, zip(*pairs, strict=True), strict=True)}
    rows = [(name, *(f"{f(t):.3f}" for f in (statistics.median, min, max))) for name, t in times.items()]
    print(table(("", "median s", "minimum s", "maximum s"), rows))
    print(parts_table(parts))
    beyond = statistics.median(
        m - n for m, n in zip(times["import minigan"], times["import numpy"], strict=True)
    )
    print(f"import minigan beyond NumPy: {beyond:.3f} s (median of paired differences)")
    fit = statistics.median(whole - alone for whole, alone in pairs)
    print(f"the first mg.fit beyond its training: {fit:.3f} s (median of paired differences)")
    if options.write:
        found = {
            "seconds": times,
            "cpu_parts": parts,
            "import_beyond_numpy": beyond,
            "fit_beyond_training": fit,
        }
        print(write("startup", found), file=sys.stderr)


if __name__ == "__main__":
    main()

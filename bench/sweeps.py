"""What a run of a sweep costs beside its steps, by the size of its evaluations: many seeds, five steps each.

    python -m bench.sweeps [--runs 512] [--eval-samples 100 1000 10000]

Evaluations and the verdict are what the run costs alone as well; the rest is directories, settings, networks,
checkpoints and records. Recording the step counts as a step: once per structure. Then the wall time of the
whole sweep with a process for each processor, as the command has it for so many runs: steps, recording and
the start of the processes are in it. Last, that of the command as a person types it: with the imports, the
plan, the tables, the figure and the lines about progress; with its bytecode at hand, as an installed package
has it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from bench.common import table, write
from minigan.machine import cores
from minigan.sweeps.sweep import create, read_sweep
from minigan.sweeps.workers import local, run_sweep
from minigan.training import trainer
from minigan.training.metrics import Observer
from minigan.training.steps import Steps

STEPS = 5
PARTS = {"steps": ((Steps, "advance"),), "evaluations": ((Observer, "row"), (trainer, "verdict"))}
TIMES = (
    "evaluations_ms", "rest_ms", "evaluations_wall_ms", "rest_wall_ms", "whole_wall_ms", "command_wall_ms",
)  # fmt: skip
HEADER = ("values of an evaluation", "evaluations, ms", "the rest, ms", "evaluations, wall", "the rest, wall",
          "all, in processes, wall", "the command, wall")  # fmt: skip


def now():
    """Seconds of the processor and of the wall."""
    return time.process_time(), time.perf_counter()


def clocked(function, spent):
    """The function, whose seconds are added to ``spent``."""

    def timed(*arguments):
        began = now()
        result = function(*arguments)
        spent[:] = (total + end - start for total, end, start in zip(spent, now(), began, strict=True))
        return result

    return timed


def plan_of(runs, eval_samples, folder):
    """The file that describes the sweep."""
    plan = Path(folder) / "plan.toml"
    plan.write_text(f'[set]\nsteps = {STEPS}\neval_samples = {eval_samples}\n[vary]\nseed = "0:{runs}"\n')
    return plan


def planned(runs, eval_samples, folder):
    """The directory of a sweep that is to run."""
    return create(folder, read_sweep(plan_of(runs, eval_samples, folder)))


def typed(runs, eval_samples, folder):
    """Milliseconds of wall time a run, of the command in a process of its own, from its start to its end."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env.setdefault("PYTHONPYCACHEPREFIX", str(Path(folder) / "bytecode"))
    for count, more in ((2, ["--jobs", "2"]), (runs, [])):  # two write the bytecode
        plan, began = plan_of(count, eval_samples, folder), time.perf_counter()
        command = [sys.executable, "-m", "minigan", "sweep", plan, "--out", folder, *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    return 1000 * (time.perf_counter() - began) / runs


def whole(runs, eval_samples, folder):
    """Milliseconds of wall time a run, of all there is, with a process for each processor."""
    path, count, began = planned(runs, eval_samples, folder), cores(), time.perf_counter()
    _, failures = run_sweep(path, local(count), count)
    if failures:
        raise SystemExit("\n".join(failures))
    return 1000 * (time.perf_counter() - began) / runs


def measure(runs, eval_samples, folder):
    """Milliseconds a run of evaluations and of the rest, each of the processor and of the wall."""
    path, spent, began = planned(runs, eval_samples, folder), {part: [0.0, 0.0] for part in PARTS}, now()
    patches = [
        patch.object(owner, name, clocked(getattr(owner, name), spent[part]))
        for part, places in PARTS.items()
        for owner, name in places
    ]
    try:
        for each in patches:
            each.start()
        _, failures = run_sweep(path, local())
    finally:
        for each in patches:
            each.stop()
    if failures:
        raise SystemExit("\n".join(failures))
    total = [end - start for end, start in zip(now(), began, strict=True)]
    rest = [a - b - c for a, b, c in zip(total, *spent.values(), strict=True)]
    return [
        1000 * seconds / runs
        for seconds in (spent["evaluations"][0], rest[0], spent["evaluations"][1], rest[1])
    ]


def cells(result):
    """The cells of one size of evaluations."""
    return (result["eval_samples"], *(f"{result[name]:.1f}" if name in result else "–" for name in TIMES))


def main(arguments=None):
    """Print the table; with --write also bench/results/sweeps.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=512)
    parser.add_argument("--eval-samples", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        measure(2, 100, folder)  # imports
        for size in options.eval_samples:
            times = [
                *measure(options.runs, size, folder),
                whole(options.runs, size, folder),
                typed(options.runs, size, folder),
            ]
            results.append({"eval_samples": size, **dict(zip(TIMES, times, strict=True))})
    print(f"{options.runs} runs of {STEPS} steps, a run beside them, of processor and wall; {cores()} cores")
    print(table(HEADER, [cells(result) for result in results]))
    if options.write:
        content = {"runs": options.runs, "steps": STEPS, "results": results}
        print(write("sweeps", content), file=sys.stderr)


if __name__ == "__main__":
    main()

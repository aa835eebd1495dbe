"""What a run of a sweep costs beside its steps, by the size of its evaluations: many seeds, five steps each.

python -m bench.sweeps [--runs 512] [--eval-samples 100 1000 10000]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.common import table, write
from minigan.sweeps.sweep import create, read_sweep
from minigan.sweeps.workers import local, run_sweep
from minigan.training.steps import Steps

STEPS = 5


class Clock:
    """Seconds of the processor and of the wall since it was made, without those within ``outside``."""

    def __init__(self):
        self._began, self._outside = self._now(), (0.0, 0.0)

    @staticmethod
    def _now():
        return time.process_time(), time.perf_counter()

    def outside(self, function):
        """The function, whose time does not count."""

        def timed(*arguments):
            began = self._now()
            function(*arguments)
            spent = (now - before for now, before in zip(self._now(), began, strict=True))
            self._outside = tuple(a + b for a, b in zip(self._outside, spent, strict=True))

        return timed

    def read(self):
        """(processor, wall)."""
        spent = zip(self._now(), self._began, self._outside, strict=True)
        return tuple(now - before - outside for now, before, outside in spent)


def measure(runs, eval_samples, folder):
    """Milliseconds a run beside its steps, of the processor and of the wall; recording counts as a step."""
    plan = Path(folder) / "plan.toml"
    plan.write_text(f'[set]\nsteps = {STEPS}\neval_samples = {eval_samples}\n[vary]\nseed = "0:{runs}"\n')
    path, advance = create(folder, read_sweep(plan)), Steps.advance
    clock = Clock()
    Steps.advance = clock.outside(advance)
    try:
        _, failures = run_sweep(path, local())
    finally:
        Steps.advance = advance
    if failures:
        raise SystemExit("\n".join(failures))
    return tuple(1000 * seconds / runs for seconds in clock.read())


def main(arguments=None):
    """Print the table; with --write also bench/results/sweeps.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=512)
    parser.add_argument("--eval-samples", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        measure(2, 100, folder)  # imports
        for size in options.eval_samples:
            rows.append((size, *measure(options.runs, size, folder)))
    print(f"{options.runs} runs of {STEPS} steps, ms a run beside them")
    print(
        table(
            ("values of an evaluation", "processor", "wall"),
            [(n, f"{c:.1f}", f"{w:.1f}") for n, c, w in rows],
        )
    )
    if options.write:
        names = "eval_samples", "processor_ms", "wall_ms"
        found = {
            "runs": options.runs,
            "steps": STEPS,
            "rows": [dict(zip(names, row, strict=True)) for row in rows],
        }
        print(write("sweeps", found), file=sys.stderr)


if __name__ == "__main__":
    main()

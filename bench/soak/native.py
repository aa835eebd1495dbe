"""Native code of random games is the eager engine's to rounding, with the flags that ship and sanitizers.

Games are drawn by number: objective, networks of odd widths, activations, optimisers, penalties, order,
batches that fill no block, replicas. Each is trained for some steps as native code and as it was recorded;
every number of the state is compared, in float64. A part of them runs again in a process in which the code,
compiled with AddressSanitizer and UndefinedBehaviorSanitizer, ends the process at the first report.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from bench.soak.harness import ROOT
from minigan.compiler import c_compiler, native
from minigan.errors import ConfigError
from minigan.gan.objectives import OBJECTIVES
from minigan.nn.layers import ACTIVATIONS
from minigan.nn.optim import OPTIMIZERS
from minigan.training.config import Config, NetworkConfig, OptimizerConfig, replace
from minigan.training.experiment import Ensemble, Experiment

STEPS, TOLERANCE = 4, 1e-9  # of which the last ones are a block; Adam may enlarge a rounding
SANITIZED = 5  # one of so many games runs under the sanitizers too
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1")
FAILURES = ("numbers differ", "refused by its own check", "a sanitizer reports")


def draw(number):
    """The configuration of a number, and of how many seeds; None where it is no valid one."""
    rng = random.Random(f"native {number}")

    def network():
        widths = [rng.choice((1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 70)) for _ in range(rng.randint(1, 3))]
        return NetworkConfig(widths=tuple(widths), activation=rng.choice(sorted(ACTIVATIONS)))

    def optimizer():
        return OptimizerConfig(name=rng.choice(sorted(OPTIMIZERS)), rate=0.001)

    changed = {
        "objective": rng.choice(sorted(OBJECTIVES)), "generator": network(), "discriminator": network(),
        "generator_optimizer": optimizer(), "discriminator_optimizer": optimizer(),
        "batch": rng.choice((2, 3, 8, 17, 30, 64, 100, 129, 256)), "seed": number,
        "r1": rng.choice((0.0, 0.3)), "r2": rng.choice((0.0, 0.7)), "wgan_gp": rng.choice((0.0, 0.0, 1.5)),
        "order": rng.choice(("alternating", "alternating", "simultaneous", "extragradient")),
        "unrolled": rng.choice((0, 0, 0, 2)),
        "target": rng.choice(("normal(4, 1.25)", "ring(8, 1, 0.1)")),
    }  # fmt: skip
    try:
        config = replace(Config(), backend="numpy", dtype="float64", eval_samples=100, **changed)
        Experiment(config)
    except ConfigError:
        return None, 0
    return config, rng.choice((1, 1, 1, 2, 3))


def trained(config, seeds, execution):
    """(state, how it was run, note) after STEPS steps."""
    config = replace(config, execution=execution)
    steps = Ensemble.of_seeds(config, range(seeds)) if seeds > 1 else Experiment(config)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        steps.advance(1)
        steps.advance(STEPS - 1)
    return {name: t.numpy() for name, t in steps.game.state.items()}, steps.executed, steps.program.note


def apart(ours, its):
    """The largest difference of two states, each array by its largest number; 0 where both are not finite."""
    worst = 0.0
    for name, a in its.items():
        finite = np.isfinite(a)
        if not np.array_equal(finite, np.isfinite(ours[name])):
            return np.inf
        scale = max(1e-3, float(np.abs(a[finite]).max(initial=0.0)))
        worst = max(worst, float(np.abs(a - ours[name])[finite].max(initial=0.0)) / scale)
    return worst


def play(number):
    """{"worst", "run", "failures"} of one game; the rows of a block are drawn, too."""
    config, seeds = draw(number)
    if config is None:
        return {"run": "invalid", "worst": 0.0, "failure": None}
    before, native.CACHE = native.CACHE, random.Random(number).choice((8, 2**12, 2**15))
    try:
        ours, run, note = trained(config, seeds, "native")
    finally:
        native.CACHE = before
    if run != "native":
        refused = "not the eager step's" in note
        return {"run": run, "worst": 0.0, "failure": FAILURES[1] if refused else None, "note": note}
    its, _, _ = trained(config, seeds, "recorded")
    worst = apart(ours, its)
    return {"run": run, "worst": worst, "failure": None if worst <= TOLERANCE else FAILURES[0]}


def sanitized(numbers):
    """What a sanitizer says of the games of these numbers; "" for nothing."""
    preload = [
        subprocess.run(
            [*c_compiler.find().command, f"-print-file-name=lib{name}.so"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {
            "LD_PRELOAD": ":".join(preload), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": folder, "PYTHONMALLOC": "malloc",
        }  # fmt: skip
        command = [sys.executable, "-m", "bench.soak.native", json.dumps(numbers)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=ROOT)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")[:1500]


def measure(count, sanitize=True):
    """``count`` games, a part of them under sanitizers."""
    failures, examples, runs, worst = dict.fromkeys(FAILURES, 0), {}, {}, 0.0

    def failed(kind, what):
        failures[kind] += 1
        examples.setdefault(kind, what)

    with tempfile.TemporaryDirectory() as place:
        kept, c_compiler.folder = c_compiler.folder, lambda: Path(place) / "native"
        try:
            for number in range(count):
                found = play(number)
                runs[found["run"]] = runs.get(found["run"], 0) + 1
                worst = max(worst, found["worst"])
                if found["failure"]:
                    failed(found["failure"], f"game {number}: {found}")
        finally:
            c_compiler.folder = kept
    numbers = list(range(0, count, SANITIZED)) if sanitize else []
    for first in range(0, len(numbers), 10):
        if said := sanitized(numbers[first : first + 10]):
            failed(FAILURES[2], f"games {numbers[first : first + 10]}: {said}")
    return {
        "games": count, "run": runs, "worst": worst, "under_sanitizers": len(numbers),
        "flags": " ".join(c_compiler.flags()), "compiler": c_compiler.find().version,
        "failures": failures, "examples": examples,
    }  # fmt: skip


def main(numbers):
    """The games of these numbers with sanitizers in their code; the process ends at the first report."""
    c_compiler.FLAGS = (*c_compiler.FLAGS, *SANITIZE)
    for number in numbers:
        found = play(number)
        if found["failure"]:
            raise SystemExit(f"game {number}: {found}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

"""The same GAN step in minigan and in its peers: microseconds, and ratios to NumPy by hand.

    python -m bench.peers                                   one thread, sizes (64,16) to (512,128), every peer
    python -m bench.peers --threads 2 --sizes 512,128 4096,512
    python -m bench.peers --replicas 8 64                   so many GANs at once, per GAN and step
    python -m bench.peers --whole                           whole processes: start to 5000 steps, memory

Each variant lives in a process of its own, is compared with minigan's float64 gradients, and is not timed if
it computes something else. Then the processes take turns in shuffled order, a burst each; a burst is repeated
if a fixed matrix product just before it was slow, or if other work interrupted it. µs are medians of bursts;
ratios are medians of the bursts' ratios to the best hand-written variant in the same turn, with the 95 %
interval of that median. A peer that is not installed is named and left out.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from bench.common import table, write
from bench.peers.ours import compiler
from minigan import __version__
from minigan.profiling.timing import in_turns, interval_of_median, quartiles, timed

PEERS = ("numpy_by_hand", "c_by_hand", "ours", "torch_peer", "jax_peer", "autograd_peer", "dezero_peer")
BASE = "numpy_by_hand"
SIZES = ((64, 16), (128, 32), (256, 64), (512, 128))  # batch, width
SIZES_OF_REPLICAS = ((64, 16), (128, 32))
MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # they choose kernels for another processor
GRADIENTS, PARAMETERS, MEANS = 1e-3, 1e-3, 0.3  # how far a peer may be from the reference, and from BASE
SLOW, INTERRUPTIONS = 1.15, 50  # of the control to its median; per second of a burst: then it is repeated
REPEATS = 5


class Failed(Exception):
    """A peer's process ended, or computes something else."""


class Process:
    """One variant of one peer, alive between its turns."""

    def __init__(self, peer, variant, batch, width, threads, replicas=0, blas_threads=None):
        self.peer, self.variant, self.controls, self.bursts = peer, variant, [], []
        self.disturbed = 0  # bursts that stayed disturbed when repeated
        self._errors = tempfile.TemporaryFile()
        arguments = [peer, variant, *map(str, (batch, width, threads, replicas))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.process", "serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=surroundings(blas_threads or threads),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._process.stdin.close()  # at which it ends by itself
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, *words):
        """Its answer to a command."""
        try:
            self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:  # it has ended
            line = b""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            raise Failed(lines[-1] if lines else f"ended with exit code {self._process.returncode}")
        return json.loads(line)

    def burst(self, seconds):
        """Seconds per step of one undisturbed burst, or of the last that was tried."""
        for _ in range(REPEATS):
            seen = self.ask("burst", seconds)
            self.controls.append(seen["control"])
            length = max(seen["seconds"] * seen["steps"], seconds)
            interrupted = seen["interrupted"] > INTERRUPTIONS * length
            if not interrupted and seen["control"] <= SLOW * statistics.median(self.controls):
                break
        else:
            self.disturbed += 1
        self.bursts.append(seen["seconds"])


def surroundings(threads):
    """The environment of a timed process: NumPy's kernels for this processor, so many threads."""
    environ = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR"):
        environ[f"{name}_NUM_THREADS"] = str(threads)
    environ["NPROC"] = str(threads)  # the size of XLA's pool
    environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    environ["JAX_PLATFORMS"] = "cpu"
    return environ


def installed(peer):
    """Version of the distribution that the peer needs, None if it is not installed."""
    distribution = import_module(f"bench.peers.{peer}").DISTRIBUTION
    if distribution == "minigan":
        return __version__
    if distribution == "a C compiler":
        return compiler()
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def variants(peer, batch, width, threads, replicas):
    """{name: Variant} of the peer at this size."""
    module = import_module(f"bench.peers.{peer}")
    if replicas:
        return module.ensembles(batch, width, threads, replicas)
    return module.variants(batch, width, threads)


def say(text):
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def measure(peers, batch, width, threads, replicas, bursts, seconds):
    """The results of all variants at one size, and [(peer, variant, why)] of those that failed."""
    failures = []
    with ExitStack() as stack:
        started = [
            stack.enter_context(Process(peer, name, batch, width, threads, replicas, variant.blas_threads))
            for peer in peers
            for name, variant in variants(peer, batch, width, threads, replicas).items()
        ]
        processes = []
        for process in started:
            try:
                process.found = checked(process.ask("check"), processes)
                process.ask("burst", seconds)  # warms up, finds how many steps make a burst
            except Failed as error:
                failures.append((process.peer, process.variant, str(error)))
                say(f"{process.peer}, {process.variant}: {error}")
            else:
                processes.append(process)
            if not processes:
                raise SystemExit(f"there is nothing to compare with: {failures[0][1]}, {failures[0][2]}")
        in_turns(
            [partial(process.burst, seconds) for process in processes], bursts, order=random.Random(0),
            on_turn=lambda turn: say(f"({batch}, {width}) turn {turn} of {bursts}"),
        )  # fmt: skip
    yardstick = min((p for p in processes if p.peer == BASE), key=lambda p: statistics.median(p.bursts))
    size = {"batch": batch, "width": width, "replicas": replicas, "threads": threads}
    return [result(process, yardstick) | size for process in processes], failures


def checked(found, processes):
    """What a check found.

    Raises:  Failed – if it computes something else than the reference, or draws other numbers than the first
    """
    for what, bound in (("gradients", GRADIENTS), ("parameters", PARAMETERS)):
        if not found[what] <= bound:
            raise Failed(f"its {what} are {found[what]:.1e} from minigan's in float64, more than {bound}")
    mean = processes[0].found["mean"] if processes else found["mean"]
    if not abs(found["mean"] - mean) <= MEANS:
        raise Failed(f"its generator's mean is {found['mean']:.3f} where that of {BASE} is {mean:.3f}")
    return found


def result(process, yardstick):
    """One row of the JSON file."""
    ratios = [a / b for a, b in zip(process.bursts, yardstick.bursts, strict=True)]
    return {
        "peer": process.peer,
        "variant": process.variant,
        "yardstick": process is yardstick,
        "microseconds": sorted(1e6 * q for q in quartiles(process.bursts)),
        "ratio": statistics.median(ratios),
        "interval": list(interval_of_median(ratios)),
        "bursts": [1e6 * burst for burst in process.bursts],
        "disturbed": process.disturbed,
        "control": statistics.median(process.controls),
        **process.found,
    }


def tabulate(results):
    """µs per step and ratio to the best by hand, with its interval: a row per variant, a column per size."""
    columns = list(dict.fromkeys((r["batch"], r["width"], r["replicas"]) for r in results))
    rows = {}
    for r in results:
        low, high = r["interval"]
        cell = f"{digits(r['microseconds'][1])} · {r['ratio']:.2f} ({low:.2f} to {high:.2f})"
        rows.setdefault((r["peer"], r["variant"]), {})[r["batch"], r["width"], r["replicas"]] = cell
    header = [f"({B}, {H})" + (f", R = {R}" if R else "") for B, H, R in columns]
    lines = [
        (f"{peer}, {variant}", *(cells.get(c, "") for c in columns))
        for (peer, variant), cells in rows.items()
    ]
    return table((f"µs per {'GAN and ' if columns[0][2] else ''}step · ratio (95 %)", *header), lines)


def digits(value):
    """Three significant digits of a number above 1."""
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}".replace(",", " ")


# ── whole processes
def train_once(task, peer, variant, batch, width, steps):
    """What one process that trains reports, and the seconds from its start to its end."""
    what = task, peer, variant, *map(str, (batch, width, 1, steps))
    command = [sys.executable, "-m", "bench.peers.process", *what]
    ended = []

    def run():
        ended.append(subprocess.run(command, capture_output=True, text=True, env=surroundings(1)))

    seconds, _ = timed(run)
    (done,) = ended
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return json.loads(done.stdout) | {"seconds": seconds}


def whole(peers, runs, steps, growth):
    """Seconds of a process with so many steps at (64, 16); MiB at (128, 32); MiB that more steps add."""
    results, failures = [], []
    for peer in peers:
        for name in variants(peer, 64, 16, 1, 0):
            try:
                seconds = [train_once("train", peer, name, 64, 16, steps)["seconds"] for _ in range(runs)]
                peak = train_once("train", peer, name, 128, 32, max(steps // 5, 1))["peak"] / 1024
                grown = None
                if peer == "ours" and name == "captured":
                    grown = train_once("grow", peer, name, 64, 16, growth)["growth"] / 1024
            except Failed as error:
                failures.append((peer, name, str(error)))
            else:
                results.append(
                    {"peer": peer, "variant": name, "seconds": seconds, "peak_mib": peak, "growth_mib": grown}
                )
            say(f"{peer}, {name}: done")
    rows = [
        (
            f"{r['peer']}, {r['variant']}",
            f"{statistics.median(r['seconds']):.2f}",
            f"{r['peak_mib']:.0f}",
            "" if r["growth_mib"] is None else f"{r['growth_mib']:.2f}",
        )
        for r in results
    ]
    header = (
        "",
        f"s, start to {steps} steps at (64, 16)",
        "peak MiB at (128, 32)",
        f"MiB more after {growth} steps",
    )
    return results, failures, table(header, rows)


def size(text):
    """(batch, width) of "64,16"."""
    batch, width = map(int, text.split(","))
    if min(batch, width) < 1:
        raise ValueError
    return batch, width


def main(arguments=None):
    """Print the table; with --write also bench/results/peers-….json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=size, metavar="B,H", help="batch and width, several")
    parser.add_argument("--threads", type=int, default=1, help="of every peer")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(PEERS), help="by commas")
    parser.add_argument("--replicas", nargs="+", type=int, default=[0], metavar="R", help="GANs at once")
    parser.add_argument("--bursts", type=int, default=25, help="of each variant")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one burst")
    parser.add_argument("--quick", action="store_true", help="a few very short bursts: to see that it works")
    parser.add_argument("--whole", action="store_true", help="start, memory, growth of whole processes")
    parser.add_argument("--runs", type=int, default=5, help="with --whole: processes of each variant")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peers {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    asked = [peer for peer in PEERS if peer in options.peers or peer == BASE]
    versions = {peer: installed(peer) for peer in asked}
    peers = [peer for peer in asked if versions[peer] is not None]
    for peer in asked:
        if versions[peer] is None:
            print(f"{peer}: not installed")
    if options.quick:
        options.bursts, options.seconds, options.runs = 3, 0.01, 1
    record = {"versions": {peer: versions[peer] for peer in peers}, "threads": options.threads}
    if options.whole:
        steps, growth = (50, 100) if options.quick else (5000, 100_000)
        results, failures, text = whole(peers, options.runs, steps, growth)
        name = "peers-whole"
        record |= {"runs": options.runs, "steps": steps, "growth_steps": growth}
    else:
        many = options.replicas != [0]
        name = f"peers-{'replicas-' if many else ''}{options.threads}"
        results, failures = [], []
        for batch, width in options.sizes or (SIZES_OF_REPLICAS if many else SIZES):
            for replicas in options.replicas:
                measured = measure(
                    peers, batch, width, options.threads, replicas, options.bursts, options.seconds
                )
                results += measured[0]
                failures += [(f"({batch}, {width})", *failure) for failure in measured[1]]
        text = tabulate(results)
        record |= {"seconds_per_burst": options.seconds}
    print(text)
    disturbed = sum(r.get("disturbed", 0) for r in results)
    if disturbed:
        print(f"{disturbed} bursts stayed disturbed after {REPEATS} trials: the machine is busy")
    for failure in failures:
        print("failed: " + ", ".join(failure))
    if options.write:
        say(write(name, record | {"results": results, "failures": failures}))


if __name__ == "__main__":
    main()

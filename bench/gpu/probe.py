"""Figures of a GPU, section by section: time on one is scarce, so all of it is prepared before.

    python -m bench.gpu.probe --budget 800       every section; writes bench/results/gpu-probe.json
    python -m bench.gpu.probe --section C,G      these alone; what the file already has is not run again
    python -m bench.gpu.probe --backend strict   a dry run on the strict device: no figure is kept

Each section is a process of its own with its own time limit, so a crash or a hung kernel costs that section
alone; the file is replaced after each figure. A section that ran out of time is "not finished": it is run
again by the next call, without what it had found. At the end stand the predictions beside what came.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import common
from bench.gpu.report import read, report
from bench.gpu.sections import SECTIONS, TIMED, Probe
from minigan import backend as backends
from minigan.machine import environment
from minigan.profiling import benchmark
from minigan.storage.files import write_atomic

ROOT = Path(__file__).parents[2]
GRACE = 10.0  # seconds until a killed process is given up
LEAST = 5.0  # seconds that a section needs to be begun
NOTHING = {"status": "crashed", "seconds": 0.0, "values": {}, "errors": {}}


def run_section(letter, backend, budget=600.0, told=lambda found: None, known=None):
    """What one section found, in this process; ``told`` is given what it has after each figure."""
    started = time.monotonic()

    def found(probe, status=None):
        values = {name: "dry run" for name in probe.values} if probe.dry else dict(probe.values)
        seconds = time.monotonic() - started
        return {
            "status": status or "not finished",
            "seconds": seconds,
            "values": values,
            "errors": probe.errors,
        }

    probe = Probe(backend, budget, lambda probe: told(found(probe)), known)
    try:
        if letter in TIMED and not probe.dry:
            benchmark.warm(backend, benchmark.WARM["cupy"])
        SECTIONS[letter].run(probe)
    except Exception as error:  # as in a note
        probe.errors["the section"] = f"{type(error).__name__}: {error}"[:300]
    if probe.late:
        return found(probe, "not finished")
    return found(probe, "failed" if probe.errors and not probe.values else "ok")


def isolated(letter, name, seconds, told=lambda found: None, known=None):
    """What one section found, in a process of its own, or had found when its time was up."""
    found = [NOTHING]

    def listen():
        for line in worker.stdout:
            with suppress(ValueError):  # a line that was cut, or somebody else's
                found.append(json.loads(line))
                told(found[-1])

    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as complaints:
        command = [sys.executable, "-m", "bench.gpu.probe", "--worker", letter, "--backend", name]
        environ = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # JAX else takes all memory
        environ |= {"CUPY_CACHE_DIR": cache} if letter == "D" else {}
        started, late = time.monotonic(), False
        # In a session of its own, so that what it started, which may still use the GPU, ends with it.
        worker = subprocess.Popen(
            [*command, "--budget", f"{0.9 * seconds:.0f}", "--known", json.dumps(known or {})],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True,
        )  # fmt: skip
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            worker.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(GRACE)
        listener.join(GRACE)
        worker.stdout.close()
        complaints.seek(0)
        lines = complaints.read().decode(errors="replace").strip().splitlines()
    last = found[-1]
    if late:
        return last | {"status": "not finished", "seconds": seconds}
    if worker.returncode == 0:
        return last
    errors = last["errors"] | {"process": (lines or [f"exit code {worker.returncode}"])[-1][:300]}
    return last | {"status": "crashed", "seconds": time.monotonic() - started, "errors": errors}


def write(path, backend, sections):
    """Replace the file by all sections so far."""
    record = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "environment": environment(),
        "device": backend.describe(),
        "sections": sections,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(record, indent=1).encode() + b"\n")


def letters(text):
    """The sections of "all", or of "A,C"."""
    asked = tuple(SECTIONS) if text == "all" else tuple(text.upper().split(","))
    unknown = [letter for letter in asked if letter not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}"
        )
    return asked


def parsed(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--section", type=letters, default=tuple(SECTIONS), metavar="A,B…|all")
    parser.add_argument("--budget", type=float, default=800.0, metavar="SECONDS", help="for all of them")
    parser.add_argument("--backend", choices=("cupy", "strict"), default="cupy", help="strict: a dry run")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="default: bench/results/gpu-probe.json")
    parser.add_argument("--worker", metavar="LETTER", help=argparse.SUPPRESS)
    parser.add_argument("--known", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run the sections that the file does not have yet; 6 where there is no GPU."""
    options = parsed(arguments)
    try:
        backend = backends.get(options.backend)
    except backends.BackendError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 6
    if options.worker:
        told = partial(print, flush=True)
        report_each = lambda found: told(json.dumps(found))  # noqa: E731
        report_each(run_section(options.worker, backend, options.budget, report_each, options.known))
        return 0
    dry = options.backend == "strict"
    path = options.out or (None if dry else common.RESULTS / "gpu-probe.json")
    sections = {} if path is None else read(path)
    until = time.monotonic() + options.budget
    for letter in options.section:
        section, left = SECTIONS[letter], until - time.monotonic()
        known = sections.get(letter, NOTHING)
        if known["status"] == "ok" and not dry:
            print(f"{letter} {section.title}: in the file already", file=sys.stderr)
            continue
        if left < LEAST:
            print(f"{letter} {section.title}: no time left; run it again to go on", file=sys.stderr)
            break

        def told(found, letter=letter, section=section):
            sections[letter] = {"title": section.title, **found}
            if path is not None:
                write(path, backend, sections)

        seconds = min(section.seconds, left)
        if dry:
            found = run_section(letter, backend, seconds)
        else:
            found = isolated(letter, options.backend, seconds, told, known["values"])
        found = found | {"values": known["values"] | found["values"]}  # one that crashed at once has none
        told(found)
        print(f"{letter} {section.title}: {found['status']}, {found['seconds']:.1f} s", file=sys.stderr)
        for name, error in found["errors"].items():
            print(f"  {name}: {error}", file=sys.stderr)
    print(report(sections))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

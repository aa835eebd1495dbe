"""What this machine offers a run, what is in its way, and what to do about it.

Nothing optional is imported: packages are found by their metadata, so a broken one cannot stop the diagnosis,
and a GPU is tried in a process of its own.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minigan.backend.cuda import installed
from minigan.compiler import c_compiler
from minigan.errors import StorageError
from minigan.machine import available_memory, environment, version
from minigan.storage.files import write_atomic

# The instruction sets that OpenBLAS's kernels use; architectures not named here use SSE alone.
KERNELS = {
    "AVX-512": ("skylakex", "cooperlake", "sapphirerapids"),
    "AVX2": ("haswell", "zen", "excavator"),
    "AVX": ("sandybridge", "bulldozer", "piledriver", "steamroller"),
}
FLAGS = {"AVX-512": "avx512f", "AVX2": "avx2", "AVX": "avx"}
REQUIRED = ("numpy", "scipy", "click", "rich", "msgspec", "safetensors", "filelock", "threadpoolctl")
EXTRAS = {"plot": "matplotlib", "sklearn": "scikit-learn"}
GPU_SECONDS = 120.0  # for a first kernel: a driver that hangs must not hang the doctor
MIN_FREE = 2**28  # bytes: below this even a small run may be refused memory or disk


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at: its value, whether it is as it should be, and what can be done about it."""

    name: str
    value: str
    ok: bool = True
    advice: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return asdict(self)


def diagnose(
    runs: str | os.PathLike[str] = "runs", environ: Mapping[str, str] | None = None
) -> list[Diagnosis]:
    """All findings, for runs that are to be below ``runs``, with ``os.environ`` if ``environ`` is None."""
    environ = os.environ if environ is None else environ
    facts = environment()
    return [
        Diagnosis("python", f"{facts['python']} on {facts['platform']}"),
        Diagnosis("minigan", facts["minigan"]),
        *(_required(name) for name in REQUIRED),
        *blas_findings(facts["blas"], processor_flags(), environ),
        Diagnosis("processor", f"{facts['cpu']}, {facts['cores']} cores"),
        _memory(available_memory()),
        write_finding(Path(runs)),
        *(_extra(extra, name) for extra, name in EXTRAS.items()),
        native_finding(),
        cupy_finding(installed()),
    ]


def as_dict(findings: list[Diagnosis]) -> dict[str, Any]:
    """The findings as one JSON object, ``ok`` if all are."""
    return {
        "schema": 1,
        "ok": all(finding.ok for finding in findings),
        "findings": [finding.as_dict() for finding in findings],
    }


def processor_flags() -> frozenset[str]:
    """The instruction sets of the processor, as Linux names them; empty where it does not tell."""
    try:
        found = re.search(
            r"^flags\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8", "replace"), re.MULTILINE
        )
    except OSError:
        found = None
    return frozenset(found[1].split()) if found else frozenset()


def blas_findings(
    library: Mapping[str, Any], flags: frozenset[str], environ: Mapping[str, str]
) -> list[Diagnosis]:
    """The library of matrix products, and whether something keeps it from the processor's best kernels."""
    if not library["name"]:
        return [
            Diagnosis(
                "blas", "unknown", True, "threadpoolctl does not know it, so its threads cannot be fixed"
            )
        ]
    architecture = library["architecture"] or "unknown"
    threads = library["threads"]
    count = f"{threads} thread{'s' * (threads != 1)}"
    text = f"{library['name']} {library['version']}, {architecture} kernels, {count}"
    used, best = kernel_level(architecture), next((name for name in FLAGS if FLAGS[name] in flags), "SSE")
    levels = [*FLAGS, "SSE"]
    slow = library["name"] == "openblas" and bool(flags) and levels.index(used) > levels.index(best)
    forced = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if environ.get(name)]
    if slow and "OPENBLAS_CORETYPE" in forced:
        setting = f"OPENBLAS_CORETYPE={environ['OPENBLAS_CORETYPE'][:40]!r}"
        advice = f"{setting} forces {used} kernels on a processor with {best}; unset it"
        findings = [Diagnosis("blas", text, False, advice)]
    elif slow:
        advice = f"it chose {used} kernels on a processor with {best}; a newer NumPy may know the processor"
        findings = [Diagnosis("blas", text, True, advice)]
    else:
        findings = [Diagnosis("blas", text)]
    if "OPENBLAS_L2_SIZE" in forced:
        advice = "it replaces the cache size that OpenBLAS would find and block its products by; unset it"
        findings.append(Diagnosis("OPENBLAS_L2_SIZE", environ["OPENBLAS_L2_SIZE"][:40], False, advice))
    return findings


def kernel_level(architecture: str) -> str:
    """The instruction set that OpenBLAS's kernels for ``architecture`` use."""
    return next((level for level, names in KERNELS.items() if architecture.lower() in names), "SSE")


def _required(name: str) -> Diagnosis:
    found = version(name)
    if found is None:
        return Diagnosis(name, "not installed", False, f"pip install {name}")
    return Diagnosis(name, found)


def _extra(extra: str, name: str) -> Diagnosis:
    found = version(name)
    if found is None:
        return Diagnosis(name, "not installed (optional)", True, f"pip install 'minigan[{extra}]'")
    return Diagnosis(name, found)


def _memory(available: int | None) -> Diagnosis:
    if available is None:
        return Diagnosis(
            "memory", "unknown", True, "this system does not tell, so sizes are not checked before a run"
        )
    text = f"{available / 2**30:.3g} GiB free"
    return Diagnosis(
        "memory", text, available >= MIN_FREE, None if available >= MIN_FREE else "close other programs"
    )


def write_finding(runs: Path) -> Diagnosis:
    """Whether a file can be written below ``runs``, or where it would be made; nothing is left behind."""
    place = next(
        (folder for folder in (runs, *runs.absolute().parents) if os.path.lexists(folder)), Path.cwd()
    )
    probe = place / f".minigan-doctor-{os.getpid()}"
    try:
        write_atomic(probe, b"x")
        probe.unlink()
        free = shutil.disk_usage(place).free
    except StorageError as error:
        return Diagnosis("runs", str(runs), False, str(error))
    except OSError as error:
        return Diagnosis("runs", str(runs), False, f"{error.strerror}; choose another directory with --out")
    text = f"{runs}: can be written, {free / 2**30:.3g} GiB free"
    return Diagnosis("runs", text, free >= MIN_FREE, None if free >= MIN_FREE else "make room for the runs")


def native_finding(trial: Callable[[], tuple[str, float, float]] = c_compiler.trial) -> Diagnosis:
    """Which C compiler makes native code, how long one source takes it, and how fast the products are."""
    try:
        version, seconds, rate = trial()
    except c_compiler.CompilerError as error:
        return Diagnosis("native code", "not to be had (optional)", True, f"runs use NumPy: {error}")
    text = f"{version}: a source in {seconds:.2g} s, products at {rate:.3g} GFLOP/s"
    try:
        if c_compiler.folder().exists():
            c_compiler.cache_folder()
    except c_compiler.CompilerError as error:
        return Diagnosis("native code", text, True, f"it is compiled in every process: {error}")
    return Diagnosis("native code", text)


TRY_GPU = """
import json, sys
sys.path.insert(0, sys.argv[1])
from minigan import backend
chosen, why = backend.automatic()
print(json.dumps([chosen.name, chosen.describe(), why]))
"""


def gpu_answer(code: str = TRY_GPU, timeout: float = GPU_SECONDS) -> tuple[str, str, str | None]:
    """What "auto" takes on this machine: its name, its description and the reason."""
    import json
    import subprocess
    import sys

    root = str(Path(__file__).parents[2])
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, root], capture_output=True, text=True, timeout=timeout, check=True
        )
        name, description, why = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return "numpy", "", f"a first kernel did not end within {timeout:g} s; look at nvidia-smi"
    except (subprocess.CalledProcessError, OSError, ValueError, IndexError) as error:
        return "numpy", "", f"trying it failed ({str(error)[-200:]}); look at nvidia-smi"
    return name, description, why


def cupy_finding(
    wheels: list[str], answer: Callable[[], tuple[str, str, str | None]] = gpu_answer
) -> Diagnosis:
    """What CuPy is installed, and whether it works: of two wheels each overwrites the other's files."""
    if len(wheels) > 1:
        names = " ".join(wheel.split()[0] for wheel in wheels)
        return Diagnosis(
            "cupy", ", ".join(wheels), False, f"pip uninstall {names}, then install the one for your CUDA"
        )
    if not wheels:
        advice = "runs use NumPy; for an NVIDIA GPU, pip install 'minigan[cuda13]'"
        return Diagnosis("cupy", "not installed (optional)", True, advice)
    name, description, why = answer()
    if name == "cupy":
        return Diagnosis("cupy", f"{wheels[0]}: {description}")
    return Diagnosis("cupy", wheels[0], True, f"runs use NumPy: {why}")

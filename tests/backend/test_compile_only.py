"""Every CUDA source compiles for the devices that we name, without spills: no GPU is needed for that."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from minigan.backend import BackendError, kernels, numpy_backend
from minigan.backend.cublas import load
from minigan.compiler.executions import fuse
from minigan.testing.strict.backend import strict
from minigan.training.config import Config, NetworkConfig, replace
from minigan.training.experiment import Experiment

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
FILES = sorted(path.stem for path in kernels.FOLDER.glob("*.cuh") if path.stem != "device")
SOURCES = {  # {name: what makes the text}
    "files": lambda: kernels.source(*FILES),
    "launches": lambda: generated("launches", (32,)),
    "block": lambda: generated("block", (32, 32)),
}
FUNCTION = re.compile(
    r"Function properties for (\w+)\s+(?:ptxas[ .]+)?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)
LIBRARIES = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12")


def generated(execution, widths):
    """What is written for the default experiment, penalties and all."""
    network = NetworkConfig(widths=widths)
    config = replace(Config(), generator=network, discriminator=network)
    experiment = Experiment(replace(config, backend="numpy", execution="recorded", batch=128))
    experiment.advance(1)
    return fuse(experiment.program, execution, numpy_backend, strict).source


def by_nvcc(text, folder, *options):
    """What nvcc makes of a source, and what it says; AssertionError if it refuses it."""
    file, out = folder / "kernel.cu", folder / "kernel.out"
    file.write_text(text)
    command = ["nvcc", "-std=c++17", "-ftz=true", *options, file, "-o", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out.read_bytes(), done.stderr


def by_nvrtc(text, library, kind, *options):
    """The same by the compiler that CuPy uses, which needs no driver for it; kind is CUBIN or PTX."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    failed = library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
    assert not failed
    options = [option.encode() for option in ("--ftz=true", *options)]
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert not failed, log.value.decode()[-3000:]
    assert not getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
    made = ctypes.create_string_buffer(size.value)
    assert not getattr(library, f"nvrtcGet{kind}")(program, made)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return made.raw, log.value.decode()


class Nvcc:
    """nvcc and ptxas."""

    def __init__(self, folders):
        self.folders = folders

    def log(self, text):
        """What ptxas says of a source for all architectures, given the instructions for the first one."""
        codes = f"-gencode=arch=compute_{ARCHITECTURES[0][3:]},code=[{','.join(ARCHITECTURES)}]"
        options = "-fatbin", "-Xptxas", "-v", codes
        return by_nvcc(text, self.folders.mktemp("nvcc"), *options)[1]

    def ptx(self, text):
        """The instructions before ptxas chooses those of a device."""
        return by_nvcc(text, self.folders.mktemp("nvcc"), "-ptx", "-arch=compute_90")[0].decode()


class Nvrtc:
    """NVRTC, which has ptxas inside."""

    def __init__(self, library):
        self.nvrtc = library

    def log(self, text):
        made = [
            by_nvrtc(text, self.nvrtc, "CUBIN", f"--gpu-architecture={a}", "--ptxas-options=-v")
            for a in ARCHITECTURES
        ]
        assert all(cubin for cubin, _ in made)
        return "\n".join(log for _, log in made)

    def ptx(self, text):
        return by_nvrtc(text, self.nvrtc, "PTX", "--gpu-architecture=compute_90")[0].decode()


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """A compiler for GPUs."""
    if shutil.which("nvcc"):
        return Nvcc(tmp_path_factory)
    try:
        return Nvrtc(load("nvrtc", LIBRARIES))
    except BackendError:
        pytest.skip("there is neither nvcc nor NVRTC here")


def spills(log):
    """{kernel: most bytes that it spills} of a compiler's log."""
    found = {}
    for name, *sizes in FUNCTION.findall(log):
        found[name] = max(found.get(name, 0), *map(int, sizes))
    return found


def kernel_names(text):
    return set(
        re.findall(r"__global__\s+void\s+(\w+)\s*\(", re.sub(r"__launch_bounds__\s*\([^)]*\)", "", text))
    )


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_compiles_and_spills_nothing(compiler, name):
    text = SOURCES[name]()
    found = spills(compiler.log(text))
    assert found.keys() == kernel_names(text)
    assert {kernel: size for kernel, size in found.items() if size} == {}


def test_a_source_that_spills_is_seen(compiler):
    text = """
    extern "C" __global__ void __launch_bounds__(1024, 2) crowded(float* x) {
        float y[200];
        for (int i = 0; i < 200; i++) y[i] = x[i * 1024 + threadIdx.x];
        for (int k = 0; k < 200; k++) {
            float s = 0;
            #pragma unroll
            for (int i = 0; i < 200; i++) s += y[i] * (i * i % 7);
            x[k] = s;
            #pragma unroll
            for (int i = 0; i < 200; i++) y[i] = y[i] * s + x[i];
        }
    }
    """
    assert spills(compiler.log(text))["crowded"] > 0


def test_a_source_with_an_error_is_refused(compiler):
    with pytest.raises(AssertionError, match="undeclared_thing"):
        compiler.log('extern "C" __global__ void f(int* x) { x[0] = undeclared_thing; }')


def test_no_rounding_of_philox_is_fused_away(compiler):
    """A product and a sum that became one instruction would be rounded otherwise than NumPy's."""
    assert "fma" in compiler.ptx('extern "C" __global__ void f(float* x) { x[0] = x[1] * x[2] + x[3]; }')
    written = compiler.ptx(kernels.source("philox"))
    assert "fma" not in written and "approx" not in written
    assert {"mul.rn.ftz.f32", "add.rn.ftz.f32", "div.rn.f64", "sqrt.rn.f64"} <= set(written.split())


def test_every_file_is_looked_at():
    assert {"philox", "gemm"} <= set(FILES)
    assert {path.suffix for path in Path(kernels.FOLDER).iterdir() if path.is_file()} == {".cuh", ".py"}

"""CUDA C as machine code, in text: by NVRTC and nvdisasm out of NVIDIA's wheels, without a GPU."""

import ctypes
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.sass.warps import parse
from minigan.backend.cublas import load
from minigan.errors import UnavailableError

WHEELS = "pip install nvidia-cuda-nvrtc nvidia-cuda-nvdisasm"
USED = re.compile(r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
                  r"(\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)", re.DOTALL)  # fmt: skip


class Kernel(NamedTuple):
    """One kernel: what `parse` makes of it, what ptxas says of it, and its banks of constants."""

    code: tuple
    registers: int
    spilled: int
    static_shared: int
    constants: dict

    @property
    def size(self):
        """Bytes of machine code, without what fills its end."""
        lines = self.code[0]
        last = max(k for k, line in enumerate(lines) if line.name != "NOP")
        return 16 * (last + 1)


def _in_wheels(pattern):
    """Files of NVIDIA's wheels, as they lie on the path of Python."""
    roots = [Path(p) / "nvidia" for p in sys.path]
    return [str(path) for root in roots if root.is_dir() for path in sorted(root.rglob(pattern))]


def find():
    """(NVRTC, path of nvdisasm).    Raises:  UnavailableError – if one of them is nowhere"""
    disassembler = shutil.which("nvdisasm") or next(iter(_in_wheels("bin/nvdisasm")), None)
    try:
        library = load("nvrtc", [*_in_wheels("libnvrtc.so.*"), "libnvrtc.so", "libnvrtc.so.13"])
    except RuntimeError:
        library = None
    if library is None or disassembler is None:
        raise UnavailableError(f"machine code is counted with NVIDIA's compiler and disassembler: {WHEELS}")
    return library, disassembler


def version(library):
    """NVRTC's version, as text."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"NVRTC {major.value}.{minor.value}"


def compile_source(library, text, architecture):
    """(cubin, log of ptxas) of a source, compiled as CuPy does.    Raises:  ValueError – if refused"""
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
    wanted = ("--ftz=true", "-std=c++17", f"--gpu-architecture={architecture}", "--ptxas-options=-v")
    options = (ctypes.c_char_p * len(wanted))(*(o.encode() for o in wanted))
    failed = library.nvrtcCompileProgram(program, len(options), options)
    log = _made(library, program, "ProgramLog").decode(errors="replace")
    if failed:
        raise ValueError(log.strip("\0")[-3000:])
    cubin = _made(library, program, "CUBIN")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return cubin, log


def _made(library, program, what):
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, text)
    return text.raw


def sections(cubin):
    """{name: bytes} of an ELF file."""
    start, entry, count, names = struct.unpack_from("<Q10xHHH", cubin, 40)
    heads = [struct.unpack_from("<IIQQQQ", cubin, start + k * entry) for k in range(count)]
    strings = cubin[heads[names][4] :]
    found = {}
    for name, kind, _, _, offset, size in heads:
        title = strings[name : strings.index(b"\0", name)].decode()
        found[title] = bytes(size) if kind == 8 else cubin[offset : offset + size]
    return found


def kernels(text, architecture, tools=None):
    """{name: Kernel} of a source."""
    library, disassembler = tools or find()
    cubin, log = compile_source(library, text, architecture)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        done = subprocess.run([disassembler, "-c", file], capture_output=True, text=True, check=True)
    raw, found = sections(cubin), {}
    parts = re.split(r"\.section\s+\.text\.(\w+),", done.stdout)
    codes = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, _, stores, loads, registers, rest in USED.findall(log):
        banks = {n: raw.get(f".nv.constant{n}.{name}") or raw.get(f".nv.constant{n}") for n in (2, 3, 4)}
        static = re.search(r"(\d+) bytes smem", rest)
        found[name] = Kernel(
            parse(codes[name]),
            int(registers),
            int(stores) + int(loads),
            int(static[1]) if static else 0,
            {n: bank for n, bank in banks.items() if bank},
        )
    return found

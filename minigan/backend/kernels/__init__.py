"""The CUDA sources of the package, as text.

They are CUDA C that NVRTC and nvcc take as it stands; minigan.testing.cuda_on_cpu runs the same text on the
CPU.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def source(*names: str) -> str:
    """The text of these sources, one after the other, device.cuh before all: source("philox", "gemm")."""
    parts = [(FOLDER / f"{name}.cuh").read_text(encoding="utf-8") for name in ("device", *names)]
    return "\n".join(parts)

"""The source that an execution of a recorded step is compiled from, with its stages above it."""

from typing import Any

from minigan.errors import ConfigError


def source_of(program: Any, execution: str) -> str:
    """The stages of a step as comments, and their source; no device is needed.

    execution  "native" (C), "launches" or "block" (CUDA C)

    Raises:  ConfigError – for a step that cannot be executed so
    """
    from minigan import backend
    from minigan.compiler.executions import fuse
    from minigan.compiler.graph import UnplannableError

    device = backend.numpy_backend if execution == "native" else backend.get("strict")
    try:
        fused = fuse(program, execution, backend.numpy_backend, device)
    except UnplannableError:
        otherwise = "it is planned instead" if execution == "native" else "a GPU runs it as it was recorded"
        raise ConfigError(f"this step cannot be {execution}; {otherwise}") from None
    lines = ["depth: a stage → what it writes", *str(fused.stages).splitlines()]
    if execution == "native":
        lines.append(f"numbers, which are no part of what is compiled: {', '.join(map(repr, fused.numbers))}")
    head = "".join(f"// {line}\n" for line in lines)
    return f"{head}\n{fused.source}"

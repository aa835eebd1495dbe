"""Write minigan/testing/strict/cupy_api.json: CuPy's public names and what they take, off its wheel.

    python tests/testing/make_cupy_api.py

Needs no GPU. The strict device has no other names than these and binds every call against these signatures;
test_strict.py compares the file with this script's result wherever CuPy is installed.
"""

import inspect
import json
import re
from pathlib import Path

LATER = {"__buffer__", "__release_buffer__"}  # Python's own since 3.12, for what has a buffer in C
PATH = Path(__file__).parents[2] / "minigan" / "testing" / "strict" / "cupy_api.json"


def signature(function):
    """[[name, kind, whether it may be left out], …]; None where nothing tells."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        found = _from_docstring(function.__doc__ or "")
    if found is None:
        return None
    parameters = [p for p in found.parameters.values() if p.name != "self"]
    return [[p.name, int(p.kind), p.default is not p.empty] for p in parameters]


def _from_docstring(text):
    """What Cython writes there: "_ndarray_base.swapaxes(self, Py_ssize_t axis1, Py_ssize_t axis2) -> …"."""
    found = re.match(r"[\w.]+\((.*?)\)(?: ->.*)?(?:\n|$)", text)
    if found is None:
        return None
    parameters, kind = [], inspect.Parameter.POSITIONAL_OR_KEYWORD
    for part in filter(None, (part.strip() for part in found[1].split(","))):
        name, _, default = part.partition("=")
        name = name.split()[-1]
        if name == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
            continue
        stars = len(name) - len(name.lstrip("*"))
        its = (kind, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)[stars]
        kind = inspect.Parameter.KEYWORD_ONLY if stars == 1 else kind
        given = {"default": default} if default else {}
        parameters.append(inspect.Parameter(name.lstrip("*"), its, **given))
    return inspect.Signature(parameters)


def described(x, cupy):
    """What a public name stands for."""
    if isinstance(x, cupy.ufunc):
        return {"kind": "ufunc", "nin": x.nin, "nout": x.nout}
    if isinstance(x, type):
        return {"kind": "type"}
    if inspect.ismodule(x):
        return {"kind": "module"}
    if callable(x):
        return {"kind": "function", "parameters": signature(x)}
    return {"kind": "constant"}


def public(x):
    """The names of x that do not begin with an underscore."""
    return [name for name in sorted(dir(x)) if not name.startswith("_")]


def api():
    """Everything, as JSON has it."""
    import cupy
    import cupyx.scipy.special as special

    def method(name):
        f = getattr(cupy.ndarray, name)
        return signature(f) if callable(f) else "attribute"

    operators = set(dir(cupy.ndarray)) - set(dir(object)) - LATER
    cuda = cupy.cuda
    classes = {
        "Stream": cuda.Stream,
        "Event": cuda.Event,
        "Graph": cuda.Graph,
        "MemoryPool": cuda.MemoryPool,
        "MemoryPointer": cuda.MemoryPointer,
        "Device": cuda.Device,
        "RawModule": cupy.RawModule,
        "RawKernel": cupy.RawKernel,
        "Generator": cupy.random.Generator,
        "Flags": cupy._core.flags.Flags,
        "ufunc": cupy.ufunc,
    }
    return {
        "version": cupy.__version__,
        "cupy": {name: described(getattr(cupy, name), cupy) for name in public(cupy)},
        "ndarray": {name: method(name) for name in public(cupy.ndarray)},
        "operators": {
            name: None for name in sorted(operators) if name.startswith("__") and name.endswith("__")
        },
        "classes": {name: public(kind) for name, kind in classes.items()},
        "modules": {
            "cuda": public(cuda),
            "cuda.runtime": public(cuda.runtime),
            "random": public(cupy.random),
            "cupyx.scipy.special": public(special),
        },
    }


def written(found):
    """The text of the file: one name on a line, so that a change of version reads as one."""
    parts = []
    for section, content in found.items():
        if isinstance(content, dict):
            lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
            parts.append(f" {json.dumps(section)}: {{\n{lines}\n }}")
        else:
            parts.append(f" {json.dumps(section)}: {json.dumps(content)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(written(api()), encoding="utf-8")
    print(f"{PATH}: {PATH.stat().st_size} bytes")

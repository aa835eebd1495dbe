"""A tensor's history, as text and as a picture's source (Graphviz DOT)."""

from collections.abc import Mapping
from itertools import count

from minigan.engine.tensor import Tensor

__all__ = ["as_dot", "as_text", "history"]
_ESCAPES = str.maketrans({'"': '\\"', "<": "‹", ">": "›"})


def history(y: Tensor) -> list[Tensor]:
    """The tensors from which y was computed, oldest first, y last: each once, however often it was used."""
    ages, stack = {y: 0}, [y]  # constants are of age 0, and stay in the order in which they are met
    while stack:
        if (call := (t := stack.pop()).call) is not None:
            ages[t] = call.age
            for x in call.inputs:
                if type(x) is Tensor and x not in ages:
                    ages[x] = 0
                    stack.append(x)
    return sorted(ages, key=ages.__getitem__)


def _labels(y: Tensor, names: Mapping[str, Tensor] | None) -> dict[Tensor, str]:
    given, others = {id(t.memory): name for name, t in (names or {}).items()}, count()
    return {t: given.get(id(t.memory)) or f"%{next(others)}" for t in history(y)}


def _operation(t: Tensor, labels: dict[Tensor, str]) -> str:
    if t.call is None:
        return "constant"
    if not t.call.inputs:
        return str(t.call.primitive)
    arguments = [labels[x] if type(x) is Tensor else repr(x) for x in t.call.inputs]
    arguments += [f"{key}={value}" for key, value in t.call.params.items()]
    return f"{t.call.primitive}({', '.join(arguments)})"


def as_text(y: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """One line per tensor, as a program would print it: ``%2: float64[3, 2] = multiply(x, %1)``.

    names  {"x": tensor}: what to call the tensors that have a name
    """
    labels = _labels(y, names)
    return "\n".join(f"{n}: {t.dtype}{list(t.shape)} = {_operation(t, labels)}" for t, n in labels.items())


def as_dot(y: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """The same as a directed graph in Graphviz's DOT language: values in boxes, arrows to what they made."""
    labels = _labels(y, names)
    number = {t: k for k, t in enumerate(labels)}
    style = 'node [shape=box, style=filled, fontname="Helvetica", fillcolor="#f4f4f4"]'
    lines = ["digraph history {", f"  rankdir=LR; {style};"]
    for t, n in number.items():
        kind = "constant" if t.call is None else str(t.call.primitive)
        colour = {"constant": "#e8e8e8", "variable": "#cfe3f7"}.get(kind, "#ffffff")
        title = ("" if kind in ("constant", "variable") else f"{kind}\\n") + labels[t].translate(_ESCAPES)
        shape = ", ".join(map(str, t.shape))
        lines.append(f'  t{n} [label="{title}\\n{t.dtype}[{shape}]", fillcolor="{colour}"];')
        for k, x in enumerate(() if t.call is None else t.call.inputs):
            source = f"t{number[x]}" if type(x) is Tensor else f"n{n}_{k}"
            if type(x) is not Tensor:
                lines.append(f'  {source} [label="{x!r}", shape=plaintext, fillcolor=none];')
            lines.append(f"  {source} -> t{n};")
    return "\n".join([*lines, "}"])

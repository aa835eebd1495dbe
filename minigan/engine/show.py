"""A tensor's history, as text and as a picture's source (Graphviz DOT)."""

from collections.abc import Mapping

from minigan.engine.tensor import Tensor, leaf

__all__ = ["as_dot", "as_text", "history"]
_ESCAPES = str.maketrans({'"': '\\"', "<": "‹", ">": "›"})


def history(y: Tensor) -> list[Tensor]:
    """The tensors from which y was computed, oldest first, y last: each once, however often it was used."""
    seen, stack = dict[Tensor, None](), [y]  # a dict: constants, which have no age, stay in this order
    while stack:
        t = stack.pop()
        if t not in seen:
            seen[t] = None
            if t.call is not None:
                stack.extend(x for x in t.call.inputs if type(x) is Tensor)
    return sorted(seen, key=lambda t: -1 if t.call is None else t.call.age)


def _named(y: Tensor, names: Mapping[str, Tensor] | None) -> tuple[list[Tensor], dict[Tensor, str]]:
    tensors = history(y)
    given = {id(t.memory): name for name, t in (names or {}).items()}  # a variable may share the array
    labels, counter = dict[Tensor, str](), 0
    for t in tensors:
        if id(t.memory) in given:
            labels[t] = given[id(t.memory)]
        else:
            labels[t], counter = f"%{counter}", counter + 1
    return tensors, labels


def _operation(t: Tensor, labels: dict[Tensor, str]) -> str:
    if t.call is None:
        return "constant"
    if t.call.primitive is leaf:
        return "variable"
    arguments = [labels[x] if type(x) is Tensor else repr(x) for x in t.call.inputs]
    arguments += [f"{key}={value}" for key, value in t.call.params.items()]
    return f"{t.call.primitive}({', '.join(arguments)})"


def as_text(y: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """One line per tensor, as a program would print it: ``%2: float64[3, 2] = multiply(x, %1)``.

    names  {"x": tensor}: what to call the tensors that have a name
    """
    tensors, labels = _named(y, names)
    return "\n".join(f"{labels[t]}: {t.dtype}{list(t.shape)} = {_operation(t, labels)}" for t in tensors)


def as_dot(y: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """The same as a directed graph in Graphviz's DOT language: values in boxes, arrows to what they made."""
    tensors, labels = _named(y, names)
    number = {t: k for k, t in enumerate(tensors)}
    style = 'node [shape=box, style=filled, fontname="Helvetica", fillcolor="#f4f4f4"]'
    lines = ["digraph history {", f"  rankdir=LR; {style};"]
    for t, n in number.items():
        kind = "constant" if t.call is None else str(t.call.primitive)
        colour = {"constant": "#e8e8e8", "leaf": "#cfe3f7"}.get(kind, "#ffffff")
        title = ("" if kind in ("constant", "leaf") else f"{kind}\\n") + labels[t].translate(_ESCAPES)
        shape = ", ".join(map(str, t.shape))
        lines.append(f'  t{n} [label="{title}\\n{t.dtype}[{shape}]", fillcolor="{colour}"];')
        for k, x in enumerate(() if t.call is None else t.call.inputs):
            if type(x) is Tensor:
                lines.append(f"  t{number[x]} -> t{n};")
            else:
                lines.append(f'  n{n}_{k} [label="{x!r}", shape=plaintext, fillcolor=none];')
                lines.append(f"  n{n}_{k} -> t{n};")
    return "\n".join([*lines, "}"])

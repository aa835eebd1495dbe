"""Nested tuples, lists and dicts of Tensors, as steps take and return them."""

from collections.abc import Callable
from typing import Any

CONTAINERS = (dict, tuple, list)  # in which a step may return its tensors


def leaves(structure: Any, kinds: Any = CONTAINERS) -> list[Any]:
    """What containers of these kinds hold, in order; None too."""
    if not isinstance(structure, kinds):
        return [structure]
    parts = structure.values() if isinstance(structure, dict) else structure
    return [leaf for part in parts for leaf in leaves(part, kinds)]


def mapped(f: Callable[[Any], Any], structure: Any, kinds: Any = CONTAINERS) -> Any:
    """The same containers of these kinds with f of what they hold; None stays."""
    if not isinstance(structure, kinds):
        return None if structure is None else f(structure)
    if isinstance(structure, dict):
        return {key: mapped(f, part, kinds) for key, part in structure.items()}
    parts = [mapped(f, part, kinds) for part in structure]
    return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)

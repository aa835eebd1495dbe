"""Messages between the process that trains and the one that serves its page: JSON, and arrays as they are.

Each is the length of its head as four bytes, the head, and the bytes of its arrays one after another.
"""

import json
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

Message = tuple[dict[str, Any], dict[str, np.ndarray]]


def packed(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> bytes:
    """A message as bytes."""
    arrays = arrays or {}
    forms = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
    head = json.dumps([content, forms]).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, *(array.tobytes() for array in arrays.values())])


def received(line: IO[bytes]) -> Message | None:
    """The next message; None where the other side has ended."""
    length = _exactly(line, 4)
    head = None if length is None else _exactly(line, int.from_bytes(length, "little"))
    if head is None:
        return None
    content, forms = json.loads(head)
    arrays = {}
    for name, kind, shape in forms:
        dtype = np.dtype(kind)
        data = _exactly(line, dtype.itemsize * int(np.prod(shape)))
        if data is None:
            return None
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    return content, arrays


def _exactly(line: IO[bytes], count: int) -> bytes | None:
    """So many bytes, which may come in pieces."""
    pieces, left = [], count
    while left:
        piece = line.read(left)
        if not piece:
            return None
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

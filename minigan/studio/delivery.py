"""What a page sends to its browser: all that is new of a frame in one message, as bytes.

Bokeh would send each source by itself, and ask the browser for a layout with each. Here a source of its own
carries a table of what is where and one array of bytes; ``UNPACK`` puts the columns into their sources there.
"""

import json
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource

Spec = list[Any] | dict[str, Any]  # of an array: type, place, shape; of others: their values, or their parts
UNPACK = """
const types = {float64: Float64Array, float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array};
const bytes = clock.data.bytes[0], Images = bytes.constructor;
const part = (type, at, n) => new types[type](bytes.buffer, bytes.byteOffset + at, n);
const column = (spec) => {
  if (spec.plain !== undefined) return spec.plain;
  if (spec.lengths !== undefined) {
    let at = spec.at;
    return spec.lengths.map((n) => { const made = part('float32', at, n); at += 4 * n; return made; });
  }
  const [type, at, shape] = spec;
  if (shape.length === 1) return part(type, at, shape[0]);
  return [new Images(part(type, at, shape[0] * shape[1]), shape)];
};
for (const [id, columns] of Object.entries(JSON.parse(clock.data.table[0]))) {
  const source = clock.document.get_model_by_id(id);
  if (source === null) continue;
  const data = Object.fromEntries(Object.entries(columns).map(([name, spec]) => [name, column(spec)]));
  source.setv({data}, {sync: false});
}
"""


class Delivery:
    """Columns of sources on their way to one browser.

    shown  by the number of a source, what the browser was last sent
    """

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, Any]] = {}
        self._waiting: set[str] = set()

    @property
    def waiting(self) -> bool:
        """Whether there is something that was not sent."""
        return bool(self._waiting)

    def put(self, source: ColumnDataSource, data: dict[str, Any]) -> None:
        """Have a source filled with the next message, if it holds something else."""
        if any(_is_image(values) and values[0].dtype != "uint8" for values in data.values()):
            source.data = data  # the browser has a class for each type of image
        elif not _same(self.shown.get(source.id), data):
            self.shown[source.id] = data
            self._waiting.add(source.id)

    def packed(self) -> dict[str, list[Any]]:
        """The columns of the message, and nothing waits any more."""
        store = _Store()
        table = {
            number: {name: store.add(values) for name, values in self.shown[number].items()}
            for number in sorted(self._waiting)
        }
        self._waiting.clear()
        return {"table": [json.dumps(table)], "bytes": [store.bytes()]}


class _Store:
    """Arrays one after another, each where its numbers may begin."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, values: Any) -> Spec:
        if isinstance(values, np.ndarray):
            return [values.dtype.name, self._place(values), list(values.shape)]
        if _is_image(values):
            return [values[0].dtype.name, self._place(values[0]), list(values[0].shape)]
        if len(values) and isinstance(values[0], np.ndarray):
            lengths = [len(one) for one in values]
            return {"lengths": lengths, "at": self._place(np.concatenate(values).astype("float32"))}
        return {"plain": [one.item() if hasattr(one, "item") else one for one in values]}

    def _place(self, array: np.ndarray) -> int:
        at, data = self._size, array.tobytes()
        room = -len(data) % 8
        self._parts += [data, bytes(room)]
        self._size += len(data) + room
        return at

    def bytes(self) -> np.ndarray:
        return np.frombuffer(b"".join(self._parts), "uint8")


def _is_image(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 1 and getattr(values[0], "ndim", 0) == 2


def _same(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Whether nothing moved; NaN is like itself."""
    return old is not None and old.keys() == new.keys() and all(_like(old[name], new[name]) for name in new)


def _like(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a is b or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if len(a) != len(b):
        return False
    return all(
        _like(x, y) if isinstance(x, np.ndarray) else x is y or x == y for x, y in zip(a, b, strict=True)
    )

"""Views in a page that is one file: Bokeh's own script, a document of each look, all frames in one table.

The table holds each array once, however many frames or looks show it, and is compressed; the page's script
(reports/page/report.js) unpacks it and swaps the columns of sources, as ``View.show`` does in Python.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.embed import json_item
from bokeh.layouts import column
from bokeh.resources import Resources

from minigan.views.look import CLIPPED, Columns, Look

Spec = int | dict[str, Any]  # of a column: the number of an array, or {"list": numbers} or {"plain": values}


def script() -> str:
    """The JavaScript with which a page draws, without a request to anywhere."""
    return "\n".join([*Resources(mode="inline", components=["bokeh"]).js_raw, CLIPPED])


def document(layout: Any) -> dict[str, Any]:
    """A layout as JSON that ``Bokeh.embed.embed_item`` draws."""
    item: dict[str, Any] = json.loads(json.dumps(json_item(layout)))
    return item


def stacked(look: Look, *layouts: Any) -> Any:
    """Layouts under each other, on the ground of a look."""
    return column(list(layouts), sizing_mode="stretch_width", spacing=10, styles={"background": look.panel})


class Store:
    """Arrays of frames, each once."""

    def __init__(self) -> None:
        self._arrays: list[dict[str, Any]] = []
        self._parts: list[bytes] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._size = 0

    def add(self, columns: Columns) -> dict[str, dict[str, Spec]]:
        """The columns of a frame, by the numbers of their arrays."""
        return {
            name: {key: self._spec(values) for key, values in source.items()}
            for name, source in columns.items()
        }

    def _spec(self, values: Any) -> Spec:
        if isinstance(values, np.ndarray):
            return self._number(values)
        if len(values) and all(isinstance(value, np.ndarray) for value in values):
            return {"list": [self._number(value) for value in values]}
        return {"plain": [value.item() if hasattr(value, "item") else value for value in values]}

    def _number(self, array: np.ndarray) -> int:
        array = _shortened(np.ascontiguousarray(array))
        data = array.tobytes()
        key = array.dtype.str, array.shape, data
        if key not in self._known:
            self._known[key] = len(self._arrays)
            self._arrays.append({"type": array.dtype.name, "shape": array.shape, "at": self._size})
            room = -len(data) % 8  # every array begins where its numbers may
            self._parts.append(data + bytes(room))
            self._size += len(data) + room
        return self._known[key]

    def packed(self) -> dict[str, Any]:
        """What the page's script unpacks: arrays by type, shape and place, and the bytes of all of them."""
        packed = zlib.compress(b"".join(self._parts), 9)
        return {"arrays": self._arrays, "bytes": base64.b64encode(packed).decode()}


def _shortened(array: np.ndarray) -> np.ndarray:
    """In single precision, where that moves nothing by a hundredth of a pixel."""
    if array.dtype == "uint8":
        return array
    with np.errstate(all="ignore"):
        shorter = array.astype("float32")
        known = array[np.isfinite(array)]
        off = np.abs(known - shorter[np.isfinite(array)]).max(initial=0.0)
    fits = not len(known) or off <= 1e-5 * np.ptp(known)
    return shorter if fits else array.astype("float64")


def sources_of(frames: Sequence[Columns]) -> set[str]:
    """The sources that any of the frames fills."""
    return {name for columns in frames for name in columns}

"""The metrics of a run as columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigan.errors import nearest
from minigan.front.frames import library_called


class History(Mapping[str, np.ndarray]):
    """What was measured along a run, a column for each measure: ``history["ks"]``; docs/runs.md has them all.

    A number that was not there, or not finite, is NaN.    Shapes:  each column (evaluations,)
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        names = list(rows[0]) if rows else []
        self._columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
        if "step" in self._columns:
            self._columns["step"] = self._columns["step"].astype("int64")

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            raise KeyError(f"there is no column {name!r}; {nearest(name, self._columns)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def to_pandas(self) -> Any:
        """The columns as a data frame of pandas.    Raises:  UnavailableError – where pandas is not there"""
        return library_called("pandas").DataFrame(self._columns)

    def __repr__(self) -> str:
        steps = self._columns.get("step", np.empty(0, "int64"))
        last = f" up to step {steps[-1]}" if len(steps) else ""
        return f"<history of {len(steps)} evaluations{last}: {', '.join(self._columns)}>"


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)

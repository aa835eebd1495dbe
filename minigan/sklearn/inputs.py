"""What estimators are given: checked by scikit-learn, and refused with the names of the columns."""

import re
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from minigan.errors import DataError
from minigan.training.frames import names_in_frame, read_rows


def checked(estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool = True, least: int = 1) -> Any:
    """X as float64, or X and y, as scikit-learn has them; the estimator learns the names of the features.

    least  how many rows are needed

    Raises:  ValueError – for what is no table of finite numbers, of a data frame with the column
    """
    try:
        return validate_data(estimator, X, y, reset=reset, dtype=np.float64, ensure_min_samples=least)
    except (TypeError, ValueError):
        if said := _of_a_column(X):
            raise ValueError(said) from None
        raise


def _of_a_column(X: Any) -> str:
    """What is wrong with a column of a data frame; empty where that is not what is wrong."""
    names = names_in_frame(X) if hasattr(X, "shape") else ()
    try:
        if names:
            read_rows(X, names)
    except DataError as refused:
        return re.sub(r"columns=(\[.*\])$", r"X[\1]", str(refused))
    return ""

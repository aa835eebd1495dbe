"""What CuPy has: its names and signatures, read off its wheel, and which functions are special."""

import json
from pathlib import Path

import numpy as np

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text(encoding="utf-8"))
SCALARS = (int, float, complex, np.generic)
UFUNC_KEYWORDS = {"out", "dtype", "casting"}

OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "lshift": "left_shift", "rshift": "right_shift", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "matmul": "matmul",
}  # fmt: skip
COMPARISONS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
               "ne": "not_equal"}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}

BLAS = {"matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "kron", "linalg"}
SYNCING = {  # they have to know values before they can say what they return
    "argwhere", "bincount", "extract", "flatnonzero", "histogram", "histogram2d", "histogramdd",
    "intersect1d", "nanmax", "nanmin", "nonzero", "percentile", "place", "quantile", "setdiff1d", "setxor1d",
    "trim_zeros", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
}  # fmt: skip
ON_HOST = {  # what they return is no array
    "broadcast_shapes", "can_cast", "common_type", "isfortran", "isscalar", "iscomplexobj", "isrealobj",
    "issubdtype", "may_share_memory", "min_scalar_type", "ndim", "promote_types", "result_type",
    "shares_memory", "size", "shape",
}  # fmt: skip
IN_PLACE = {
    "fill_diagonal", "place", "put", "putmask", "ndarray.partition", "ndarray.put", "ndarray.sort",
}  # fmt: skip

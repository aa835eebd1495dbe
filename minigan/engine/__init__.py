"""The engine, what a student reads in an evening: tensors, primitives with their derivatives, reverse mode.

In order: tensor.py (a value, a call, the dispatch), notation.py, primitives.py (the table), autodiff.py,
anomaly.py, show.py. A step is recorded by compiler/, a derivative checked by testing/, networks are in nn/.
"""

__all__ = ["anomaly", "autodiff", "notation", "primitives", "show", "tensor"]

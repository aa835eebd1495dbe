"""The engine, what a student reads in an evening: tensors, primitives with their derivatives, reverse mode.

In order: tensor.py (a value, a call, the dispatch), notation.py, primitives.py (the table), autodiff.py,
gradcheck.py, anomaly.py, show.py. What records or plans a step is in compiler/, networks are in nn/.
"""

__all__ = ["anomaly", "autodiff", "gradcheck", "notation", "primitives", "show", "tensor"]

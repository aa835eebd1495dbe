"""The engine, what a student reads in an evening: tensors, primitives with their derivatives, reverse mode.

In reading order: tensor.py (a value, a call, the dispatch), notation.py, primitives.py (the table),
autodiff.py (`grad`), gradcheck.py, anomaly.py, show.py. What records, plans or writes code is in compiler/
and reaches in through one hook, ``tensor.observer``; networks and games are further up.
"""

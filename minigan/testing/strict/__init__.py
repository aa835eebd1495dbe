"""The strict device: made of NumPy, it behaves like a GPU under CuPy, and finds GPU bugs without one.

``mg.get_backend("strict")`` is the backend on it; ``--backend strict`` on the command line. It has the names
that CuPy has (cupy_api.json, read off the real wheel), binds every call against CuPy's signature, keeps host
and device apart, refuses work on one stream that nothing orders after work on another, and captures graphs
in which nothing runs before their launch and whose temporaries are poisoned. Results are NumPy's own,
bitwise, so any difference to the ``numpy`` backend is a bug of the caller.
It says nothing about speed.

api          names, signatures, and which functions are special
memory       pools, and what freed memory holds
streams      streams, events, captures and graphs
array        the arrays
functions    functions and ufuncs under CuPy's signatures
device       launches, transfers, waits and their counters
raw_kernels  CUDA C, compiled for the CPU
namespace    what stands in for the module cupy
backend      the backend on all this

Attributes that begin with _ are no names of CuPy's: users see none, the files of this folder do.
What is not here: kernels on the CPU (cuda_on_cpu.py), and the code under test (minigan/backend/cuda.py).
"""

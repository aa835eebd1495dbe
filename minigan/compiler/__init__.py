"""The compiler: a step recorded as data, planned, and written as NumPy or CUDA code."""

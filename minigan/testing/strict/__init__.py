"""A device made of NumPy that refuses what CuPy refuses."""

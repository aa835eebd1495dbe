"""What the machine code of generated kernels costs, counted without a GPU: python -m bench.sass.

What belongs here: the compiler and the disassembler of NVIDIA (compiled), a model that executes machine code
and counts (warps), which kernels are counted (__main__, of large steps large), and the tables of them (show).

What does not: times. They come from a GPU alone (bench.gpu).
"""

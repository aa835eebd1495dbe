"""The compiler: a step recorded as data, planned, and written as NumPy code, C or CUDA C.

What belongs here: recording (capture, trace, program), the ways to run a recording (executions), the graph of
values and its rewrites (graph, passes/), where they live (memory), plans for NumPy (planner, numpy_code), and
fused steps (shadow, stages, places, expressions, regions): on GPUs (cuda_code and cuda_launches; cuda_block
with block_schedule and block_code), and as native code of the CPU (native_code, native, native.h, c_compiler,
self_check). It watches the engine through one hook, `observer`; the engine knows nothing of it.

What does not: derivatives and primitives (engine/), arrays and devices (backend/), anything of networks,
games or training, and what only measures programs (profiling/).
"""

"""The lines of native code, each with the time that it takes within a step.

A second library is made of the same source, in which every line of the step is timed where it stands; a look
at the clock costs some 25 ns of each.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.compiler import c_compiler
from minigan.compiler.program import Program
from minigan.profiling.line_costs import Line

RUNS = 9  # of the block of steps; of each line the median counts


def lines_of_native(program: Program, blocks: Sequence[Any]) -> tuple[Line, ...]:
    """A line for each function, in the order of the step; blocks as ``each`` takes them."""
    plan, count = program.plan, len(blocks[0])
    source, names = plan.timed()
    library = c_compiler.load(source)
    spent = c_compiler.table_of(library, "times", len(names))
    shipped, plan._train = plan._train, library
    rows = []
    try:
        for _ in range(RUNS):
            spent[:] = 0
            program._run(list(blocks), count)
            rows.append(spent / count / 1e3)
    finally:
        plan._train = shipped
    stages = {function.name: (stage, function) for stage, function in plan.functions.items()}
    lines = []
    for number, (name, time) in enumerate(zip(names, np.median(rows, axis=0).tolist(), strict=True), 1):
        stage, function = stages.get(name.removesuffix("_end"), (None, None))
        if stage is None:
            lines.append(Line(number, 1, f"{name}: a factor transposed", "copies", None, 0, time, None))
            continue
        total: Any = None if name.endswith("_end") else stage.total
        product = total is not None and total.op == "matmul"
        kind = "products" if product else "elementwise" if total is None else "sums"
        terms = total.inputs[0].shape[-1] if product else 0
        flops = 2 * math.prod(stage.shape) * terms * plan.stages.replicas
        what = f"{name}: {', '.join(node.op for node in stage.outputs)} {list(stage.shape)}"
        lines.append(Line(number, 1, what, kind, None, flops, time, None))
    return tuple(lines)

"""A few steps in thread blocks, for a profiler or a sanitizer to look at.

python -m bench.gpu.one BACKEND default      four steps of what minigan trains
python -m bench.gpu.one BACKEND 128,32,132   batch, width, GANs: some steps of the GAN of minigan bench
"""

import sys

from minigan import backend as backends
from minigan.profiling import work
from minigan.profiling.results import Size
from minigan.profiling.work import Variant
from minigan.training.config import Config, replace
from minigan.training.experiment import Experiment


def main(name, what, config=None):
    """Train for as long as it takes to see each kernel once."""
    backend = backends.get(name)
    if what == "default":
        experiment = Experiment(replace(config or Config(), backend=name, execution="block"))
        experiment.advance(4)
    else:
        size = Size(*map(int, what.split(",")))
        work.make_step(backend, Variant(name, "block"), size, checked=2).call()
    backend.synchronize()
    print("done", name, what)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))

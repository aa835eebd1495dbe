"""Long forms of the tests of faults: each module measures whether one promise holds, many times over.

A module has ``measure(count, …)``, which returns figures ready for JSON, and beside them ``failures``, a
count for each way to fail, and ``examples``, one case of each that happened. The suite calls it with small
counts.
"""

SOAKS = {  # name: (module, count of the long form); imported when it is run
    "damage": ("bench.soak.damage", 1_000_000),
    "fuzz": ("bench.soak.fuzz", 500_000),
    "growth": ("bench.soak.growth", 1_000_000),
    "operations": ("bench.soak.operations", 200),
    "writers": ("bench.soak.writers", 250),
    "kills": ("bench.soak.kills", 1000),
    "signals": ("bench.soak.signals", 200),
    "native": ("bench.soak.native", 200),
    "cluster": ("bench.soak.cluster", 64),
}

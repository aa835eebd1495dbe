"""Tables from bench/results that one benchmark or soak makes alone, and two of the code: name → function.

A table has the columns that the benchmark itself prints. What bench.peers measured is in bench.report.
"""

import json
import re
import statistics

from bench import (
    advice,
    classifiers,
    crossfit,
    draws,
    dynamics,
    fgan,
    galaxies,
    labels,
    modes,
    native,
    optimal_discriminator,
    presets,
    quality,
    separation,
    several,
    startup,
    sweeps,
    verdict,
)
from bench.common import table
from bench.sass import show as sass
from minigan.gan.objectives import OBJECTIVES
from minigan.training.config import fields


def rows_of(module, *records):
    """The table that a module's HEADER and cells make of the results in its records."""
    return table(module.HEADER, [module.cells(row) for record in records for row in record["results"]])


def of_startup(record):
    """Seconds of whole processes, and what `import minigan` costs beyond NumPy."""
    times = record["seconds"].items()
    body = [(name, *(f"{f(t):.2f}" for f in (statistics.median, min, max))) for name, t in times]
    beyond = f"`import minigan` costs {record['import_beyond_numpy']:.2f} s beyond NumPy."
    fit = f"The first `mg.fit` of a process takes {record['fit_beyond_training']:.2f} s beyond its training."
    times_table = table(("", "median s", "minimum s", "maximum s"), body)
    return f"{times_table}\n\n{beyond} {fit}\n\n{startup.parts_table(record['cpu_parts'])}"


def of_modes(*records):
    """A line per preset, and one perfect sampler per distribution."""
    lines = {row["name"]: row for record in records for row in record["results"]}
    return table(modes.HEADER, [modes.cells(row) for row in lines.values()])


SOAKS = {  # what was injected; the figures are those of the result of that name
    "kills": "{kills} times SIGKILL at a random moment of runs with a checkpoint every few ms; weights, "
    "best, metrics, frames and verdict as in a run that was never stopped",
    "operations": "a kill at each of the {kills} file operations of a save, {errors} errors of four kinds "
    "there, {power_cuts} power cuts, full disks {full_disks[tmpfs]} times each in four ways",
    "signals": "{SIGINT_sent} SIGINT, {SIGTERM_sent} SIGTERM and {SIGHUP_sent} SIGHUP at random moments: the "
    "slowest ends took {SIGINT_seconds_to_the_slowest_end}, {SIGTERM_seconds_to_the_slowest_end} and "
    "{SIGHUP_seconds_to_the_slowest_end} s, and each went on to the same bits",
    "writers": "{starts} starts on directories that were taken: the slowest refusal took "
    "{slowest_refusal_seconds} s; {reads} reads while {steps_meanwhile} steps were written",
    "damage": "of a checkpoint of {file_bytes} bytes every truncation, every bit ({bit_of_the_header} of the "
    "header, {bit_of_the_arrays} of the arrays) and {mutant} other mutants: no code run, no traceback, no "
    "altered file accepted",
    "fuzz": "{configurations[cases]} configurations, {data[cases]} data files, {records[cases]} records of "
    "runs, {arguments[cases]} command lines, {seeds[cases]} seeds: each refused in a sentence, or right",
    "growth": "{steps} steps: {collector_on[growth_mib]} MiB of growth after the first ones, "
    "{collector_off[growth_mib]} without the garbage collector",
    "native": "{games} random games as native code: {worst:.0e} from the eager engine at most, "
    "{under_sanitizers} of them under AddressSanitizer and UndefinedBehaviorSanitizer",
    "cluster": "{runs} runs on Dask over TLS in two network namespaces, one worker killed: {results} "
    "results, {equal_to_the_run_alone} with the bits of the run alone",
}


def of_soaks(*records):
    """A line per soak, none of which failed."""
    lines = zip(SOAKS.items(), records, strict=True)
    body = [(f"`{name}`", text.format(**record)) for (name, text), record in lines]
    return table(("`python -m bench.soak …`", "what was injected; nothing was lost or altered"), body)


def of_objectives():
    """A line per objective: formula and source."""
    return table(
        ("name", "formula", "source"), [(f"`{o.name}`", o.formula, o.source) for o in OBJECTIVES.values()]
    )


def of_settings():
    """A line per setting, those of both players in one: default, rule, meaning."""
    lines = {}
    for name, field in fields().items():
        group = re.sub("^(generator|discriminator)", "", name)
        lines.setdefault((group, field.rule, field.description), []).append((name, json.dumps(field.default)))
    body = [
        (
            ", ".join(f"`{name}`" for name, _ in found),
            ", ".join(dict.fromkeys(d for _, d in found)),
            rule,
            text,
        )
        for (_, rule, text), found in lines.items()
    ]
    return table(("setting", "default", "rule", "what it is"), body)


MODES = ("modes-ring8", "modes-ring8-plain", "modes-ring8-saturating", "modes-grid25")
TABLES = {  # name: (the results that it is made of, function of their contents)
    "quality": (("quality",), lambda r: rows_of(quality, r)),
    "ablation": (("ablation",), lambda r: rows_of(quality, r)),
    "pieces": (("pieces",), quality.pieces_table),
    "separation": (("separation",), lambda r: rows_of(separation, r)),
    "verdict": (("verdict",), lambda r: rows_of(verdict, r | {"results": verdict.lines_of(r["results"])})),
    "verdict-together": (("verdict",), verdict.together_table),
    "crossfit": (("crossfit",), crossfit.show),
    "presets": (("presets",), lambda r: rows_of(presets, r)),
    "startup": (("startup",), of_startup),
    "draws": (("draws",), lambda r: rows_of(draws, r)),
    "sweeps": (("sweeps",), lambda r: rows_of(sweeps, r)),
    "native": (("native",), native.show),
    "sass": (("sass",), sass.changes),
    "sass-large": (("sass",), sass.changes_of_large),
    "modes": (MODES, of_modes),
    "several-pieces": (("several-pieces",), several.pieces_table),
    "several": (("several",), lambda r: rows_of(several, r)),
    "advice": (("advice",), lambda r: rows_of(advice, r)),
    "fgan": (("fgan",), lambda r: rows_of(fgan, r)),
    "optimal_discriminator": (("optimal_discriminator",), lambda r: rows_of(optimal_discriminator, r)),
    "trained_objectives": (("optimal_discriminator",), optimal_discriminator.objectives_table),
    "dirac": (("dynamics",), lambda r: dynamics.dirac_table(r["dirac"])),
    "intervals": (("dynamics",), lambda r: dynamics.interval_table(r["intervals"])),
    "posteriors": (("classifiers",), classifiers.posterior_table),
    "accuracies": (("classifiers",), classifiers.accuracy_table),
    "efron": (("classifiers",), classifiers.efron_table),
    "labels": (("labels",), labels.show),
    "galaxies": (("galaxies",), lambda r: rows_of(galaxies, r)),
    "objectives": ((), of_objectives),
    "settings": ((), of_settings),
    "soaks": (tuple(f"soak-{name}" for name in SOAKS), of_soaks),
}

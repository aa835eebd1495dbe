"""Every preset once, as `minigan train NAME` runs it: how long it takes and what comes of it.

    python -m bench.presets                all of them, one after the other
    python -m bench.presets --only hinge   one, in its place among the stored ones

One seed each, one thread, seconds of processor time: what to expect, not a comparison of methods.
"""

import argparse
import json
import sys
import tempfile
import time

from bench.common import RESULTS, table, write
from minigan.errors import DivergedError
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.data import read_data
from minigan.training.experiment import Experiment
from minigan.training.presets import PRESETS
from minigan.training.settings import resolve
from minigan.training.trainer import train

KEPT = ("ks", "ks_p", "w1", "mean", "sd", "modes", "hq", "reverse_kl")  # of the last row of metrics
HEADER = ("preset", "s", "KS", "p", "mean", "sd", "modes", "HQ", "reverse KL", "verdict")


def run(name, sets=()):
    """Train one preset in a directory that is thrown away; what is worth keeping of it."""
    config = resolve(name, environ={}, sets=sets)
    data = read_data(config.data) if config.data else None
    started = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        try:
            with RunDirectory.create(place, name, to_json(config)) as directory:
                outcome = train(Experiment(config, data=data), directory)
        except DivergedError as error:
            seconds = round(time.process_time() - started, 1)
            return {"name": name, "seconds": seconds, "diverged": str(error)}
    row = {key: outcome.row.get(key) for key in KEPT}
    told = "can be told" if outcome.verdict.distinguishable else "cannot be told"
    seconds = round(time.process_time() - started, 1)
    return {"name": name, "seconds": seconds, **row, "pvalue": outcome.verdict.pvalue, "verdict": told}


def cells(result):
    """The cells of one preset."""

    def number(key, form=".3g"):
        value = result.get(key)
        return "" if value is None else format(value, form)

    numbers = [number(key) for key in ("seconds", "ks", "pvalue", "mean", "sd", "modes", "hq", "reverse_kl")]
    return (result["name"], *numbers, "diverged" if "diverged" in result else result["verdict"])


def main(arguments=None):
    """Print the table and write bench/results/presets.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=PRESETS, help="run this one; repeatable")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the presets"
    )
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    results = []
    for name in options.only or PRESETS:
        results.append(run(name, options.sets))
        print("  ".join(cells(results[-1])), file=sys.stderr, flush=True)
    print(table(HEADER, [cells(result) for result in results]))
    if not options.no_write:
        path = RESULTS / "presets.json"
        stored = json.loads(path.read_text())["results"] if path.exists() else []
        known = {result["name"]: result for result in (*stored, *results)}
        content = {"sets": options.sets, "results": [known[name] for name in PRESETS if name in known]}
        print(write("presets", content), file=sys.stderr)


if __name__ == "__main__":
    main()

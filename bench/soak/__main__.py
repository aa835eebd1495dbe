"""Run the long forms and print a line per figure; with --write keep them in bench/results/soak-NAME.json.

    python -m bench.soak all                  every one, at its full length
    python -m bench.soak damage --count 1000  one of them, shorter

Leaves with 1 if any failed.
"""

import argparse
import importlib
import sys
import time

from bench.common import write
from bench.soak import SOAKS


def lines(name, result):
    """What is printed: each figure, then each way to fail that happened, with its count and an example."""
    for key, value in result.items():
        if key not in ("failures", "examples"):
            yield f"{name}: {key.replace('_', ' ')}: {value}"
    for kind, count in result["failures"].items():
        if count:
            yield f"{name}: failed, {kind}: {count}, for example {result.get('examples', {}).get(kind)}"
    if not any(result["failures"].values()):
        yield f"{name}: none of {len(result['failures'])} ways to fail happened"


def main(arguments=None):
    """Run what was named; returns 1 if a soak failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=[*SOAKS, "all"])
    parser.add_argument("--count", type=int, help="instead of the length of the long form")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    failed = []
    for name in SOAKS if options.name == "all" else [options.name]:
        module, count = SOAKS[name]
        started = time.perf_counter()
        result = importlib.import_module(module).measure(options.count or count)
        result = {"seconds": round(time.perf_counter() - started, 1), **result}
        print(*lines(name, result), sep="\n", flush=True)
        if options.write:
            print(write(f"soak-{name}", result), file=sys.stderr)
        if any(result["failures"].values()):
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all promises held")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

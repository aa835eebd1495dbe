"""The tables and the picture of docs/, from the files of bench/results.

    python -m bench.report                     print every table
    python -m bench.report peers-1 quality     print these
    python -m bench.report --write             put them into the pages; draw speed.png, crossover.png
    python -m bench.report --figure FILE.svg   draw the picture there

In a page a table is between <!-- table: NAME --> and <!-- end -->. Those of bench.peers are made here: one
per number of threads, one for replicas, one for whole processes, and what measured them. The picture has a
line per peer, the fastest of its variants at each size; what Python runs in every step is a line apart.
"""

import argparse
import json
import math
import re
import statistics
import sys
from pathlib import Path

from bench import common
from bench.common import table
from bench.peers.__main__ import digits
from bench.tables import TABLES as OTHERS

COMMANDS = {
    "peers-1": "python -m bench.peers",
    "peers-2": "python -m bench.peers --threads 2",
    "peers-replicas-1": "python -m bench.peers --replicas 8 64",
    "peers-replicas-2": "python -m bench.peers --replicas 8 64 --threads 2",
    "peers-whole": "python -m bench.peers --whole",
}
PEERS = {  # in the order of the tables
    "numpy_by_hand": "NumPy by hand",
    "c_by_hand": "C by hand",
    "ours": "minigan",
    "torch_peer": "PyTorch",
    "jax_peer": "JAX",
    "autograd_peer": "HIPS autograd",
    "dezero_peer": "DeZero",
}
BASE = "numpy_by_hand"
COLOURS = {  # Okabe & Ito's, as in the figures of a run: black is what there is to reach
    "numpy_by_hand": "black",
    "c_by_hand": "#777777",
    "ours": "#D55E00",
    "torch_peer": "#0072B2",
    "jax_peer": "#009E73",
    "autograd_peer": "#CC79A7",
    "dezero_peer": "#E69F00",
}
FLOPS = 24  # of a step, over batch × width²: 12 products of (B, H) and (H, H)
PAGES = Path(__file__).parents[1] / "docs"
FIGURE = PAGES / "speed.png"
OTHER = "#8C8C8C"
HEADING = (
    "Time of the same GAN step over that of NumPy written by hand (dashed), the fastest way of each peer at "
    "each size, with 95 % intervals. Hollow: run by Python in every step."
)
RATIOS = (0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 30, 50, 100)  # that a panel names
GAP = 0.048  # between labels, as a share of the panel's height


class Refused(Exception):
    """A result is missing or holds none, or the pages have no place for a table."""


def read(name):
    """The record of one file of bench/results.

    Raises:  Refused – if it is missing or holds no results, naming the command that makes it
    """
    path, command = common.RESULTS / f"{name}.json", COMMANDS.get(name, "see bench/results/README.md")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise Refused(f"{path} {why}; make it by: {command} --write") from None
    except ValueError:
        record = None
    complete = isinstance(record, dict) and "environment" in record
    if not complete or (name in COMMANDS and not record.get("results")):
        raise Refused(f"{path} holds no results; make it anew by: {command} --write")
    return record


# ── tables
def spaced(number):
    """1 639."""
    return f"{number:,.0f}".replace(",", " ")


def count(number, noun, plural="s"):
    """1 thread, 2 threads, 5 000 steps."""
    return f"{spaced(number)} {noun}{plural * (number != 1)}"


def called(row):
    """The name of a variant."""
    return f"{PEERS.get(row['peer'], row['peer'])}, {row['variant']}"


def ordered(rows):
    """Rows by peer, as PEERS has them, and otherwise as they came."""
    places = list(PEERS)
    return sorted(rows, key=lambda r: places.index(r["peer"]) if r["peer"] in PEERS else len(places))


def cell(row):
    """µs (ratio)."""
    return f"{digits(row['microseconds'][1])} ({row['ratio']:.2f})"


def grid(key, names, rows, columns, label):
    """A table: a line per key(row), a column per size, "–" where nothing was measured."""
    lines = {}
    for r in rows:
        lines.setdefault(key(r), {})[columns(r)] = cell(r)
    sizes = sorted({columns(r) for r in rows})
    body = [(*line, *(cells.get(c, "–") for c in sizes)) for line, cells in lines.items()]
    return table((*names, *map(label, sizes)), body)


def of_threads(record):
    """µs per step and ratio to the best by hand: a row per variant, a column per size."""
    rows, threads = ordered(record["results"]), count(record["threads"], "thread")
    names = (f"µs per step, {threads}",)
    text = grid(lambda r: (called(r),), names, rows, lambda r: (r["batch"], r["width"]), str)
    return "\n".join([text, "", how([record])])


def of_replicas(records):
    """µs per GAN and step: a row per variant and number of threads, a column per size and R."""
    rows = ordered(r for record in records for r in record["results"])
    text = grid(
        lambda r: (called(r), r["threads"]),
        ("µs per GAN and step", "threads"),
        rows,
        lambda r: (r["batch"], r["width"], r["replicas"]),
        lambda size: "({}, {}), R = {}".format(*size),
    )
    return "\n".join([text, "", how(records)])


def of_processes(record):
    """Seconds and memory of whole processes."""
    header = (
        "",
        f"s, start to {count(record['steps'], 'step')} at (64, 16)",
        "peak MiB at (128, 32)",
        f"MiB more after {count(record['growth_steps'], 'step')}",
    )
    body = []
    for r in ordered(record["results"]):
        grown = "" if r["growth_mib"] is None else f"{r['growth_mib']:.2f}"
        body.append((called(r), f"{statistics.median(r['seconds']):.2f}", f"{r['peak_mib']:.0f}", grown))
    text = f"Seconds are medians of {count(record['runs'], 'process', 'es')}."
    return "\n".join([table(header, body), "", " ".join([text, *failures([record])])])


def how(records):
    """What the ratios are, and how far off they may be."""
    rows = [r for record in records for r in record["results"]]
    bursts = sorted({len(r["bursts"]) for r in rows})
    seconds = sorted({record["seconds_per_burst"] for record in records})
    widths = [max(r["interval"][1] - r["ratio"], r["ratio"] - r["interval"][0]) / r["ratio"] for r in rows]
    widths = [w for w, r in zip(widths, rows, strict=True) if not r["yardstick"]]
    text = (
        "In brackets the ratio to the best by hand at that size with as many threads, a median over "
        f"{span(bursts)} turns of {span(seconds)} s"
    )
    if widths:
        text += (
            f"; its 95 % interval reaches {100 * statistics.median(widths):.0f} % to either side (median), "
            f"{100 * max(widths):.0f} % at worst"
        )
    disturbed = sum(r["disturbed"] for r in rows)
    if disturbed:
        text += f"; {disturbed} of {sum(len(r['bursts']) for r in rows)} bursts were disturbed by other work"
    return " ".join([f"{text}.", *failures(records)])


def span(values):
    """25, or 3 to 25."""
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def failures(records):
    """A sentence on what was not timed, if anything."""
    found = [failure for record in records for failure in record["failures"]]
    names = dict.fromkeys(
        f"{called({'peer': peer, 'variant': variant})}{f' at {size[0]}' if size else ''}"
        for *size, peer, variant, _ in found
    )
    return [f"Not timed, as bench.peers says why: {'; '.join(names)}."] if names else []


def machines(records):
    """A line per machine and set of versions: mostly one."""
    seen, versions = {}, {}
    for record in records:
        e, blas = record["environment"], record["environment"]["blas"]
        where = (
            f"{e['cpu']}, {count(e['cores'], 'core')}, {e['platform']}; Python {e['python']}, "
            f"NumPy {e['numpy']} with {blas['name']} {blas['version']} ({blas['architecture']} kernels)"
        )
        seen.setdefault(where, []).append(record["measured"][:10])
        versions.setdefault(where, {}).update({p: v for p, v in record["versions"].items() if p != BASE})
    return "\n".join(
        f"Measured on {' to '.join(dict.fromkeys((min(dates), max(dates))))}: {where}; "
        + ", ".join(f"{PEERS.get(p, p)} {v}" for p, v in versions[where].items())
        + "."
        for where, dates in seen.items()
    )


PANELS = ("peers-1", "peers-2")  # of the picture
TABLES = OTHERS | {
    "peers-1": (("peers-1",), of_threads),
    "peers-2": (("peers-2",), of_threads),
    "peers-replicas": (("peers-replicas-1", "peers-replicas-2"), lambda *records: of_replicas(records)),
    "peers-whole": (("peers-whole",), of_processes),
    "peers-machines": (tuple(COMMANDS), lambda *records: machines(records)),
}
PLACE = re.compile(r"(?<=<!-- table: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def markdown(name):
    """One table of the pages."""
    files, make = TABLES[name]
    return make(*map(read, files))


def starred(text):
    """The stars of mixtures, 0.3*normal(…), as Markdown shows them; what is code shows them anyway."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"(?<=[\d.])\*(?=[a-z])", r"\\*", part) for part in parts[::2]]
    return "`".join(parts)


def filled(pages):
    """{path: text} of pages with every table made anew.

    Raises:  Refused – if a table has no place in them, or a place no table
    """
    places = [match[1] for text in pages.values() for match in PLACE.finditer(text)]
    if sorted(places) != sorted(TABLES):
        odd = ", ".join(sorted(set(places) ^ set(TABLES))) or "one of them twice"
        raise Refused(f"the places in {PAGES} and the tables are not the same: {odd}")

    def fill(match):
        return f"{match[1]}{match[2]}\n{starred(markdown(match[1]))}\n\n"

    return {path: PLACE.sub(fill, text) for path, text in pages.items()}


# ── the picture
def fastest(rows):
    """{(peer, eager): [((batch, width), ratio to the best by hand, its interval)]}, from small to large."""
    best = {}
    for r in ordered(rows):
        line = best.setdefault((r["peer"], r["variant"].startswith("eager")), {})
        point = r["microseconds"][1], r["ratio"], tuple(r["interval"])
        line[r["batch"], r["width"]] = min(point, line.get((r["batch"], r["width"]), point))
    return {key: [(size, *line[size][1:]) for size in sorted(line, key=flops)] for key, line in best.items()}


def flops(size):
    """Multiplications and additions of one step in the products of (B, H) and (H, H)."""
    batch, width = size
    return FLOPS * batch * width**2


def apart(places, gap):
    """Places at least a gap apart, in the same order, that are together least far from these.

    Source:  isotonic regression of places − k gap, pooling adjacent violators
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    pools = []  # [mean, members]
    for k, i in enumerate(order):
        pools.append([places[i] - k * gap, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [[(m * a + n * b) / (m + n), m + n]]
    levels = [mean for mean, members in pools for _ in range(members)]
    moved = [0.0] * len(places)
    for k, i in enumerate(order):
        moved[i] = levels[k] + k * gap
    return moved


def draw(records):
    """The picture: a panel per record of PANELS, the ratio to NumPy by hand at each size, on a log scale."""
    from matplotlib.figure import Figure

    from minigan.reports import style

    rows = [r for record in records for r in record["results"]]
    sizes = sorted({(r["batch"], r["width"]) for r in rows}, key=flops)
    found = [fastest(record["results"]) for record in records]
    ends = [end for lines in found for line in lines.values() for *_, interval in line for end in interval]
    with style.style():
        figure = Figure(figsize=(13.0, 5.4), dpi=style.DPI)
        figure.subplots_adjust(left=0.07, right=0.89, top=0.84, bottom=0.135, wspace=0.5)
        figure.text(0.055, 0.94, HEADING)
        for k, (record, curves) in enumerate(zip(records, found, strict=True), 1):
            ax = figure.add_subplot(1, len(records), k, yscale="log")
            ax.set_xlim(-0.35, len(sizes) - 0.65)
            ax.set_ylim(min(ends) / 1.15, max(ends) * 1.15)
            ax.set_xticks(range(len(sizes)), [f"{B} × {H}\n{si(flops((B, H)))}" for B, H in sizes])
            ticks = [t for t in RATIOS if ax.get_ylim()[0] <= t <= ax.get_ylim()[1]]
            ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
            ax.minorticks_off()
            ax.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            ax.set_axisbelow(True)
            ax.set_title(count(record["threads"], "thread"))
            ax.set_xlabel("batch × width; operations in products of hidden layers")
            ax.tick_params("x", labelsize=8)
            if k == 1:
                ax.set_ylabel("time over that of NumPy by hand")
            draw_lines(ax, curves, sizes)
    return figure


def draw_lines(ax, found, sizes):
    """The lines of a panel, with their names at their ends."""
    low, high = map(math.log, ax.get_ylim())
    ends = [(math.log(line[-1][1]) - low) / (high - low) for line in found.values()]
    for ((peer, eager), line), place in zip(found.items(), apart(ends, GAP), strict=True):
        colour, name = COLOURS.get(peer, OTHER), PEERS.get(peer, peer)
        if eager and (peer, False) in found:
            name += ", eager"
        xs, ys = [sizes.index(size) for size, *_ in line], [ratio for _, ratio, _ in line]
        ax.plot(
            xs, ys, color=colour, linewidth=2.2 if peer == "ours" else 1.4,
            linestyle="--" if peer == BASE else "-", marker="" if peer == BASE else "o", markersize=4.5,
            markerfacecolor="white" if eager else colour, zorder={BASE: 5, "ours": 4}.get(peer, 3),
        )  # fmt: skip
        lows, highs = zip(*(interval for *_, interval in line), strict=True)
        ax.vlines(xs, lows, highs, color=colour, linewidth=1, zorder=2)
        ax.annotate(
            name, (xs[-1], ys[-1]), (1.035, place), textcoords="axes fraction", color=colour, va="center",
            fontweight="bold" if peer == "ours" else "normal",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "relpos": (0.0, 0.5),
                        "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip


def si(value):
    """0.4 M, 200 M, 3.2 G."""
    unit, name = max((u, n) for u, n in ((1e6, "M"), (1e9, "G"), (1e12, "T")) if u <= max(value, 1e6))
    return f"{value / unit:.2g} {name}" if value < 100 * unit else f"{value / unit:.0f} {name}"


def main(arguments=None):
    """Print tables, or write the pages and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *TABLES], metavar="NAME", help=", ".join(TABLES))
    parser.add_argument("--write", action="store_true", help="put them into docs/, draw its pictures")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the picture: .png, .svg or .pdf")
    options = parser.parse_args(arguments)
    figure, pages = options.figure or (FIGURE if options.write else None), {}
    try:
        if options.write:
            pages = filled({path: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")})
        elif not figure:
            print("\n\n".join(map(markdown, options.names or TABLES)))
        panels = [read(name) for name in PANELS] if figure else ()
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    if figure:
        from minigan.reports.style import save

        save(draw(panels), figure)
    if options.write and (measured := common.RESULTS / "bench.json").is_file():
        from minigan.profiling import results
        from minigan.profiling.figure import draw_bench
        from minigan.reports.style import save

        save(draw_bench(results.read(measured)), PAGES / "crossover.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

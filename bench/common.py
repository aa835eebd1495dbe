"""What the benchmarks share: the machine, the JSON file of a result, intervals."""

import json
from datetime import UTC, datetime
from pathlib import Path

from minigan.evaluation.verdict import wilson as wilson  # for the benchmarks
from minigan.machine import environment

RESULTS = Path(__file__).parent / "results"


def write(name, content):
    """bench/results/<name>.json: the content beside the machine that measured it; returns the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "environment": environment(),
        **content,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def table(header, rows):
    """Rows of text in columns, as Markdown."""
    header, *rows = ([str(cell).replace("|", "\\|") for cell in row] for row in (header, *rows))
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
    rule = "|".join("-" * (width + 2) for width in widths)

    def line(row):
        return f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"

    return "\n".join([line(header), f"|{rule}|", *map(line, rows)])

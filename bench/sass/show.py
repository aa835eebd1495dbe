"""The counts of machine code as tables: all of them, and for the page on GPUs what has become of some."""

from bench.common import table
from bench.sass.warps import KINDS

HEADER = ("step", "for", "levels", "warp instructions", *KINDS, "integer", "requests", "code, KiB",
          "registers", "spilled", "shared, KB", "blocks per SM")  # fmt: skip
CHANGES = ("step", "levels", "warp instructions", "requests of shared memory", "code, KiB", "registers",
           "spilled, bytes", "shared, KB", "blocks on a multiprocessor")  # fmt: skip


def cells(row):
    """A row as text."""
    return (row["step"], row["architecture"], row["levels"], row["warp_instructions"], *row["kinds"].values(),
            row["requests"], f"{row['code'] / 1024:.0f}", row["registers"], row["spilled"],
            f"{row['shared'] / 1024:.0f}", row["blocks"])  # fmt: skip


def show(record):
    """The table of what is now, below it that of what was before, if it is kept."""
    lines = [table(HEADER, map(cells, record["results"]))]
    if record.get("before"):
        lines += ["", "Before:", "", table(HEADER, map(cells, record["before"]))]
    return "\n".join([*lines, "", f"Compiled by {record['compiler']}."])


def changes(record, architecture="sm_90"):
    """For one architecture each figure as it was and as it is."""
    before = {row["step"]: row for row in record["before"] if row["architecture"] == architecture}
    body = []
    for row in record["results"]:
        if row["architecture"] == architecture:
            figures = zip(_figures(before.get(row["step"], row)), _figures(row), strict=True)
            body.append((row["step"], *(new if old == new else f"{old} → {new}" for old, new in figures)))
    return f"{table(CHANGES, body)}\n\nFor {architecture}, compiled by {record['compiler']}."


def _figures(row):
    numbers = (row["levels"], row["warp_instructions"], row["requests"], round(row["code"] / 1024),
               row["registers"], row["spilled"], round(row["shared"] / 1024), row["blocks"])  # fmt: skip
    return [f"{number:,}".replace(",", " ") for number in numbers]

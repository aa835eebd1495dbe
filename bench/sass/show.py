"""The counts of machine code as tables: all of them, and for the page on GPUs what has become of some."""

from bench.common import table
from bench.sass.warps import KINDS

HEADER = ("step", "for", "levels", "warp instructions", *KINDS, "integer", "requests", "code, KiB",
          "registers", "spilled", "shared, KB", "blocks per SM")  # fmt: skip
CHANGES = ("step", "levels", "warp instructions", "requests of shared memory", "code, KiB", "registers",
           "spilled, bytes", "shared, KB", "blocks on a multiprocessor")  # fmt: skip

PIECES = ("step", "for", "launches", "stages", "instructions of an element", "bytes of an element",
          "sectors of a request")  # fmt: skip
CHANGES_OF_LARGE = ("step", "stages", "launches of the step", *PIECES[-3:])


def cells(row):
    """A row as text."""
    return (row["step"], row["architecture"], row["levels"], row["warp_instructions"], *row["kinds"].values(),
            row["requests"], f"{row['code'] / 1024:.0f}", row["registers"], row["spilled"],
            f"{row['shared'] / 1024:.0f}", row["blocks"])  # fmt: skip


def of_pieces(rows):
    """Rows of large steps as cells: figures of an element, and pieces of memory of a warp's request."""
    return [
        (row["step"], row["architecture"], row["launches"], row["piece"], *_of_element(row)) for row in rows
    ]


def _of_element(row):
    each = 32 * row["instructions"] / row["elements"], 32 * row["sectors"] / row["elements"]
    return [f"{figure:.1f}" for figure in (*each, row["sectors"] / row["requests"])]


def show(record):
    """The tables of what is now, below them those of what was before, if they are kept."""
    lines = [table(HEADER, map(cells, record["results"])), "", table(PIECES, of_pieces(record["large"]))]
    if record.get("before"):
        lines += ["", "Before:", "", table(HEADER, map(cells, record["before"]))]
        lines += ["", table(PIECES, of_pieces(record["large_before"]))]
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


def changes_of_large(record, architecture="sm_90"):
    """The same of large steps, by kinds of stages."""
    before = {
        (row["step"], row["piece"]): row
        for row in record["large_before"]
        if row["architecture"] == architecture
    }
    body = []
    for row in record["large"]:
        if row["architecture"] == architecture:
            old = before.get((row["step"], row["piece"]), row)
            pairs = zip(
                (old["launches"], *_of_element(old)), (row["launches"], *_of_element(row)), strict=True
            )
            cells = [str(new) if was == new else f"{was} → {new}" for was, new in pairs]
            body.append((row["step"], row["piece"], *cells))
    return f"{table(CHANGES_OF_LARGE, body)}\n\nFor {architecture}, compiled by {record['compiler']}."


def _figures(row):
    numbers = (row["levels"], row["warp_instructions"], row["requests"], round(row["code"] / 1024),
               row["registers"], row["spilled"], round(row["shared"] / 1024), row["blocks"])  # fmt: skip
    return [f"{number:,}".replace(",", " ") for number in numbers]

"""sample: new rows from a trained generator."""

from pathlib import Path

import click

from minigan.cli.common import at_option, print_notes, run_argument
from minigan.cli.options import Whole
from minigan.errors import ConfigError, printable


def quote(text: str) -> str:
    """A class as a field of CSV, in quotes where it needs them."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in '",\n\r#') else text


@click.command()
@run_argument
@click.option("-n", "count", type=Whole(1, 10**8), default=1000, help="Rows to draw.")
@click.option("-o", "--output", help="CSV or NPY file; without it CSV goes to stdout.")
@click.option(
    "--index", type=Whole(0, 2**31 - 1), default=0, help="Which draw: the same index, the same rows."
)
@click.option("--class", "condition", metavar="NAME", help="Of a run with a label: rows of this class alone.")
@at_option
@click.pass_context
def sample(
    ctx: click.Context,
    run: str,
    count: int,
    output: str | None,
    index: int,
    condition: str | None,
    at: str,
) -> None:
    """Draw new rows from the trained generator in the directory RUN; the data it learned are not needed.

    Of a run with a label the classes have their own shares, unless --class asks for one, and CSV names them.
    """
    import csv
    import io

    import numpy as np

    from minigan.front.fitting import read_run
    from minigan.storage.files import write_atomic

    if output is not None and Path(output).suffix not in (".csv", ".npy"):
        raise ConfigError(f"-o writes .csv or .npy; received {output!r}")
    trained = read_run(run, at=at)
    print_notes(trained.notes)
    features = len(trained.names)
    as_text = output is None or output.endswith(".csv")
    rows = trained.draw(count, index, condition=condition, beside=60 * count * features * as_text)
    if output is not None and output.endswith(".npy"):
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        write_atomic(output, buffer.getvalue())
    else:
        header = io.StringIO()
        name, told = trained.told(count, index, condition)
        csv.writer(header, lineterminator="\n").writerow([*trained.names, *name])
        lines = (",".join(repr(float(value)) for value in row) for row in rows)
        if name:
            lines = (f"{line},{quote(own)}" for line, own in zip(lines, told, strict=True))
        text = header.getvalue() + "".join(f"{line}\n" for line in lines)
        if output is None:
            click.echo(text, nl=False)
        else:
            write_atomic(output, text.encode())
    if output is not None and not ctx.obj["quiet"]:
        rows_of = f"{count} rows of {features} feature{'s' if features > 1 else ''}"
        click.echo(printable(f"{rows_of} from {trained.path} (step {trained.step}) in {output}"), err=True)

"""sample: new rows from a trained generator."""

from pathlib import Path

import click

from minigan.cli.common import at_option, print_notes, run_argument
from minigan.cli.options import Whole
from minigan.errors import ConfigError, printable


@click.command()
@run_argument
@click.option("-n", "count", type=Whole(1, 10**8), default=1000, help="Rows to draw.")
@click.option("-o", "--output", help="CSV or NPY file; without it CSV goes to stdout.")
@click.option(
    "--index", type=Whole(0, 2**31 - 1), default=0, help="Which draw: the same index, the same rows."
)
@at_option
@click.pass_context
def sample(ctx: click.Context, run: str, count: int, output: str | None, index: int, at: str) -> None:
    """Draw new rows from the trained generator in the directory RUN; the data it learned are not needed."""
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
    rows = trained.draw(count, index, beside=60 * count * features * as_text)
    if output is not None and output.endswith(".npy"):
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        write_atomic(output, buffer.getvalue())
    else:
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(trained.names)
        lines = (",".join(repr(float(value)) for value in row) + "\n" for row in rows)
        text = header.getvalue() + "".join(lines)
        if output is None:
            click.echo(text, nl=False)
        else:
            write_atomic(output, text.encode())
    if output is not None and not ctx.obj["quiet"]:
        rows_of = f"{count} rows of {features} feature{'s' if features > 1 else ''}"
        click.echo(printable(f"{rows_of} from {trained.path} (step {trained.step}) in {output}"), err=True)

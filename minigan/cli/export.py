"""export: the trained networks for other programs."""

from pathlib import Path

import click

from minigan.cli.common import at_option, json_option, print_json, print_notes, run_argument, say
from minigan.errors import ConfigError, printable


@click.command()
@run_argument
@click.option("--npz", metavar="FILE.npz", help="Write NumPy's format, for numpy.load.")
@at_option
@json_option
@click.pass_context
def export(ctx: click.Context, run: str, npz: str | None, at: str, as_json: bool) -> None:
    """Write the trained networks for other programs: arrays by name, and how they are to be used."""
    from minigan.reports.export import as_npz, read_model
    from minigan.storage.files import write_atomic

    if npz is None or Path(npz).suffix != ".npz":
        received = "no --npz" if npz is None else repr(npz)
        raise ConfigError(f"name the file that is written, as --npz FILE.npz; received {received}")
    model, notes = read_model(run, at)
    print_notes(notes)
    write_atomic(npz, as_npz(model))
    if as_json:
        arrays = {
            name: {"dtype": array.dtype.name, "shape": array.shape} for name, array in model.arrays.items()
        }
        print_json(run=run, file=npz, step=model.step, arrays=arrays, architecture=model.architecture)
    elif not ctx.obj["quiet"]:
        say(printable(f"{len(model.arrays)} arrays of {run} (step {model.step}) in {npz}"), 0)

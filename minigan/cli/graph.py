"""graph: how a loss is computed, as text, a picture, a recorded step, C or CUDA C."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from minigan.cli.common import configure, set_option, source_argument
from minigan.cli.options import Named
from minigan.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from minigan.engine.tensor import Tensor


@click.command()
@source_argument
@click.option("--player", type=Named(["D", "G"]), default="G", help="Whose loss.")
@click.option(
    "--program", is_flag=True, help="Print the recorded training step instead of one loss's history."
)
@click.option(
    "--cuda",
    type=Named(["launches", "block"]),
    help="Print the training step as CUDA C, as a GPU would run it; needs none.",
)
@click.option(
    "--c", "native", is_flag=True, help="Print the training step as C, as native code is made from it."
)
@click.option("-o", "--output", help="Write .dot, .svg, .png or .pdf; without it text goes to stdout.")
@set_option
def graph(
    source: str | None,
    player: str,
    program: bool,
    cuda: str | None,
    native: bool,
    output: str | None,
    sets: tuple[str, ...],
) -> None:
    """Show how a loss is computed: every tensor from the parameters to the loss, as text or as a picture.

    An .svg is laid out by the extra `graph`, or by Graphviz's `dot` program, which .png and .pdf need.
    """
    import numpy as np

    from minigan.engine.show import as_text
    from minigan.engine.tensor import constant
    from minigan.profiling.sources import source_of
    from minigan.storage.files import write_atomic
    from minigan.training.draws import stream
    from minigan.training.experiment import Experiment

    execution = "native" if native else cuda
    if execution is not None:
        if program or output is not None or native and cuda is not None:
            what = "--c" if native else "--cuda"
            raise ConfigError(f"{what} prints a source to stdout; give it without --program, -o and another")
        sets = (*sets, "backend=numpy", "execution=recorded")
    if output is not None and (program or Path(output).suffix not in (".dot", ".svg", ".png", ".pdf")):
        received = f"{output!r} with --program" if program else repr(output)
        raise ConfigError(f"-o writes the history as .dot, .svg, .png or .pdf; received {received}")
    config, data, *_ = configure(source, sets, False, {})
    experiment = Experiment(config, data=data)
    if program or execution:
        with np.errstate(all="ignore"):
            experiment.advance(1)
        recorded = experiment.program
        click.echo(source_of(recorded, execution) if execution else str(recorded))
        return
    game, rng = experiment.game, stream(config.seed, "latent")
    z = constant(experiment.backend.array(experiment.draw_latent(rng, (config.batch,))))
    names, label = {"z": z}, None
    if experiment.labels is not None:
        codes = experiment.labels.codes(rng, config.batch)
        told = experiment.labels.one_hot(codes, config.dtype)
        names["k"] = label = constant(experiment.backend.array(told))
    if player == "G":
        loss = game.generator_loss(z, label=label)
    else:
        real = (experiment.real(config.batch) - experiment.shift) / experiment.scale
        x = constant(experiment.backend.array(real.astype(config.dtype)))
        fake = constant(game.make(z, label=label))
        loss, names["x"] = game.discriminator_loss(x, fake, label=label), x
    for letter, network in (("G", experiment.generator), ("D", experiment.discriminator)):
        names |= {f"{letter}.{name}": view for name, view in network.parameters.views.items()}
    if output is None:
        click.echo(as_text(loss, names))
        return
    write_atomic(output, _as_picture(loss, names, Path(output).suffix[1:]))


def _as_picture(loss: "Tensor", names: "dict[str, Tensor]", kind: str) -> bytes:
    """A history as .dot, .svg, .png or .pdf has it."""
    import shutil

    from minigan.engine.show import as_dot
    from minigan.markup.layered import history_as_picture

    dot = shutil.which("dot")
    if kind == "svg":
        try:
            return history_as_picture(loss, names).encode()
        except UnavailableError as error:
            if dot is None:
                raise UnavailableError(f"{error}; -o FILE.dot works without it") from None
    source = as_dot(loss, names).encode()
    return source if kind == "dot" else _draw(source, kind, dot)


def _draw(source: bytes, kind: str, dot: str | None) -> bytes:
    """The picture that Graphviz's dot makes of a source."""
    import subprocess

    if dot is None:
        raise UnavailableError(
            f".{kind} needs Graphviz's dot program (Debian: apt install graphviz); "
            "-o FILE.svg and -o FILE.dot work without it"
        )
    done = subprocess.run([dot, f"-T{kind}"], input=source, capture_output=True, check=False)
    if done.returncode:
        raise UnavailableError(f"dot failed: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout

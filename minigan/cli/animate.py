"""animate: a finished run as a moving picture."""

from pathlib import Path

import click

from minigan.cli.common import console, run_argument
from minigan.cli.options import Whole
from minigan.errors import ConfigError, quoted


@click.command()
@run_argument
@click.option("-o", "--output", required=True, help="The file that is written, .gif or .mp4.")
@click.option("--fps", type=Whole(1, 60), default=8, help="Frames per second.")
@click.pass_context
def animate(ctx: click.Context, run: str, output: str, fps: int) -> None:
    """Write a finished run as a moving picture: what G makes and what D says, from the first step on.

    An .mp4 needs the program ffmpeg. The frames are those of the run's evaluations, at most 200;
    `--set eval_every=…` makes more of them in training.
    """
    from minigan.front import figures
    from minigan.front.progress import is_live, make_bar
    from minigan.reports.finished_run import read_finished_run
    from minigan.storage.directory import RunDirectory

    if Path(output).suffix not in (".gif", ".mp4"):
        raise ConfigError(f"a moving picture is written as .gif or .mp4; received {quoted(output)}")
    figures.require_writer(Path(output))
    finished = read_finished_run(RunDirectory.open(run))
    to, count = console(ctx, err=True), len(finished.frames.get("step", ()))
    bar, task = make_bar(to, count) if is_live(to) and not ctx.obj["quiet"] else (None, None)
    try:
        figures.save_animation(
            finished, Path(output), fps, lambda k: bar and bar.update(task, completed=k, metrics="frames")
        )
    finally:
        if bar is not None:
            bar.stop()
    if not ctx.obj["quiet"]:
        click.echo(output)

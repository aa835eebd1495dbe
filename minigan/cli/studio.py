"""studio: a live page on a game that trains."""

import os

import click

from minigan.cli.common import RUNS, configure, print_notes, say, set_option
from minigan.cli.completion import complete_source
from minigan.cli.options import Whole
from minigan.training.signals import Terminated


@click.command()
@click.argument("source", metavar="[PRESET|CONFIG|RUN]", required=False, shell_complete=complete_source)
@click.option("--target", help="What to learn, as for train.")
@click.option("--data", help="CSV or NPY file to learn instead; the page itself opens no other.")
@set_option
@click.option("--out", **RUNS, help="Where `save as run` makes run directories.")
@click.option("--port", type=Whole(0, 65535), default=0, help="Of 127.0.0.1; 0 for any that is free.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.pass_context
def studio(
    ctx: click.Context,
    source: str | None,
    target: str | None,
    data: str | None,
    sets: tuple[str, ...],
    out: str,
    port: int,
    no_browser: bool,
) -> None:
    """Watch a game while it trains, on a page: play, pause, step each player, rewind, change settings.

    A run's directory goes on from its newest checkpoint, without being changed. The page is on this machine
    alone, for who has the printed address; Ctrl-C ends it. Needs bokeh: pip install 'minigan[ui]'.
    """
    from minigan.studio.process import ServerProcess, require_bokeh

    require_bokeh()

    def tell(url: str) -> None:
        click.echo(url)
        print_notes(("open this address in a browser of this machine; Ctrl-C ends the studio",))

    try:
        with ServerProcess(port) as server:  # it gets ready while the game is read and built
            from minigan.studio.opening import request_of_run, serve

            start, step = None, 0
            if source is not None and os.path.isdir(source):
                given = {"--set": sets, "--target": target, "--data": data}
                request, start, step = request_of_run(source, given)
            else:
                request = configure(source, sets, False, {"target": target, "data": data})
            serve(request, start=start, step=step, out=out, browser=not no_browser, server=server, tell=tell)
    except KeyboardInterrupt as end:
        if isinstance(end, Terminated):
            raise
        say("the studio is closed; what was not saved as a run is gone", 0)

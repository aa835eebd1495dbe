"""The command line: a file per command, named as the command; here their group, and how it ends.

train, sweep, studio                             train
sample, eval, compare, inspect, export           look at runs
report, animate                                  show them
presets, gradcheck, graph, explain, bench        explain
doctor, schema, completion                       the machine and the shell

common.py has what several commands share (options, tables, JSON), streams.py what stdout and stderr show and
what their loss means, progress.py the bar of a sweep, schema.json what --json prints. A command reads its
options, calls the package and prints: train, sample and eval call ``front``, as scripts do; what computes,
stores or draws belongs to another room. Only click is imported at the top: all else is imported where a
command needs it, so that help and completion come at once.

Results go to stdout, progress and messages to stderr; ``--json`` prints one JSON object. Exit codes: 0 ok, 1
unexpected failure, 2 usage or configuration, 3 refused input, 4 diverged, 5 quality missed, 6 backend or
extra unavailable, 7 run directory busy, 8 storage, 129 SIGHUP, 130 SIGINT, 141 a reader who left, 143
SIGTERM.
"""

import errno
import sys
import traceback
import warnings
from typing import Any

import click

from minigan._version import __version__
from minigan.cli import (
    animate,
    bench,
    compare,
    completion,
    doctor,
    explain,
    export,
    gradcheck,
    graph,
    inspect,
    presets,
    report,
    sample,
    schema,
    studio,
    sweep,
    train,
)
from minigan.cli import eval as evaluation
from minigan.cli.common import say
from minigan.cli.options import meant_option
from minigan.cli.streams import standard
from minigan.errors import MiniganError, ReaderLeftError, nearest, quoted
from minigan.training.signals import Interrupted, Terminated, handled, stop

GLOBAL_FLAGS = ("--debug", "--no-color", "-q", "--quiet")  # understood anywhere on the line
COMMANDS: tuple[click.Command, ...] = (
    train.train,
    sweep.sweep,
    studio.studio,
    sample.sample,
    evaluation.evaluate,
    compare.compare,
    inspect.inspect,
    export.export,
    report.report,
    animate.animate,
    presets.presets,
    gradcheck.gradcheck,
    graph.graph,
    explain.explain,
    bench.bench,
    doctor.doctor,
    schema.schema,
    completion.completion,
)


class Commands(click.Group):
    """A group that names the nearest command, or all of them, where it is asked for one it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first of ``args`` names, and the rest of them."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from minigan.training.spellings import meant_command

            advice = meant_command(name) or nearest(name, self.list_commands(ctx))
            ctx.fail(f"there is no command {quoted(name)}; {advice}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a run that a signal ended is an error with a sentence, which click knows not."""
        try:
            return super().invoke(ctx)
        except Interrupted as stopped:
            error = MiniganError(str(stopped))
            error.exit_code = stopped.exit_code
            raise error from stopped


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True},
)
@click.version_option(__version__, message="minigan %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-color", is_flag=True, help="Plain text (also: NO_COLOR in the environment).")
@click.option("-q", "--quiet", is_flag=True, help="Results only, no progress and no notes.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, no_color: bool, quiet: bool) -> None:
    """Train small generative adversarial networks, look inside them, and judge what they make.

    \b
    minigan train                                   train on N(4, 1.25) and judge the result
    minigan train --target "student(40)" --seed 7   another distribution, another seed
    minigan train --data measurements.csv           your own data, CSV or NPY
    minigan sample RUN -n 1000 -o new.csv           draw from a trained generator
    minigan compare runs --sort ks                  all runs in one table
    minigan gradcheck                               every derivative against differences
    """
    ctx.obj = {"no_color": no_color, "quiet": quiet}


for _command in COMMANDS:
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Expected failures are one sentence on stderr."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"note: {message}\n"  # without the line of code
    try:
        with standard():
            return _run(sys.argv[1:] if arguments is None else arguments)
    finally:
        warnings.formatwarning = before


def _run(arguments: list[str]) -> int:
    for argument in arguments:
        # What is not UTF-8 neither a configuration nor JSON can hold.
        if argument.encode(errors="replace").decode() != argument:
            return say(f"error: {ascii(argument[:80])} is not UTF-8 text; rename the file or directory", 2)
    debug = "--debug" in arguments
    arguments = sorted(arguments, key=lambda a: a not in GLOBAL_FLAGS)
    try:
        with handled(stop):
            code = cli.main(arguments, prog_name="minigan", standalone_mode=False) or 0
            sys.stdout.flush()
            return code
    except (click.exceptions.Exit, SystemExit) as end:  # --help; the shell's completion
        code = end.exit_code if isinstance(end, click.exceptions.Exit) else end.code
        return code if isinstance(code, int) else int(code is not None)
    except click.ClickException as error:
        meant_option(error, arguments).show()
        return 2
    except (click.Abort, KeyboardInterrupt) as error:  # click makes the first of the second
        cause = error.__cause__ or error
        return say("stopped", 128 + cause.number if isinstance(cause, Terminated) else 130)
    except ReaderLeftError as error:
        return error.exit_code
    except MiniganError as error:
        if debug:
            traceback.print_exc()
        return say(f"error: {error}", error.exit_code)
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        return say(f"error: out of memory{detail}; use a smaller batch, fewer units or samples", 3)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return say(f"error: {error}; make room or write it elsewhere", 8)
        reason = f"unexpected {type(error).__name__}: {error}"
        return say(f"error: {reason}; this is a bug, --debug shows where", 1)

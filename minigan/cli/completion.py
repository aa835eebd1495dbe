"""What a shell completes: presets, settings, runs; and the command that prints the shell's script."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from minigan.cli.options import Named

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MINIGAN_COMPLETE"  # click's rule: by it the script asks the program


def _named(names: list[str], incomplete: str) -> list[CompletionItem]:
    """Those that begin so; the shell reads one a line, so names that are no plain text are left out."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and name.isprintable()]


def complete_source(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Presets, else files: a configuration."""
    from minigan.training.presets import PRESETS

    return _named(list(PRESETS), incomplete) or [CompletionItem(incomplete, type="file")]


def complete_setting(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Settings by their dotted names, with the "=" that the value follows; behind it, the names it can be."""
    from minigan.training.config import fields
    from minigan.training.spellings import choices

    name, equals, _ = incomplete.partition("=")
    if equals and name in fields():
        return _named([f"{name}={choice}" for choice in choices(name)], incomplete)
    return _named([f"{name}=" for name in fields()], incomplete)


def complete_value(_ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the setting of an option's name can be."""
    from minigan.training.spellings import DEVICES, choices

    name = str(param.name)
    return _named([*(DEVICES if name == "device" else choices(name))], incomplete)


def complete_run(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Run directories where runs are made and where the word begins, the newest first; else directories."""
    from minigan.sweeps.compare import run_directories

    roots = dict.fromkeys([os.environ.get("MINIGAN_RUNS") or "runs", os.path.dirname(incomplete) or "."])
    found = [str(path) for root in roots for path in reversed(run_directories(Path(root)))]
    return _named(found, incomplete.removeprefix("./")) or [CompletionItem(incomplete, type="dir")]


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Run directories as ``complete_run``, else files."""
    found = complete_run(ctx, param, incomplete)
    return [CompletionItem(incomplete, type="file")] if found[0].type == "dir" else found


@click.command()
@click.argument("shell", type=Named(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options, presets, settings and runs.

    \b
    bash   minigan completion bash > ~/.local/share/bash-completion/completions/minigan
    zsh    minigan completion zsh > ~/.zfunc/_minigan      (a folder of your fpath)
    fish   minigan completion fish > ~/.config/fish/completions/minigan.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"this click has no completion for {shell}")
    click.echo(made(ctx.find_root().command, {}, "minigan", VARIABLE).source())

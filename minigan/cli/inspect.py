"""inspect: what a checkpoint holds, and which checkpoints a run has."""

import json
import os
from typing import Any

import click

from minigan.cli.common import print_json, print_table, report_option
from minigan.cli.completion import complete_file
from minigan.errors import CheckpointError, printable


@click.command()
@click.argument("subject", metavar="FILE|RUN", shell_complete=complete_file)
@click.option("--verify", is_flag=True, help="Read the arrays too, and check them against the digest.")
@report_option
def inspect(subject: str, verify: bool, as_json: bool) -> None:
    """Show what a checkpoint holds by its header alone, or which checkpoints a run has."""
    from minigan.reports.inspection import inspect_file, inspect_run

    if not os.path.isdir(subject):
        content = inspect_file(subject, verify=verify)
        return print_json(**content) if as_json else _print_file(content)
    content = inspect_run(subject, verify=verify)
    if as_json:
        print_json(**content)
    else:
        _print_run(content)
    damaged = [entry["error"] for entry in content["checkpoints"] if entry["error"]] + content["errors"]
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise CheckpointError(damaged[0] + more)


def _print_file(content: dict[str, Any]) -> None:
    rows = [
        (array["name"], array["dtype"], " × ".join(map(str, array["shape"])), str(array["bytes"]))
        for array in content["arrays"]
    ]
    print_table(("array", "dtype", "shape", "bytes"), rows)
    click.echo("\nstate")
    for name, value in content["state"].items():
        text = json.dumps(value, ensure_ascii=False)
        click.echo(f"  {printable(name)} = {printable(text if len(text) <= 200 else f'{text[:200]} …')}")
    verified = ", which agree with their digest" if content["verified"] else ""
    total = f"{len(rows)} arrays of {content['bytes']} bytes in all{verified}; schema"
    click.echo(f"\n{total} {content['schema_of_file']}")


def _print_run(content: dict[str, Any]) -> None:
    rows = []
    for entry in content["checkpoints"]:
        names = [name for name in ("latest", "best") if content[name] == entry["file"]]
        state = "damaged" if entry["error"] else "verified" if content["verified"] else "header read"
        size = "–" if entry["bytes"] is None else str(entry["bytes"])
        rows.append((entry["file"], state, ", ".join(names), str(entry["step"]), size))
    print_table(("checkpoint", "state", "named", "step", "bytes"), rows, 3)
    click.echo(f"\nThe run is {printable(content['status'] or 'of unknown status')}.")

"""doctor: what this machine offers, and what is in the way."""

import click

from minigan.cli.common import RUNS, json_option, print_json
from minigan.errors import printable


@click.command()
@click.option("--out", **RUNS, help="Where run directories would be made.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, out: str, as_json: bool) -> None:
    """Tell what this machine offers, what is in the way, and what to do about it."""
    from minigan.profiling.doctor import as_dict, diagnose

    findings = diagnose(out)
    if as_json:
        content = as_dict(findings)
        print_json(**{key: value for key, value in content.items() if key != "schema"})
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'LOOK'} {finding.name:14} {printable(finding.value)}")
            if finding.advice:
                click.echo(f"     {'':14} → {printable(finding.advice)}")
    if not all(finding.ok for finding in findings):
        ctx.exit(6)

"""gradcheck: the engine's derivatives against differences."""

from typing import Any

import click

from minigan.cli.common import json_option, print_json
from minigan.cli.options import Whole
from minigan.errors import ConfigError


@click.command()
@click.argument("names", metavar="[OP]...", nargs=-1)
@click.option("--order", type=Whole(1, 3), default=2, help="Highest order of derivative.")
@json_option
@click.pass_context
def gradcheck(ctx: click.Context, names: tuple[str, ...], order: int, as_json: bool) -> None:
    """Check the engine's derivatives against differences, all primitives or the named ones."""
    from minigan.engine.primitives import PRIMITIVES
    from minigan.errors import nearest
    from minigan.testing.cases import check_primitive
    from minigan.testing.gradcheck import GradientError

    for name in names:
        if name not in PRIMITIVES:
            raise ConfigError(f"there is no primitive {name!r}; {nearest(name, PRIMITIVES)}")
    results: dict[str, dict[str, Any]] = {}
    for name in names or PRIMITIVES:
        try:
            results[name] = {"ok": True, "derivatives": check_primitive(name, order=order)}
        except GradientError as error:
            results[name] = {"ok": False, "error": str(error)}
    failed = [name for name, result in results.items() if not result["ok"]]
    if as_json:
        print_json(ok=not failed, order=order, primitives=results)
    else:
        for name, result in results.items():
            text = "ok, {derivatives} derivatives" if result["ok"] else "WRONG: {error}"
            click.echo(f"{name:14} {text.format(**result)}")
        agreeing = f"{len(results) - len(failed)} of {len(results)} primitives agree"
        click.echo(f"\n{agreeing} with central differences to order {order} (relative 1e-6, float64).")
    if failed:
        ctx.exit(1)

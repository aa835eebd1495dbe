"""explain: where a training step's time goes."""

import click

from minigan.cli.common import configure, print_json, report_option, set_option, source_argument
from minigan.cli.options import Named, Whole


@click.command()
@source_argument
@click.option("--seeds", type=Whole(1, 10_000), default=1, help="How many train at once.")
@click.option(
    "--passes",
    type=Named(["all", "exact", "none"]),
    default="all",
    help="Which passes plan the step.",
)
@click.option(
    "--execution",
    type=Named(["planned", "native"]),
    help="The lines of the NumPy plan, or of native code.",
)
@set_option
@report_option
def explain(
    source: str | None,
    seeds: int,
    passes: str,
    execution: str | None,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show where a training step's time goes: the planner's passes, then every line of the plan.

    Each line with its bytes and floating point operations, and its time beside that of a call on one element.
    Of native code, which a CPU takes for longer runs, every function of the step instead, each with the time
    that it takes within one; --execution planned shows the plan.
    """
    from minigan.profiling.explain import explain as take_apart

    if execution is not None:
        sets = (*sets, "backend=numpy", f"execution={execution}")
    config, data, *_ = configure(source, sets, False, {})
    explanation = take_apart(config, data=data, seeds=seeds, passes=passes)
    if as_json:
        print_json(**explanation.as_dict())
    else:
        click.echo(explanation.as_text())

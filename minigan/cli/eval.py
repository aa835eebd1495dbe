"""eval: the verdict on a trained generator, or on a file of samples."""

import os
from typing import Any

import click

from minigan.cli.common import (
    at_option,
    console,
    print_json,
    print_notes,
    print_verdict,
    report_option,
    require_option,
    require_quality,
)
from minigan.cli.completion import complete_file
from minigan.cli.options import Whole, refuse_places
from minigan.errors import ConfigError


@click.command(name="eval")
@click.argument("subject", metavar="RUN|FILE", shell_complete=complete_file)
@click.option("--target", help="Distribution to judge a file against.")
@click.option("--data", help="Data set to judge against instead.")
@click.option(
    "--label",
    metavar="COLUMN",
    help="The column of both files with the class of each row: each class is judged, and what leaks.",
)
@click.option("-n", "count", type=Whole(100, 10**7), help="Rows to draw from a run; else its eval_samples.")
@click.option("--draws", type=Whole(1, 1000), default=1, help="Judge so many draws of a run: how many pass.")
@at_option
@require_option
@report_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    subject: str,
    target: str | None,
    data: str | None,
    label: str | None,
    count: int | None,
    draws: int,
    at: str,
    require_ks: float | None,
    as_json: bool,
) -> None:
    """Judge a trained generator, or a file of samples, against a distribution or data: KS, moments, modes …

    A run is judged against what it learned, or --target or --data; a file (CSV, NPY) needs one of these. The
    first of several draws is that of the run's own verdict; --require-ks asks it of that one. A run with a
    label is judged by its classes, and a file by --label: the components, where the target is a mixture.
    """
    from minigan.evaluation.verdict import share_that_passes

    if target is not None and data is not None:
        raise ConfigError("give --target or --data, not both")
    refuse_places(target, data)
    shown, other = "", target is not None or data is not None
    if os.path.isdir(subject):
        from minigan.front.fitting import read_run
        from minigan.front.judging import judge_run

        if label is not None:
            raise ConfigError("--label names a column of files, and a run knows its own; leave it out")
        run = read_run(subject, at=at)
        print_notes(run.notes)
        if other:
            found = [judge_run(run, target, data, count, k) for k in range(draws)]
            verdicts = [judged.verdict for judged in found]
            print_notes(found[0].notes)
        else:
            verdicts = [run.judge_draw(count, k) for k in range(draws)]
        verdict, findings = verdicts[0], run.found()
        shown = run.describe_shown(verdict) if at == "latest" and not other else ""
    elif at != "latest":
        raise ConfigError("--at chooses a checkpoint of a run; leave it out for a file")
    elif draws > 1:
        raise ConfigError("--draws are of a run's generator; a file is one draw, leave it out")
    elif count is not None:
        raise ConfigError("-n says how many rows a run draws; leave it out for a file, which has its own")
    else:
        (verdict, notes), findings = _judge_file(subject, target, data, label), ()
        print_notes(notes)
        verdicts = [verdict]
    spread = share_that_passes(verdicts)
    if as_json:
        failures = [finding.as_dict() for finding in findings]
        several = {**spread, "pvalues": [v.pvalue for v in verdicts]}
        print_json(subject=subject, verdict=verdict.as_dict(), findings=failures, draws=several)
    else:
        print_verdict(console(ctx), verdict, findings)
        if shown:
            click.echo(f"\n{shown}")
        if draws > 1:
            click.echo(f"\n{_describe_draws(spread)}")
    require_quality(verdict, require_ks)


def _describe_draws(spread: Any) -> str:
    """How many of several draws pass, in a sentence."""
    if spread["share"] is None:
        return f"All {spread['draws']} draws have too few values to tell."
    low, high = spread["interval"]
    return (
        f"Of {spread['draws']} draws {spread['passed']} cannot be told apart: {spread['share']:.0%}, with a "
        f"95 % interval of {low:.0%} to {high:.0%}; of a perfect sampler's {spread['perfect']:.0%}."
    )


def _judge_file(file: str, target: str | None, data: str | None, label: str | None) -> Any:
    """The verdict on a file of samples, beside a distribution or a data set, and notes on their reading."""
    from minigan.front.configuration import Subject
    from minigan.front.judging import judged

    if target is None and data is None:
        raise ConfigError(
            f"{file} is not a run directory; to judge a file give --target DISTRIBUTION or --data FILE"
        )
    named = None if label is None else int(label) if label.isdecimal() else label
    return judged(Subject(path=file), Subject(target=target, path=data), named)

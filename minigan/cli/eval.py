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
from minigan.errors import ConfigError, DataError, DivergedError


@click.command(name="eval")
@click.argument("subject", metavar="RUN|FILE", shell_complete=complete_file)
@click.option("--target", help="Distribution to judge a file against.")
@click.option("--data", help="Data set to judge against instead.")
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
    count: int | None,
    draws: int,
    at: str,
    require_ks: float | None,
    as_json: bool,
) -> None:
    """Judge a trained generator, or a file of samples, against a distribution or data: KS, moments, modes …

    A run is judged against what it learned. A file (CSV, NPY) needs --target or --data. The first of several
    draws is that of the run's own verdict; --require-ks asks it of that one.
    """
    from minigan.evaluation.verdict import share_that_passes

    if target is not None and data is not None:
        raise ConfigError("give --target or --data, not both")
    refuse_places(target, data)
    shown = ""
    if os.path.isdir(subject):
        from minigan.machine import available_memory, require_memory
        from minigan.training.metrics import verdict as judge_run
        from minigan.training.saved import offer, reopen
        from minigan.training.settings import describe_shown
        from minigan.training.trainer import find_failures

        if target is not None or data is not None:
            raise ConfigError("a run is judged against what it learned; --target and --data are for files")
        opened = reopen(subject, at=at)
        experiment = opened.experiment
        print_notes(opened.notes)
        count = count or experiment.config.eval_samples
        judging, advice = f"judging {count} rows", "reduce -n"
        require_memory(32 * count * experiment.features, judging, advice, available_memory())
        try:
            verdicts = [judge_run(experiment, count, k)[0] for k in range(draws)]
        except DivergedError as error:
            instead = offer(opened.run, experiment.config, experiment.step)
            raise DivergedError(f"{error}; {instead}") from None
        verdict, findings = verdicts[0], find_failures(opened.run, experiment)
        if at == "latest":
            shown = describe_shown(experiment.config, verdict, opened.run.read_metrics().rows)
    elif at != "latest":
        raise ConfigError("--at chooses a checkpoint of a run; leave it out for a file")
    elif draws > 1:
        raise ConfigError("--draws are of a run's generator; a file is one draw, leave it out")
    elif count is not None:
        raise ConfigError("-n says how many rows a run draws; leave it out for a file, which has its own")
    else:
        (verdict, notes), findings = _judge_file(subject, target, data), ()
        print_notes(notes)
        verdicts = [verdict]
    spread = share_that_passes(verdicts)
    if as_json:
        found = [finding.as_dict() for finding in findings]
        several = {**spread, "pvalues": [v.pvalue for v in verdicts]}
        print_json(subject=subject, verdict=verdict.as_dict(), findings=found, draws=several)
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


def _judge_file(file: str, target: str | None, data: str | None) -> tuple[Any, list[str]]:
    """The verdict on a file of samples, beside a distribution or a data set, and notes on their reading."""
    from minigan.evaluation.verdict import judge, judge_two_sample
    from minigan.training.data import names_in, pairing, read_data
    from minigan.training.draws import stream
    from minigan.training.metrics import with_classifier
    from minigan.training.units import names_of, read_distribution, refuse_extremes

    distribution: Any = None if target is None else read_distribution(target)
    if distribution is None and data is None:
        raise ConfigError(
            f"{file} is not a run directory; to judge a file give --target DISTRIBUTION or --data FILE"
        )
    mine, theirs, pairs = None, None, tuple[str, ...]()
    if data is not None:
        mine, theirs, pairs = pairing(file, names_in(file), data, names_in(data))
    elif {name.lower() for name in names_in(file)} == set(names_of(distribution)):
        mine = list(names_of(distribution))  # in any case, as columns are selected
    rng = stream(0, "verdict")
    rows = read_data(file, columns=mine, allow_constant=True)  # a collapsed sample is judged too
    notes = [f"{file}: {note}" for note in rows.notes]
    refuse_extremes(rows)
    features = rows.values.shape[1]
    try:
        if data is not None:
            other = read_data(data, columns=theirs)
            notes += [*(f"{data}: {note}" for note in other.notes), *(pairs if features > 1 else ())]
            refuse_extremes(other)
            verdict = judge_two_sample(rows.values, other.values, rng, names=other.names)
            return with_classifier(verdict, rows.values, other.values, rng), notes
        if distribution is not None and features == distribution.features == 1:
            return judge(rows.values[:, 0], distribution, rng), notes
        if distribution is not None and features == distribution.features:
            verdict = judge(rows.values, distribution, rng, names=rows.names)
            real = distribution.sample(rng, (len(rows.values),))
            return with_classifier(verdict, rows.values, real, rng), notes
        raise DataError(
            f"{file} has {features} feature{'s' if features > 1 else ''}, and {distribution} judges "
            f"{distribution.features}; "
            "give another --target, or --data"
        )
    except ValueError as error:
        raise DataError(str(error)) from None

"""eval: the verdict on samples that came from elsewhere."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from minigan.errors import ConfigError, DataError, quoted
from minigan.evaluation.verdict import Verdict
from minigan.front.configuration import Subject, subject_of
from minigan.front.wording import for_scripts
from minigan.training.data import Data


class Judged(NamedTuple):
    """A verdict on samples, and notes on how they were read."""

    verdict: Verdict
    notes: tuple[str, ...]


class _Table(NamedTuple):
    """Rows of one side, in a file or in memory, and what messages call them."""

    source: Any
    called: str

    def names(self) -> tuple[str, ...]:
        if isinstance(self.source, str):
            from minigan.training.data import names_in

            return names_in(self.source)
        from minigan.training.frames import names_in_frame

        return names_in_frame(self.source)

    def read(self, columns: Sequence[str] | None, *, allow_constant: bool = False) -> Data:
        if isinstance(self.source, str):
            from minigan.training.data import read_data

            return read_data(self.source, columns=columns, allow_constant=allow_constant)
        from minigan.training.frames import read_frame

        return read_frame(self.source, columns=columns, allow_constant=allow_constant)


@for_scripts
def evaluate(samples: Any, target_or_data: Any) -> Verdict:
    """Judge samples from anywhere against a distribution or data: what ``minigan eval FILE`` does.

        verdict = mg.eval(samples, "normal(4, 1.25)")
        verdict = mg.eval("generated.csv", "real.csv")

    samples         an array, list or data frame of rows, or a path of them (CSV, NPY)
    target_or_data  the text of a distribution or a distribution, a path of data, or a table in memory;
                    columns that both sides name belong together by name, in any order

    Raises:  DataError – for samples or data that are refused, or of different features
             ConfigError – for a text that names no distribution

    >>> rng = np.random.default_rng(0)
    >>> mg.eval(rng.normal(4, 1.25, 500), "normal(4, 1.25)").indistinguishable
    True
    >>> mg.eval(rng.normal(5, 1.25, 500), "normal(4, 1.25)").headline
    'can be told apart'
    """
    return judged(table_of(samples), subject_of(target_or_data)).verdict


def table_of(samples: Any) -> Subject:
    """Samples as a subject, which has to be data.    Raises:  ConfigError – for another"""
    subject = subject_of(samples)
    if subject.path is None and subject.table is None:
        raise ConfigError(f"samples are rows of numbers or a file of them, received {samples!r:.80}")
    return subject


def judged(samples: Subject, against: Subject) -> Judged:
    """The verdict on samples beside a distribution or data, and notes.

    Raises:  as ``evaluate``
    """
    from minigan.evaluation.verdict import explained, judge, judge_two_sample
    from minigan.training.data import pairing
    from minigan.training.draws import stream
    from minigan.training.metrics import with_classifier
    from minigan.training.settings import resolve_with_sources
    from minigan.training.units import names_of, read_distribution, refuse_extremes

    mine = _table(samples)
    if against.preset is not None:
        target = resolve_with_sources(against.preset, environ={})[0].target
        raise ConfigError(
            f"samples are judged against a distribution or data, and {quoted(against.preset)} is a preset; "
            f"give its target, {quoted(target)}"
        )
    if against.target is None and against.path is None and against.table is None:
        raise ConfigError("samples are judged against a distribution or data, received neither")
    distribution: Any = None if against.target is None else read_distribution(against.target)
    theirs = None if distribution is not None else _table(against)
    columns, others, pairs = None, None, tuple[str, ...]()
    if theirs is not None:
        columns, others, pairs = pairing(mine.called, mine.names(), theirs.called, theirs.names())
    elif {name.lower() for name in mine.names()} == set(names_of(distribution)):
        columns = list(names_of(distribution))  # in any case, as columns are selected
    rng = stream(0, "verdict")
    rows = mine.read(columns, allow_constant=True)  # a collapsed sample is judged too
    notes = [f"{mine.called}: {note}" for note in rows.notes]
    refuse_extremes(rows)
    features = rows.values.shape[1]
    try:
        if theirs is not None:
            other = theirs.read(others)
            notes += [*(f"{theirs.called}: {note}" for note in other.notes), *(pairs if features > 1 else ())]
            refuse_extremes(other)
            verdict = judge_two_sample(rows.values, other.values, rng, names=other.names)
            verdict = with_classifier(verdict, rows.values, other.values, rng)
            return Judged(explained(verdict, rows.values, other.values, other.names), tuple(notes))
        if features == distribution.features == 1:
            verdict = judge(rows.values[:, 0], distribution, rng)
            return Judged(explained(verdict, rows.values, distribution), tuple(notes))
        if features == distribution.features:
            verdict = judge(rows.values, distribution, rng, names=rows.names)
            real = distribution.sample(rng, (len(rows.values),))
            verdict = with_classifier(verdict, rows.values, real, rng)
            return Judged(explained(verdict, rows.values, real, rows.names), tuple(notes))
        raise DataError(
            f"{mine.called} has {features} feature{'s' if features > 1 else ''}, and {distribution} judges "
            f"{distribution.features}; give another distribution, or data"
        )
    except ValueError as error:
        raise DataError(str(error)) from None


def _table(subject: Subject) -> _Table:
    if subject.path is not None:
        return _Table(os.fspath(subject.path), subject.path)
    kind = {"ndarray": "array"}.get(type(subject.table).__name__, type(subject.table).__name__)
    return _Table(subject.table, f"the {kind}")

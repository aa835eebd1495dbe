"""eval: the verdict on samples that came from elsewhere."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import ConfigError, DataError, quoted
from minigan.evaluation.verdict import Verdict
from minigan.front.configuration import Subject, subject_of
from minigan.front.run import Run
from minigan.front.wording import for_scripts
from minigan.training.data import Data
from minigan.training.labels import COMPONENT
from minigan.training.marks import Marks
from minigan.training.table_form import default_names, folded


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

        if isinstance(self.source, Data) and self.source.names == default_names(len(self.source.names)):
            return ()
        return names_in_frame(self.source)

    def features(self, label: int | str | None) -> tuple[str, ...]:
        """``names`` without that of the label."""
        names = self.names()
        if isinstance(label, int):
            return names[:label] + names[label + 1 :]
        return names if label is None else tuple(n for n in names if folded(n) != folded(label))

    def read(
        self, columns: Sequence[str] | None, label: int | str | None, *, allow_constant: bool = False
    ) -> Data:
        if isinstance(self.source, str):
            from minigan.training.data import read_data

            return read_data(self.source, columns=columns, allow_constant=allow_constant, label=label)
        from minigan.training.frames import read_frame

        if isinstance(self.source, Data):
            return replace(read_frame(self.source, columns=columns), marks=self.source.marks)
        return read_frame(self.source, columns=columns, allow_constant=allow_constant, label=label)


@for_scripts
def evaluate(samples: Any, target_or_data: Any, *, label: int | str | None = None) -> Verdict:
    """Judge samples from anywhere against a distribution or data: what ``minigan eval FILE`` does.

        verdict = mg.eval(samples, "normal(4, 1.25)")
        verdict = mg.eval("generated.csv", "real.csv")

    samples         an array, list or data frame of rows, or a path of them (CSV, NPY)
    target_or_data  the text of a distribution or a distribution, a path of data, or a table in memory;
                    columns that both sides name belong together by name, in any order
    label           the column of both sides with the class of each row, of samples alone where the components
                    of a mixture are the classes 0, 1 …: each class is judged too, and what leaks

    Raises:  DataError – for samples or data that are refused, or of different features or classes
             ConfigError – for a text that names no distribution, or classes of what has none

    >>> rng = np.random.default_rng(0)
    >>> mg.eval(rng.normal(4, 1.25, 500), "normal(4, 1.25)").indistinguishable
    True
    >>> mg.eval(rng.normal(5, 1.25, 500), "normal(4, 1.25)").headline
    'can be told apart'
    """
    return judged(table_of(samples), subject_of(target_or_data), label).verdict


def judge_run(run: Run, target: str | None, data: str | None, count: int | None, draw: int) -> Judged:
    """The verdict on rows of a run beside something else than what it learned: its ``sample`` of a seed.

    Of a run with a label each class is judged as well, where the other side has these.

    Raises:  as ``evaluate``
    """
    from minigan.training.units import read_distribution

    n, notes = run.config.eval_samples if count is None else count, tuple[str, ...]()
    against, (name, told) = Subject(target=target, path=data), run.told(n, draw)
    label = name[0] if name else None
    if label is not None and target is not None:
        if label != COMPONENT or not hasattr(read_distribution(target), "components"):
            notes, label = (f"{target} is no mixture, so that no class is judged",), None
    elif label is not None and folded(label) not in map(folded, _table(against).names()):
        notes = (f"{data} has no column {quoted(label)}, so that no class is judged",)
        label = None
    marks = None
    if label is not None:
        marks = Marks(label, run.classes, np.array([run.classes.index(each) for each in told]))
    made = Data(run.draw(n, draw), run.names, (), str(run.path), marks)
    verdict, more = _judged(_Table(made, f"the sample of {run.path}"), against, label)
    return Judged(verdict, (*notes, *more))


def table_of(samples: Any) -> Subject:
    """Samples as a subject, which has to be data.    Raises:  ConfigError – for another"""
    subject = subject_of(samples)
    if subject.path is None and subject.table is None:
        raise ConfigError(f"samples are rows of numbers or a file of them, received {samples!r:.80}")
    return subject


def judged(samples: Subject, against: Subject, label: int | str | None = None) -> Judged:
    """The verdict on samples beside a distribution or data, and notes.

    Raises:  as ``evaluate``
    """
    return _judged(_table(samples), against, label)


def _judged(mine: _Table, against: Subject, label: int | str | None) -> Judged:
    from minigan.training.data import pairing
    from minigan.training.settings import resolve_with_sources
    from minigan.training.units import names_of, read_distribution, refuse_extremes

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
        columns, others, pairs = pairing(
            mine.called, mine.features(label), theirs.called, theirs.features(label)
        )
    elif {name.lower() for name in mine.features(label)} == set(names_of(distribution)):
        columns = list(names_of(distribution))  # in any case, as columns are selected
    rows = mine.read(columns, label, allow_constant=True)  # a collapsed sample is judged too
    notes = [f"{mine.called}: {note}" for note in rows.notes]
    refuse_extremes(rows)
    features = rows.values.shape[1]
    try:
        if theirs is not None:
            other = theirs.read(others, label)
            notes += [*(f"{theirs.called}: {note}" for note in other.notes), *(pairs if features > 1 else ())]
            refuse_extremes(other)
            return Judged(_beside_data(rows, other, mine.called, theirs.called), tuple(notes))
        if features == distribution.features:
            return Judged(_beside_distribution(rows, distribution, mine.called), tuple(notes))
        raise DataError(
            f"{mine.called} has {features} feature{'s' if features > 1 else ''}, and {distribution} judges "
            f"{distribution.features}; give another distribution, or data"
        )
    except ValueError as error:
        raise DataError(str(error)) from None


def _beside_data(rows: Data, other: Data, called: str, of: str) -> Verdict:
    """The verdict on rows beside data; where both have labels, of each class as well."""
    from minigan.evaluation.verdict import explained, judge_two_sample
    from minigan.training.by_class import beside_classes, judge_labelled
    from minigan.training.draws import stream
    from minigan.training.labels import of_rows
    from minigan.training.metrics import with_classifier

    rng, made, real = stream(0, "verdict"), rows.values, other.values
    verdict = judge_two_sample(made, real, rng, names=other.names)
    if rows.marks is None or other.marks is None:
        verdict = with_classifier(verdict, made, real, rng)
        return explained(verdict, made, real, other.names)
    codes, theirs = _codes(rows.marks, other.marks.classes, called, of), other.marks.codes
    labels = of_rows(other.marks, real, theirs)
    told = beside_classes(labels, made, codes), beside_classes(labels, real, theirs)
    whole = with_classifier(verdict, *told, rng).evidence
    if whole is None:
        return verdict
    return judge_labelled(labels, whole, (made, codes), (real, theirs), rng, other.names)


def _beside_distribution(rows: Data, distribution: Any, called: str) -> Verdict:
    """The verdict on rows beside a distribution of as many features; with labels, of each component too."""
    from minigan.evaluation.verdict import explained, judge
    from minigan.training.by_class import beside_classes, judge_labelled
    from minigan.training.draws import stream
    from minigan.training.labels import of_mixture
    from minigan.training.metrics import with_classifier

    rng, made, one = stream(0, "verdict"), rows.values, rows.values.shape[1] == 1
    verdict = judge(made[:, 0] if one else made, distribution, rng, names=None if one else rows.names)
    if rows.marks is None:
        real = distribution if one else distribution.sample(rng, (len(made),))
        verdict = verdict if one else with_classifier(verdict, made, real, rng)
        return explained(verdict, made, real) if one else explained(verdict, made, real, rows.names)
    labels = of_mixture(COMPONENT, distribution)
    codes = _codes(rows.marks, labels.classes, called, str(distribution))
    if not one:
        theirs = labels.codes(rng, len(made))
        real = beside_classes(labels, labels.rows(rng, theirs), theirs)
        verdict = with_classifier(verdict, beside_classes(labels, made, codes), real, rng)
    if verdict.evidence is None:
        return verdict
    return judge_labelled(labels, verdict.evidence, (made, codes), None, rng, rows.names)


def _codes(marks: Marks, classes: Sequence[str], called: str, of: str) -> np.ndarray:
    """The classes of rows by the numbers that the other side has for them.

    Shapes:  → (n,)
    Raises:  DataError – for a class that one side alone has
    """
    for have, lack, where, other in (
        (marks.classes, classes, called, of), (classes, marks.classes, of, called),
    ):  # fmt: skip
        if more := [name for name in have if name not in lack]:
            raise DataError(
                f"{where} has the class {quoted(more[0])}{f' and {len(more) - 1} more' * (len(more) > 1)}, "
                f"and {other} has {', '.join(map(quoted, lack[:5]))}{' …' * (len(lack) > 5)}; give both the "
                "same classes, or leave the label out"
            )
    place = {name: k for k, name in enumerate(classes)}
    found: np.ndarray = np.array([place[name] for name in marks.classes])[marks.codes]
    return found


def _table(subject: Subject) -> _Table:
    if subject.path is not None:
        return _Table(os.fspath(subject.path), subject.path)
    kind = {"ndarray": "array"}.get(type(subject.table).__name__, type(subject.table).__name__)
    return _Table(subject.table, f"the {kind}")

"""What a verdict is made of: measures with their tails, the rows shown of them, the conclusion."""

import math
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from minigan.evaluation.joint import LEVEL, GuessTail, Joint, Tail
from minigan.evaluation.power import Power
from minigan.evaluation.shortfalls import Shortfall
from minigan.evaluation.two_sample import EnergyResult, KSResult

OF_CLASSES = ("class", "verdict", "")
HEADER = ("", "this sample", "perfect sampler", "95 % of perfect samplers, all rows together", "")


@dataclass(frozen=True, eq=False)
class Row:
    """One measure of a sample, beside what a perfect sampler of the same size would show.

    A distance (``target`` None) has the perfect sampler's median and the ``bound`` that its value must not
    exceed. A moment has its true value as ``target`` and ``perfect``, and in ``bound`` how far it may be
    missed. Bounds are those of all rows together: 95 % of perfect samplers are within every one of them. A
    row whose bound is NaN is shown for information, and decides nothing.

    >>> rng = np.random.default_rng(0)
    >>> verdict = mg.eval(rng.normal(4, 1.25, 500), "normal(4, 1.25)")
    >>> [row.name for row in verdict.rows]
    ['KS', 'Anderson-Darling', 'mean', 'sd', 'W1', 'JS']
    """

    name: str
    value: float
    perfect: float
    bound: float
    target: float | None = None
    unit: str = ""

    def _known(self) -> tuple[object, ...]:
        """The fields, with None where a number is NaN: rows without a bound are equal too."""
        return tuple(None if value != value else value for value in vars(self).values())

    def __eq__(self, other: object) -> bool:
        return self._known() == other._known() if isinstance(other, Row) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._known())

    @property
    def judges(self) -> bool:
        """Whether the row takes part in the judgement."""
        return not math.isnan(self.bound)

    @property
    def within(self) -> bool:
        """Whether the value is within its bound; always, where there is none."""
        deviation = self.value if self.target is None else abs(self.value - self.target)
        return not self.judges or deviation <= self.bound

    @property
    def texts(self) -> tuple[str, str, str, str, str]:
        """The row of a table under ``HEADER``; no bound and no word where it is for information."""
        bound = f"below {self.bound:.4g}" if self.target is None else f"± {self.bound:.3g}"
        ending = (bound, "within" if self.within else "outside") if self.judges else ("", "")
        unit = f" ({self.unit})" if self.unit else ""
        return self.name + unit, f"{self.value:.4g}", f"{self.perfect:.4g}", *ending


@dataclass(frozen=True)
class Measure:
    """A row without its bound, and the tail by which it takes part; with None it is for information."""

    name: str
    value: float
    perfect: float
    tail: Tail | None = None
    target: float | None = None
    unit: str = ""

    @property
    def p(self) -> float:
        """About the share of perfect samplers that deviate as far."""
        deviation = self.value if self.target is None else abs(self.value - self.target)
        return 1.0 if self.tail is None else float(self.tail.p(deviation))

    def row(self, critical: float) -> Row:
        """The row that is outside where so small a tail is reached."""
        bound = math.nan if self.tail is None else self.tail.inverse(critical)
        target = None if self.target is None else float(self.target)
        return Row(self.name, float(self.value), float(self.perfect), float(bound), target, self.unit)


@dataclass(frozen=True)
class Evidence:
    """What a verdict is concluded from: measures, the distribution of their least tail, and the words."""

    measures: tuple[Measure, ...]
    joint: Joint
    ks: KSResult
    tests: str  # "Kolmogorov-Smirnov, …"
    subject: str  # "10 000 values"
    against: str
    power: Power
    enough: bool
    energy: EnergyResult | None = None
    last: Measure | None = None  # a further test, which takes half of the level
    lacks: str = ""  # a sentence on moments that the distribution does not have
    judged_on_learned: bool = False

    def conclude(self, together: int = 1) -> "Verdict":
        """The verdict: red exactly where a row is outside.

        together  of how many independent judgements it is one, that are red at the 5 % level as a whole: its
                  rows and its p-value are as strict as that asks for
        """
        of_this = share_of_level(together)
        level, half = of_this, 1 - math.sqrt(1 - of_this)  # of two independent tests
        if self.last is not None and isinstance(self.last.tail, GuessTail):
            level = 1 - (1 - of_this) / (1 - self.last.tail.spent(half))
        critical = self.joint.critical(level)
        rows = [measure.row(critical) for measure in self.measures]
        p = self.joint.pvalue(min(measure.p for measure in self.measures))
        if self.last is not None:
            rows.insert(2, self.last.row(half))
            p = 1 - (1 - min(p, self.last.p)) ** 2
        if together > 1:
            p = 1 - (1 - p) ** together
        told = not all(row.within for row in rows)
        # by the last digits of an inverse the two could differ
        p = min(p, LEVEL * (1 - 1e-9)) if told else min(max(p, LEVEL), 1.0)
        sentence = self._sentence(rows, p, told) + (self.lacks and f" {self.lacks}")
        return Verdict(
            rows=tuple(rows), ks=self.ks, pvalue=float(p), sentence=sentence,
            energy=self.energy, enough=self.enough, power=self.power, against=self.against,
            judged_on_learned=self.judged_on_learned, evidence=self,
        )  # fmt: skip

    def _sentence(self, rows: list[Row], p: float, told: bool) -> str:
        tests = self.tests if self.last is None else f"{self.tests} and {self.last.name.split()[0]}"
        together = f"{tests[0].upper()}{tests[1:]}, together at the 5 % level,"
        if told:
            outside = [format_outside(row) for row in rows if not row.within]
            more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
            return (
                f"{together} tell these {self.subject} from {self.against}: {format_p(p)}; outside are "
                f"{', '.join(outside[:3])}{more}."
            )
        if not self.enough:
            return f"Too few to tell {self.subject} from {self.against}: {self.power.describe_need()}"
        return (
            f"{together} cannot tell these {self.subject} from {self.against}: {format_p(p)}. "
            f"{self.power.describe()}"
        )


@dataclass(frozen=True)
class Verdict:
    """What the numbers say of a sample: a table, one judgement at the 5 % level, a sentence in plain words.

    A row is outside exactly where the sample can be told from its target: bounds are those of all rows
    together. ``pvalue`` is the share of perfect samplers of the same size whose worst row is as bad. ``ks``
    is the Kolmogorov–Smirnov test alone (that of the worst feature, where there are several), ``energy`` the
    energy test of rows of several features, else None. ``power`` says what would have been found, ``enough``
    whether that is worth a "cannot tell", ``against`` what the sample was judged against, and
    ``judged_on_learned`` whether that are the rows that its generator learned, which it could repeat.
    ``shortfall`` is what a sample that is told misses of its target, None of one that is not told.

    ``classes`` are the judgements of each class of a conditional generator; then the verdict is on all of
    them and on all rows together at the 5 % level, and its rows are those of all together.

    >>> rng = np.random.default_rng(0)
    >>> verdict = mg.eval(rng.normal(5, 1.25, 500), "normal(4, 1.25)")
    >>> verdict.indistinguishable, verdict.headline
    (False, 'can be told apart')
    """

    rows: tuple[Row, ...]
    ks: KSResult
    pvalue: float
    sentence: str
    energy: EnergyResult | None = None
    enough: bool = True
    power: Power | None = None
    against: str = "the target"
    shortfall: Shortfall | None = None
    judged_on_learned: bool = False
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    classes: tuple["OfClass", ...] = ()

    @property
    def distinguishable(self) -> bool | None:
        """Whether it can be told from its target at the 5 % level; None where there are too few values."""
        return None if self.indistinguishable is None else not self.indistinguishable

    @property
    def indistinguishable(self) -> bool | None:
        """Whether it cannot be told from its target; None where there are too few values to say so."""
        return False if self.pvalue < LEVEL else True if self.enough else None

    @property
    def good_news(self) -> bool | None:
        """Whether to be glad of it; None where too few values tell, or rows that were learned cannot."""
        return None if self.indistinguishable and self.judged_on_learned else self.indistinguishable

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        return HEADLINES[self.indistinguishable]

    def joined_by(self, test: Measure) -> "Verdict":
        """The verdict with one test more, taken as independent of the others, and half of the level.

        Raises:  ValueError – for a verdict on one feature, or one that was read from a file
        """
        if self.evidence is None or self.energy is None:
            raise ValueError("a third test joins an energy test and KS; received a verdict on one feature")
        return replace(self.evidence, last=test).conclude()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite becomes None."""
        plain: dict[str, Any] = _plain(
            {
                "rows": [asdict(row) for row in self.rows],
                "ks": asdict(self.ks),
                "pvalue": self.pvalue,
                "level": LEVEL,
                "headline": self.headline,
                "sentence": self.sentence,
                "against": self.against,
                "judged_on_learned": self.judged_on_learned,
                "energy": None if self.energy is None else asdict(self.energy),
                "power": None if self.power is None else self.power.as_dict(),
                "shortfall": None if self.shortfall is None else asdict(self.shortfall),
                "distinguishable": self.distinguishable,
                "indistinguishable": self.indistinguishable,
            }
        )
        return plain | ({"classes": [part.as_dict() for part in self.classes]} if self.classes else {})

    def _repr_html_(self) -> str:
        from minigan.markup.html import box, paragraph, table

        parts = [table(HEADER, [row.texts for row in self.rows]), paragraph(self.sentence)]
        parts += map(paragraph, [] if self.shortfall is None else self.shortfall.lines)
        if self.classes:
            parts.append(table(OF_CLASSES, [part.texts for part in self.classes]))
        return box(self.headline.capitalize(), *parts)


@dataclass(frozen=True)
class OfClass:
    """The verdict on what a conditional generator makes of one class, or, with no name, of all."""

    name: str
    verdict: Verdict

    @property
    def texts(self) -> tuple[str, str, str]:
        """The row of a table under ``OF_CLASSES``."""
        return self.name or "all together", self.verdict.headline, format_p(self.verdict.pvalue)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "verdict": self.verdict.as_dict()}


def share_of_level(together: int) -> float:
    """The level of each of so many independent judgements that are together at LEVEL.

    Source:  Šidák 1967
    """
    return LEVEL if together == 1 else 1 - (1 - LEVEL) ** (1 / together)


HEADLINES = {True: "cannot be told apart", False: "can be told apart", None: "too few values to tell"}


def format_target(text: str) -> str:
    """The text of a distribution with seven digits of numbers that have many: 1.414214 for √2 in full."""
    return re.sub(r"(?<!\d)\d{1,3}\.\d{7,}", lambda number: f"{float(number[0]):.7g}", text)


def format_count(count: int) -> str:
    """Thousands apart."""
    return f"{count:,}".replace(",", " ")


def format_p(p: float) -> str:
    """A p-value."""
    return "p < 1e-15" if p < 1e-15 else f"p = {p:.2g}"


def format_outside(row: Row) -> str:
    """A row that is outside, in words."""
    if row.target is None:
        return f"{row.name} {row.value:.3g}, above {row.bound:.3g}"
    return f"{row.name} {row.value:.4g} instead of {row.target:.4g} ± {row.bound:.2g}"


def _plain(value: Any) -> Any:
    """Dicts and lists with every float finite or None, tuples as lists."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

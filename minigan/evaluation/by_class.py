"""One judgement of a conditional generator: of each class, of all rows together, and of what leaks.

Every part is judged as it would be alone, at a level that makes 5 % of all of them (Šidák 1967).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from minigan.evaluation.joint import NormalTail
from minigan.evaluation.rows import (
    Evidence,
    Measure,
    OfClass,
    Verdict,
    format_outside,
    format_p,
    share_of_level,
)

LEAKAGE = "class leakage"


def leakage_of(made: np.ndarray, asked: np.ndarray, perfect: float, size: float) -> Measure:
    """The share of rows whose Bayes class is another than the one asked for, beside a perfect sampler's.

    made     the Bayes classes of generated rows;  asked  their own
    perfect  the share among real rows, and size how many of these it was counted on

    Shapes:  made, asked (n,), whole numbers
    Source:  the Bayes classifier of [T9]
    """
    n, share = len(made), float(np.mean(made != asked))
    spread = max(perfect * (1 - perfect), 1 / n)  # where classes hardly overlap one row is no finding
    sd = math.sqrt(spread * (1 / n + 1 / size))
    return Measure(LEAKAGE, share, perfect, NormalTail(sd), perfect)


def conclude(whole: Evidence, parts: Sequence[tuple[str, Evidence]], leak: Measure | None = None) -> Verdict:
    """The verdict on all rows, on each class, and on what leaks, together at the 5 % level."""
    together = 1 + len(parts) + (leak is not None)
    all_rows = whole.conclude(together)
    classes = tuple(OfClass(name, evidence.conclude(together)) for name, evidence in parts)
    ps = [all_rows.pvalue, *(part.verdict.pvalue for part in classes)]
    rows, told = all_rows.rows, list[str]()
    if not all(row.within for row in rows):
        told.append(f"all rows together ({_outside(all_rows)})")
    for part in classes:
        if part.verdict.distinguishable:
            told.append(f"class {part.name} ({_outside(part.verdict)})")
    if leak is not None:
        row = leak.row(share_of_level(together))
        first = 1 if whole.energy is None else 2  # after what compares all of the rows
        rows = (*rows[:first], row, *rows[first:])
        ps.append(1 - (1 - leak.p) ** together)
        if not row.within:
            told.append(f"{LEAKAGE} ({format_outside(row)})")
    p = min(ps)
    enough = all_rows.enough and all(part.verdict.enough for part in classes)
    sentence = _sentence(whole, classes, told, p, leak is not None, enough)
    return replace(
        all_rows, rows=rows, pvalue=p, sentence=sentence, enough=enough, classes=classes, evidence=None
    )


def _outside(verdict: Verdict) -> str:
    rows = [format_outside(row) for row in verdict.rows if not row.within]
    return rows[0] + (f", and {len(rows) - 1} more" if len(rows) > 1 else "")


def _sentence(
    whole: Evidence, classes: Sequence[OfClass], told: list[str], p: float, leaks: bool, enough: bool
) -> str:
    count = f"{len(classes)} classes, all rows together{' and what leaks between classes' * leaks}"
    if told:
        more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
        return (
            f"Of {count}, judged as one at the 5 % level, can be told from {whole.against}: "
            f"{'; '.join(told[:3])}{more}; {format_p(p)}."
        )
    if not enough:
        few = [part.name for part in classes if not part.verdict.enough]
        where = f"class {', '.join(few[:5])}" if few else "all rows together"
        cannot = f"none can be told from {whole.against}"
        return f"Of {count} {cannot}, but there are too few values of {where} to say so."
    least = min(classes, key=lambda part: part.verdict.pvalue)
    return (
        f"Of {count}, judged as one at the 5 % level, none can be told from {whole.against}: {format_p(p)}, "
        f"the least p of a class is {least.verdict.pvalue:.2g}, of {least.name}."
    )


def bayes_classes(log_densities: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The most probable class of each row.    Shapes:  (n, K), (K,) → (n,)    Source:  [T9]"""
    with np.errstate(divide="ignore"):
        found: np.ndarray = np.argmax(log_densities + np.log(priors), axis=1)
    return found

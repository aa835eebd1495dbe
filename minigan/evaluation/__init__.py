"""How a fit is judged, on arrays: each number beside the value that a perfect sampler would reach.

``two_sample``         Kolmogorov–Smirnov, Wasserstein-1, energy distance, maximum mean discrepancy
``two_distributions``  Kolmogorov–Smirnov, Wasserstein-1 and -2 of two known distributions
``modes``              modes captured, high-quality share, reverse KL over modes
``morphology``         what an image of a galaxy shows: flux, half-light radius, ellipticity, Sérsic index
``classifier_test``    a classifier that has to tell generated rows from real ones
``verdict``            all of them together, beside a perfect sampler of the same size

How a run reads and prints its verdict belongs to ``training`` and ``reports``.
"""

from minigan.evaluation.modes import ModeCoverage, Modes, mode_coverage, modes_of
from minigan.evaluation.two_distributions import ks_between, wasserstein1_between, wasserstein2_between
from minigan.evaluation.two_sample import (
    ECDF,
    EnergyResult,
    KSResult,
    MMDResult,
    ecdf,
    energy_test,
    ks_one_sample,
    ks_statistic,
    ks_two_sample,
    mmd2,
    mmd_test,
    perfect_ks_band,
    wasserstein1,
    wasserstein1_to,
)
from minigan.evaluation.verdict import Row, Verdict, judge, judge_two_sample

__all__ = [
    "ECDF",
    "EnergyResult",
    "KSResult",
    "MMDResult",
    "ModeCoverage",
    "Modes",
    "Row",
    "Verdict",
    "ecdf",
    "energy_test",
    "judge",
    "judge_two_sample",
    "ks_between",
    "ks_one_sample",
    "ks_statistic",
    "ks_two_sample",
    "mmd2",
    "mmd_test",
    "mode_coverage",
    "modes_of",
    "perfect_ks_band",
    "wasserstein1",
    "wasserstein1_between",
    "wasserstein1_to",
    "wasserstein2_between",
]

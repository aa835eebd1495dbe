"""Laws, information and agreement of samples: what a GAN is judged by. Arrays only, no engine.

``distributions``  normal, mixture, uniform, Laplace, Student, empirical; ``parse`` reads their text form
``planar``         mixtures of normal laws of several features: the ring, the grid and the spiral
``galaxies``       images of galaxies: light profiles, a telescope, the sky's noise
``morphology``     what such an image shows: flux, half-light radius, ellipticity, Sérsic index
``information``    entropy, Kullback–Leibler and Jensen–Shannon divergences, in nats
``two_sample``     Kolmogorov–Smirnov, Wasserstein-1, energy distance, maximum mean discrepancy
``modes``          modes captured, high-quality share, reverse KL over modes
``verdict``        each number beside the value that a perfect sampler of the same size would reach

Arguments may be lists or arrays of any backend; they are brought to the host and computed on in float64.
Empty input and NaN are errors everywhere. Names end in the route: ``kl`` (discrete), ``kl_normal``,
``kl_quadrature``, ``kl_monte_carlo``, ``kl_histogram``, ``kl_knn``.
"""

from minigan.probability.distributions import (
    Distribution,
    Empirical,
    Laplace,
    Mixture,
    MultivariateDistribution,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
    parse,
)
from minigan.probability.galaxies import GalaxyImages
from minigan.probability.information import (
    Estimate,
    cross_entropy,
    differential_entropy,
    entropy,
    entropy_monte_carlo,
    entropy_quadrature,
    histogram_edges,
    js,
    js_histogram,
    js_monte_carlo,
    js_quadrature,
    kl,
    kl_histogram,
    kl_knn,
    kl_monte_carlo,
    kl_multivariate_normal,
    kl_normal,
    kl_quadrature,
    self_information,
)
from minigan.probability.modes import ModeCoverage, Modes, mode_coverage, modes_of
from minigan.probability.planar import MultivariateMixture, grid, ring, spiral
from minigan.probability.two_sample import (
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
from minigan.probability.verdict import Row, Verdict, judge, judge_two_sample

__all__ = [
    "Distribution",
    "ECDF",
    "Empirical",
    "EnergyResult",
    "Estimate",
    "GalaxyImages",
    "KSResult",
    "Laplace",
    "MMDResult",
    "Mixture",
    "ModeCoverage",
    "Modes",
    "MultivariateDistribution",
    "MultivariateMixture",
    "MultivariateNormal",
    "Normal",
    "Row",
    "StudentT",
    "Uniform",
    "Verdict",
    "cross_entropy",
    "differential_entropy",
    "ecdf",
    "energy_test",
    "entropy",
    "entropy_monte_carlo",
    "entropy_quadrature",
    "grid",
    "histogram_edges",
    "js",
    "js_histogram",
    "js_monte_carlo",
    "js_quadrature",
    "judge",
    "judge_two_sample",
    "kl",
    "kl_histogram",
    "kl_knn",
    "kl_monte_carlo",
    "kl_multivariate_normal",
    "kl_normal",
    "kl_quadrature",
    "ks_one_sample",
    "ks_statistic",
    "ks_two_sample",
    "mmd2",
    "mmd_test",
    "mode_coverage",
    "modes_of",
    "parse",
    "perfect_ks_band",
    "ring",
    "self_information",
    "spiral",
    "wasserstein1",
    "wasserstein1_to",
]

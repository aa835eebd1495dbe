"""Laws, information and agreement of samples: what a GAN is judged by. Arrays only, no engine.

``distributions``  normal, mixture, uniform, Laplace, Student, empirical; ``parse`` reads their text form
``information``    entropy, Kullback–Leibler and Jensen–Shannon divergences, in nats
``two_sample``     Kolmogorov–Smirnov, Wasserstein-1, energy distance
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
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
    parse,
)
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
from minigan.probability.two_sample import (
    ECDF,
    EnergyResult,
    KSResult,
    ecdf,
    energy_test,
    ks_one_sample,
    ks_two_sample,
    perfect_ks_band,
    wasserstein1,
    wasserstein1_to,
)
from minigan.probability.verdict import Row, Verdict, judge, judge_two_sample

__all__ = [
    "ECDF",
    "Distribution",
    "Empirical",
    "EnergyResult",
    "Estimate",
    "KSResult",
    "Laplace",
    "Mixture",
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
    "ks_two_sample",
    "parse",
    "perfect_ks_band",
    "self_information",
    "wasserstein1",
    "wasserstein1_to",
]

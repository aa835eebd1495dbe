"""Distributions, information and divergences, and the toys that GANs learn. Arrays only, no engine.

``distributions``  normal, mixture, uniform, Laplace, Student, empirical; ``parse`` reads their text form
``planar``         mixtures of normal distributions of several features: the ring, the grid and the spiral
``galaxies``       images of galaxies: light profiles, a telescope, the sky's noise
``information``    entropy, Kullback–Leibler and Jensen–Shannon divergences, in nats

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
from minigan.probability.planar import MultivariateMixture, grid, ring, spiral

__all__ = [
    "Distribution",
    "Empirical",
    "Estimate",
    "GalaxyImages",
    "Laplace",
    "Mixture",
    "MultivariateDistribution",
    "MultivariateMixture",
    "MultivariateNormal",
    "Normal",
    "StudentT",
    "Uniform",
    "cross_entropy",
    "differential_entropy",
    "entropy",
    "entropy_monte_carlo",
    "entropy_quadrature",
    "grid",
    "histogram_edges",
    "js",
    "js_histogram",
    "js_monte_carlo",
    "js_quadrature",
    "kl",
    "kl_histogram",
    "kl_knn",
    "kl_monte_carlo",
    "kl_multivariate_normal",
    "kl_normal",
    "kl_quadrature",
    "parse",
    "ring",
    "self_information",
    "spiral",
]

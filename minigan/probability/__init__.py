"""Distributions, information and divergences, and the toys that GANs learn. Arrays only, no engine.

``distributions``  of one number: the protocol; normal, uniform, Laplace, logistic
``positive``       exponential, gamma, lognormal, Weibull
``bounded``        beta, triangular
``heavy_tails``    Student, Cauchy, Pareto
``mixture``        their mixtures
``empirical``      the distribution of a data set
``multivariate``   several features: the protocol; the normal distribution and its mixtures
``planar``         the ring, the grid, the spiral and other figures of the plane
``galaxies``       images of galaxies: light profiles, a telescope, the sky's noise
``strata``         stratified draws of them: one value from each of equal slices of probability
``text_form``      the text form of all these
``families``       what it can name: the families, and other names for them
``spelling``       how people write them
``information``    entropy, Kullback–Leibler and Jensen–Shannon divergences, in nats
``f_divergences``  other divergences of two densities
``estimators``     entropy and divergences from samples

Arguments may be lists or arrays of any backend; they are brought to the host and computed on in float64.
Empty input and NaN are errors everywhere. Names end in the route: ``kl`` (discrete), ``kl_normal``,
``kl_quadrature``, ``kl_monte_carlo``, ``kl_histogram``, ``kl_knn``. Whether a sample comes from a
distribution is decided in ``minigan.evaluation``; what is fitted to one, in ``minigan.models``.
"""

from minigan.probability.bounded import Beta, Triangular
from minigan.probability.distributions import (
    Distribution,
    Laplace,
    Logistic,
    Normal,
    Uniform,
    Univariate,
    entropy_quadrature,
)
from minigan.probability.empirical import Empirical
from minigan.probability.estimators import (
    Estimate,
    differential_entropy,
    entropy_monte_carlo,
    histogram_edges,
    js_histogram,
    js_monte_carlo,
    kl_histogram,
    kl_knn,
    kl_monte_carlo,
)
from minigan.probability.f_divergences import F_DIVERGENCES, f_divergence
from minigan.probability.galaxies import GalaxyImages
from minigan.probability.heavy_tails import Cauchy, Pareto, StudentT
from minigan.probability.information import (
    cross_entropy,
    entropy,
    js,
    js_quadrature,
    kl,
    kl_multivariate_normal,
    kl_normal,
    kl_quadrature,
    self_information,
)
from minigan.probability.mixture import Mixture
from minigan.probability.multivariate import (
    MultivariateDistribution,
    MultivariateMixture,
    MultivariateNormal,
    correlated_normal,
)
from minigan.probability.planar import Checkerboard, circles, grid, moons, pinwheel, ring, spiral, swiss_roll
from minigan.probability.positive import Exponential, Gamma, LogNormal, Weibull
from minigan.probability.text_form import parse

__all__ = [
    "Beta",
    "Cauchy",
    "Checkerboard",
    "Distribution",
    "Empirical",
    "Estimate",
    "Exponential",
    "F_DIVERGENCES",
    "GalaxyImages",
    "Gamma",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Mixture",
    "MultivariateDistribution",
    "MultivariateMixture",
    "MultivariateNormal",
    "Normal",
    "Pareto",
    "StudentT",
    "Triangular",
    "Uniform",
    "Univariate",
    "Weibull",
    "circles",
    "correlated_normal",
    "cross_entropy",
    "differential_entropy",
    "entropy",
    "entropy_monte_carlo",
    "entropy_quadrature",
    "f_divergence",
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
    "moons",
    "parse",
    "pinwheel",
    "ring",
    "self_information",
    "spiral",
    "swiss_roll",
]

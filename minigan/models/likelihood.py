"""Maximum likelihood, which an adversary replaces: exact where p_θ is known; the normal closest to p.

``fit_normal``       the normal distribution of largest likelihood in closed form
``fit_by_gradient``  the same, and mixtures, by the engine's gradient: what a GAN does when p_θ has no formula
``closest_normal``   the optimum of each f-divergence over all normal distributions: what a GAN should come to
"""

import math
from typing import NamedTuple

import numpy as np

from minigan import backend as backends
from minigan.arguments import whole
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import exp, mean, square
from minigan.engine.tensor import constant
from minigan.models.classifiers import require_squares
from minigan.models.posterior import log_sum_exp
from minigan.nn.optim import Adam
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import Schedule
from minigan.probability._numerics import host, unit_scaled
from minigan.probability.distributions import NORMAL_IQR, Distribution, Normal, location_scale
from minigan.probability.empirical import Empirical
from minigan.probability.f_divergences import f_divergence
from minigan.probability.mixture import Mixture
from minigan.probability.multivariate import MultivariateDistribution, MultivariateNormal

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
CONVERGED = 1e-4  # the gradient of the mean log-likelihood at what counts as a maximum, in units of the data
COLLAPSED = 1e-6  # sd of a component, in units of the data: on its way to one point and infinite likelihood


def mean_log_likelihood(distribution: Distribution | MultivariateDistribution, x) -> float:
    """⟨ln p_θ⟩_d, the mean of ln p_θ over data; −∞ where one of them has no density.

    Over all of p_d it is −H[p_d] − KL(p_d‖p_θ): whoever maximises it minimises the KL divergence.

    Shapes:  x (n,), or (n, p) for a distribution of p features
    Units:   nats
    Source:  [T12]
    """
    return float(np.mean(distribution.log_density(host(x, "data", finite=True))))


def fit_normal(x) -> Normal | MultivariateNormal:
    """The normal distribution of largest likelihood: the mean and Σ(x − x̄)(x − x̄)ᵀ/n of the data.

    Shapes:  x (n,), or (n, p) → a distribution of p features
    Raises:  ValueError – for data without spread, in any direction, where the likelihood has no maximum
    Source:  [T12]
    """
    x = host(x, "data", finite=True)
    if x.ndim == 2:
        require_squares(x)
        centred = x - x.mean(axis=0)
        return MultivariateNormal(x.mean(axis=0), centred.T @ centred / len(x))
    sd = _spread(x)
    scaled, exponent = unit_scaled(x)
    return Normal(float(np.ldexp(scaled.mean(), exponent)), float(sd))


def fit_by_gradient(
    x, components=1, *, steps=1000, rate=0.05, dtype="float64", backend=None
) -> Normal | Mixture:
    """The normal distribution, or mixture of them, that Adam finds to minimise −⟨ln p_θ⟩ over all data.

    p_θ = Σ_k softmax_k(w) N(μ_k, e^{2s_k}), its logarithm by log-sum-exp; the rate falls to 0 on a cosine.
    Where a few values lie so far out that Adam is slow, L-BFGS goes the rest of the way. A mixture starts
    with its components side by side at the quantiles of the data; its likelihood has several maxima, and the
    nearest one is found.

    Shapes:  x (n,)
    Raises:  ValueError – for data without spread, fewer different values than 2K, or a component that shrinks
             to a point, where the likelihood is infinite, or keeps less than one of the data; if no maximum
             was reached
    Source:  [T12]
    """
    x = host(x, "data", finite=True)
    if x.ndim != 1:
        raise ValueError(f"a mixture is fitted to data of shape (n,); received {x.shape}")
    K, spread = whole("components", components), _spread(x)
    if K > len(np.unique(x)) / 2:
        raise ValueError(
            f"{len(np.unique(x))} different values can tell from 1 to {len(np.unique(x)) // 2} components; "
            f"received {components}"
        )
    *ends, middle = Empirical(x).quantile([0.25, 0.75, 0.5])
    unit = (ends[1] - ends[0]) / NORMAL_IQR or spread  # not mean and sd: they would be the answer of K = 1
    device = backend or backends.numpy_backend
    θ = Parameters({name: (1, K) for name in ("mean", "log_sd", "weight")}, device, dtype)
    places = (Empirical(x).quantile((np.arange(K) + 0.5) / K) - middle) / unit
    start = {"mean": places, "log_sd": np.full(K, -math.log(K)), "weight": np.zeros(K)}
    θ.load({name: values.reshape(1, K).astype(dtype) for name, values in start.items()})
    optimizer, factor = Adam(θ, rate), Schedule("cosine", steps)(np.arange(steps)).astype(dtype)

    def loss_at_θ(data):
        z = (data - θ["mean"]) * exp(-θ["log_sd"])
        log_joint = θ["weight"] - log_sum_exp(θ["weight"]) - 0.5 * square(z) - θ["log_sd"] - LOG_SQRT_2PI
        return -mean(log_sum_exp(log_joint))

    def step(data, f):
        loss = loss_at_θ(data)
        optimizer.step(grad(loss, θ), f)
        return loss

    def slopes(data):
        loss = loss_at_θ(data)
        return loss, grad(loss, θ)

    data = constant(device.array(((x - middle) / unit)[:, None].astype(dtype)))
    factors = [constant(device.array(f)) for f in factor[:, None]]
    program = capture(step, data, factors[0], state={"θ": θ.flat, **optimizer.state})
    for f in factors[1:]:
        program(data, f)
    _finish(θ, capture(slopes, data, state={"θ": θ.flat}), data)
    fitted = {name: values[0].astype("float64") for name, values in θ.arrays().items()}
    sd, weights = np.exp(fitted["log_sd"]), np.exp(fitted["weight"] - fitted["weight"].max())
    weights /= weights.sum()
    if not (sd.min() > COLLAPSED and weights.min() * len(x) >= 1):
        raise ValueError(
            f"one of {K} components shrank to a point or lost its data on the way to the largest likelihood; "
            "fit fewer components"
        )
    distributions = tuple(
        Normal(middle + unit * m, unit * s) for m, s in zip(fitted["mean"], sd, strict=True)
    )
    return distributions[0] if K == 1 else Mixture(tuple(weights), distributions)


def _finish(θ, program, data):
    """Follow the likelihood to its maximum where the steps were too few.

    Raises:  ValueError – if it was not reached
    """
    from scipy.optimize import minimize

    def value_and_gradient(values):
        θ.update(constant(θ.backend.array(values.astype(θ.flat.dtype))))
        loss, gradients = program(data)
        return loss.item(), np.concatenate([g.numpy().ravel() for g in gradients]).astype("float64")

    values = θ.flat.numpy().astype("float64")
    if np.abs(value_and_gradient(values)[1]).max() <= CONVERGED:
        return
    options = {"gtol": 1e-9, "ftol": 0.0}
    found = minimize(value_and_gradient, values, jac=True, method="L-BFGS-B", options=options)
    steepest = np.abs(value_and_gradient(found.x)[1]).max()
    collapsed = np.exp(θ["log_sd"].numpy()).min() <= COLLAPSED  # which has its own sentence
    if not steepest <= CONVERGED and not collapsed:
        raise ValueError(
            f"the fit ended with a gradient of {steepest:.2g}, where {CONVERGED:g} counts as a maximum; "
            "raise steps, or fit fewer components"
        )


class ClosestNormal(NamedTuple):
    """The normal distribution of least divergence from p, that divergence, and other local minima found."""

    distribution: Normal
    divergence: float
    others: tuple[tuple[Normal, float], ...] = ()


def closest_normal(f, p: Distribution) -> ClosestNormal:
    """argmin over μ, σ of D_f(p‖N(μ, σ²)), by quadrature: each dip of a grid is followed down to its minimum.

    KL(p‖q) must cover all of p: its optimum has the mean and sd of p. KL(q‖p) must avoid where p is not: it
    may sit on one mode, and then has a local minimum at others.

    f  what ``f_divergence`` takes: a name of F_DIVERGENCES or a function of p/q

    Raises:  ValueError – if the divergence of every normal distribution is infinite
    Source:  [T12]; Nowozin, Cseke, Tomioka 2016, section 2.4
    """
    from scipy.optimize import minimize

    centre, scale, _ = location_scale(p)

    def distribution(t):
        return Normal(centre + scale * t[0], scale * math.exp(t[1]))

    def divergence(t):
        return f_divergence(f, p, distribution(t)) if abs(t[1]) < 20 else math.inf

    def descend(t, size, tolerance):
        corners = np.array([t, t + [size, 0.0], t + [0.0, size]])
        options = {"initial_simplex": corners, "xatol": tolerance, "fatol": 1e-13}
        with np.errstate(invalid="ignore"):  # ∞ − ∞ of two corners
            return minimize(divergence, t, method="Nelder-Mead", options=options).x

    modes = [c.mean for c in p.components] if isinstance(p, Mixture) else []
    means = (np.unique([*p.quantile(np.linspace(0.02, 0.98, 11)), *modes]) - centre) / scale
    log_sds = np.linspace(math.log(0.08), math.log(2.5), 9)
    grid = np.array([[divergence((m, s)) for s in log_sds] for m in means])
    around = np.lib.stride_tricks.sliding_window_view(np.pad(grid, 1, constant_values=np.inf), (3, 3))
    dips = np.argwhere((grid < np.inf) & (grid <= around.min(axis=(2, 3))))
    minima: list[tuple[float, np.ndarray]] = []
    for i, j in dips:
        t = descend(np.array([means[i], log_sds[j]]), 0.1, 1e-3)
        t = descend(t, 1e-3, 1e-8)  # anew: a simplex can fold too early
        if all(np.abs(t - other).max() > 1e-3 for _, other in minima):
            minima.append((divergence(t), t))
    if not minima:
        raise ValueError(
            f"the divergence {f} of every normal distribution from {p} is infinite; choose another one"
        )
    (best, t), *others = sorted(minima, key=lambda found: found[0])
    return ClosestNormal(distribution(t), best, tuple((distribution(s), value) for value, s in others))


def _spread(x):
    """The ML standard deviation of (n,) data, if they have one."""
    if x.ndim != 1:
        raise ValueError(f"data have shape (n,) or (n, p); received {x.shape}")
    scaled, exponent = unit_scaled(x)
    if not scaled.std() > 1e-14:
        raise ValueError(
            f"all {len(x)} values are {x[0]:g}, where a normal distribution's likelihood has no maximum; "
            "give more varied data"
        )
    return np.ldexp(scaled.std(), exponent)

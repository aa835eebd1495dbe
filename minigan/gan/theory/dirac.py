"""The Dirac-GAN, the smallest game that shows what a GAN can do: its methods, each with its theory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from minigan import backend as backends
from minigan.engine.primitives import mean
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.objectives import Objective
from minigan.gan.objectives import objective as objective_called
from minigan.gan.penalties import gradient_penalty
from minigan.gan.theory.dynamics import SmallGame, regularised

Slope: TypeAlias = Callable[[Any], Any]  # of a curve, from numbers or arrays ψθ
Field: TypeAlias = Callable[[Any, Any, float], tuple[Any, Any]]  # (ψ, θ, γ) → the two velocities


def dirac(
    objective: str | Objective = "minimax",
    *,
    r1: float = 0.0,
    r2: float = 0.0,
    gp: float = 0.0,
    norm: float = 1.0,
    consensus: float = 0.0,
    noise: float = 0.0,
    clip: float = 0.0,
    nodes: int = 100,
    backend: Any = backends.numpy_backend,
) -> SmallGame:
    """The Dirac-GAN: all data are 0, the generator makes θ, the discriminator's logit is a(x) = ψ x.

    r1, r2     γ of γ/2 E‖∂a/∂x‖² on real and on generated data; here both are γ/2 ψ²
    gp, norm   γ of γ/2 E(‖∂a/∂x‖ − norm)² between them: WGAN-GP's
    consensus  γ of γ/2 ‖v‖², added to both losses
    noise      σ of the instance noise: data N(0, σ²), generated N(θ, σ²), the expectations by Gauss-Hermite
               quadrature with so many ``nodes`` (exact to 1e-12 where |ψ| σ ≤ 2)
    clip       |ψ| stays below it, after each step; 0 for no bound

    Raises:  ValueError – for instance noise under an objective that compares pairs
    Source:  Mescheder, Geiger, Nowozin 2018, section 2. There D maximises and is large on generated data;
             here it minimises and is large on real data: their ψ is our −ψ
    """
    curves = objective_called(objective)
    if noise and curves.paired:
        raise ValueError(f"instance noise is averaged over single samples; {curves.name} compares pairs")
    points, weights = np.polynomial.hermite_e.hermegauss(nodes if noise else 1)
    offsets, weights = noise * points[:, None], (weights * (len(weights) / weights.sum()))[:, None]

    def losses(ψ: Tensor, θ: Tensor) -> tuple[Tensor, Tensor]:
        here = backends.of(ψ.memory)
        offset, weight = (Tensor(here.array(a)) for a in (offsets, weights))
        real, fake = variable(0.0 * constant(θ) + offset), θ + offset  # a copy of the data per point
        a, b = real * ψ, fake * ψ
        if curves.paired:
            loss_d, loss_g = curves.discriminator_loss(a, b), curves.generator_loss(b, a)
        else:
            loss_d = mean(weight * curves.real(a)) + mean(weight * curves.fake(b))
            loss_g = mean(weight * curves.generator(b))
        for γ, logits, at, target in ((r1, a, real, 0.0), (r2, b, fake, 0.0), (gp, b, fake, norm)):
            if γ:  # the slope of D is ψ everywhere, between real and generated data too
                loss_d = loss_d + 0.5 * γ * gradient_penalty(logits, at, target)
        return loss_d, loss_g

    def clipped(w: np.ndarray) -> np.ndarray:
        return np.stack([np.clip(w[..., 0], -clip, clip), w[..., 1]], axis=-1)

    return SmallGame(
        regularised(losses, consensus) if consensus else losses, (1, 1), clipped if clip else None, backend
    )


def _σ(t: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * t)


def _pair(trace: float, determinant: float) -> np.ndarray:
    """The roots of λ² − trace λ + determinant."""
    root = np.sqrt(complex(0.25 * trace * trace - determinant))
    return np.array([0.5 * trace + root, 0.5 * trace - root])


def _field_of(fake: Slope, generator: Slope, damping: float = 0.0) -> Field:
    """(−fake′(ψθ) θ − damping γ ψ, −generator′(ψθ) ψ), from the slopes of an objective's curves."""

    def field(ψ: Any, θ: Any, γ: float) -> tuple[Any, Any]:
        return -fake(ψ * θ) * θ - damping * γ * ψ, -generator(ψ * θ) * ψ

    return field


def _consensus_field(ψ: Any, θ: Any, γ: float) -> tuple[Any, Any]:
    s, length = _σ(ψ * θ), ψ * ψ + θ * θ  # ½‖v‖² = ½ s² (ψ² + θ²), s′ = s (1 − s)
    pull_ψ, pull_θ = (s * s * x + s * s * (1.0 - s) * y * length for x, y in ((ψ, θ), (θ, ψ)))
    return -s * θ - γ * pull_ψ, s * ψ - γ * pull_θ


def _noisy_field(ψ: Any, θ: Any, γ: float) -> tuple[Any, Any]:
    t = np.linspace(
        -12.0, 12.0, 1201
    )  # the trapezoidal rule: exact to rounding for what decays like a Gaussian
    weight = np.exp(-0.5 * t * t)
    weight, x = weight / weight.sum(), γ * t
    ψ_, made = np.expand_dims(ψ, -1), np.expand_dims(θ, -1) + x
    to_ψ = (weight * (_σ(-ψ_ * x) * x - _σ(ψ_ * made) * made)).sum(axis=-1)
    return to_ψ, ψ * (weight * _σ(ψ_ * made)).sum(axis=-1)


@dataclass(frozen=True)
class Dirac:
    """One method on the Dirac-GAN: its game, and what theory says of it in closed form.

    game(γ)          the game, by the engine
    field(ψ, θ, γ)   its vector field
    eigenvalues(γ)   λ at rest, ψ = θ = 0; None where the field has no derivative there
    flow             the verdict on gradient flow at rest
    γ                a value of its parameter
    """

    name: str
    game: Callable[..., SmallGame]
    field: Field
    eigenvalues: Callable[[float], np.ndarray] | None
    flow: str
    γ: float
    formula: str
    source: str


_MESCHEDER = "Mescheder, Geiger, Nowozin 2018"

DIRAC = {row.name: row for row in (
    Dirac("GAN", lambda γ, **on: dirac("minimax", **on), _field_of(_σ, lambda t: -_σ(t)),
          lambda γ: _pair(0.0, 0.25), "circles", 0.0,
          "λ = ±i f′(0), f′(0) = ½", f"{_MESCHEDER}, section 2"),
    Dirac("non-saturating", lambda γ, **on: dirac("non_saturating", **on), _field_of(_σ, lambda t: -_σ(-t)),
          lambda γ: _pair(0.0, 0.25), "circles", 0.0,
          "λ = ±i/2, as GAN; but (ψ² + θ²)′ = −2ψθ tanh(ψθ/2): inwards, slower than any exponential",
          f"{_MESCHEDER}, section 3"),
    Dirac("WGAN", lambda γ, **on: dirac("wasserstein", **on), _field_of(lambda t: 1.0, lambda t: -1.0),
          lambda γ: _pair(0.0, 1.0), "circles", 0.0,
          "λ = ±i", f"{_MESCHEDER}, section 3"),
    Dirac("WGAN, clipped", lambda γ, **on: dirac("wasserstein", clip=γ, **on),
          _field_of(lambda t: 1.0, lambda t: -1.0), lambda γ: _pair(0.0, 1.0), "circles", 0.3,
          "λ = ±i, within |ψ| ≤ γ; the flow ends on the circle of radius γ", f"{_MESCHEDER}, section 3"),
    Dirac("WGAN-GP", lambda γ, **on: dirac("wasserstein", gp=γ, **on),
          lambda ψ, θ, γ: (-θ - γ * np.sign(ψ) * (np.abs(ψ) - 1.0), ψ), None, "diverges", 1.0,
          "no derivative at ψ = 0, which repels: the flow ends on a cycle of height γ coth(πγ/(2√(4 − γ²)))",
          f"{_MESCHEDER}, section 3"),
    Dirac("R1", lambda γ, **on: dirac("non_saturating", r1=γ, **on),
          _field_of(_σ, lambda t: -_σ(-t), damping=1.0), lambda γ: _pair(-γ, 0.25), "converges", 0.5,
          "λ = −γ/2 ± √(γ²/4 − f′(0)²)", f"{_MESCHEDER}, equation 9"),
    Dirac("R2", lambda γ, **on: dirac("non_saturating", r2=γ, **on),
          _field_of(_σ, lambda t: -_σ(-t), damping=1.0), lambda γ: _pair(-γ, 0.25), "converges", 0.5,
          "λ = −γ/2 ± √(γ²/4 − f′(0)²)", f"{_MESCHEDER}, equation 10"),
    Dirac("R1 + R2", lambda γ, **on: dirac("non_saturating", r1=γ, r2=γ, **on),
          _field_of(_σ, lambda t: -_σ(-t), damping=2.0), lambda γ: _pair(-2.0 * γ, 0.25), "converges", 0.4,
          "λ = −γ ± √(γ² − f′(0)²)", "the two penalties add up"),
    Dirac("relativistic, R1", lambda γ, **on: dirac("relativistic", r1=γ, **on),
          _field_of(_σ, lambda t: -_σ(-t), damping=1.0), lambda γ: _pair(-γ, 0.25), "converges", 0.5,
          "λ = −γ/2 ± √(γ²/4 − f′(0)²), as R1",
          "Huang et al. 2024 (R3GAN), whose equation 12 has f′ where f′² belongs"),
    Dirac("consensus", lambda γ, **on: dirac("minimax", consensus=γ, **on), _consensus_field,
          lambda γ: _pair(-0.5 * γ, 0.25 + (0.25 * γ) ** 2), "converges", 0.5,
          "λ = −γ f′(0)² ± i f′(0)",
          "Mescheder, Nowozin, Geiger 2017; their code of the Dirac-GAN has a spurious ½ in the slope of "
          "‖v‖², at a term of third order, which leaves λ as it is"),
    Dirac("instance noise", lambda γ, **on: dirac("minimax", noise=γ, **on), _noisy_field,
          lambda γ: _pair(-0.5 * γ * γ, 0.25), "converges", 1.0,
          "λ = −σ²/4 ± √(σ⁴/16 − f′(0)²), γ = σ", f"{_MESCHEDER}, section 3, with f″(0) = −¼"),
    Dirac("least squares", lambda γ, **on: dirac("least_squares", **on),
          _field_of(lambda t: t, lambda t: t - 1.0), lambda γ: _pair(0.0, 0.0), "undecided", 0.0,
          "λ = 0, 0: without a bias D cannot say ½, and every (0, θ) is at rest",
          "derived from the losses of Mao et al. 2017"),
)}  # fmt: skip

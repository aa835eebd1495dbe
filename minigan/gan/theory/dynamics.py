"""The dynamics of a small game: its vector field, its exact Jacobian, and where gradient steps lead.

Both players minimise, so each moves against the slope of its own loss: v(w) = (−∂L_D/∂ψ, −∂L_G/∂θ) at the
point w = (ψ, θ). A game rests where v = 0. Near rest a small distance goes as e^(λt) under gradient flow, λ
being the eigenvalues of the Jacobian v′; a step multiplies it by the eigenvalues of its own Jacobian. Two
losses are no potential: v′ is not symmetric, so λ may be imaginary, and then the players circle each other.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minigan import backend as backends
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, reshape, square, sum_over
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.game import Game
from minigan.gan.objectives import Objective
from minigan.gan.objectives import objective as objective_called
from minigan.gan.penalties import gradient_penalty

ORDERS = ("simultaneous", "alternating", "extragradient", "optimistic")
TOLERANCE = 1e-9  # nearer than this to the imaginary axis, or to the unit circle, is on it


@dataclass(frozen=True)
class SmallGame:
    """D minimises L_D(ψ, θ) over its n numbers ψ, G minimises L_G(ψ, θ) over its m numbers θ.

    losses   a function of Tensors → (L_D, L_G), one value per point. Both must keep their whole dependence on
             both players: a generated sample that is cut from θ makes a wrong Jacobian
    sizes    (n, m)
    project  where a step may lead, for example clipping: host points → host points, or None

    Points w = (ψ, θ) are host arrays in float64. A player's own learning rate is a factor on its loss.

    Shapes:  points w (…, n + m); losses: ψ (…, 1, n), θ (…, 1, m) → (…, 1, 1) each
    Raises:  ValueError – for points of another size, losses that are not one value per point
    """

    losses: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    sizes: tuple[int, int]
    project: Callable[[np.ndarray], np.ndarray] | None = None
    backend: Any = backends.numpy_backend

    def slopes(self, w: ArrayLike, create_graph: bool = False) -> tuple[Any, ...]:
        """ψ, θ, ∂L_D/∂ψ and ∂L_G/∂θ at w, as Tensors."""
        w, (n, m) = np.asarray(w, "float64"), self.sizes
        if w.shape[-1:] != (n + m,):
            raise ValueError(
                f"a point of this game has {n} + {m} numbers in its last axis; received {w.shape}"
            )
        ψ, θ = (variable(self.backend.array(part[..., None, :])) for part in (w[..., :n], w[..., n:]))
        losses = self.losses(ψ, θ)
        if any(loss.shape != (*w.shape[:-1], 1, 1) for loss in losses):
            raise ValueError(
                f"losses are one value per point, shape {(*w.shape[:-1], 1, 1)}; "
                f"received {losses[0].shape} and {losses[1].shape}"
            )
        slopes = (grad(y, [x], create_graph=create_graph)[0] for y, x in zip(losses, (ψ, θ), strict=True))
        return ψ, θ, *slopes

    def field(self, w: ArrayLike) -> np.ndarray:
        """v(w) = (−∂L_D/∂ψ, −∂L_G/∂θ): where both players want to go.    Shapes:  (…, n + m) → the same"""
        _, _, slope_d, slope_g = self.slopes(w)
        return -np.concatenate([slope_d.numpy(), slope_g.numpy()], axis=-1)[..., 0, :]

    def jacobian(self, w: ArrayLike) -> np.ndarray:
        """v′(w) = ∂v/∂w, exact: the slopes are differentiated once more.

        Shapes:  (…, n + m) → (…, n + m, n + m), a row per component of v
        """
        ψ, θ, *slopes = self.slopes(w, create_graph=True)
        rows = [
            np.concatenate([g.numpy() for g in grad(slope[..., k : k + 1], [ψ, θ])], axis=-1)
            for slope in slopes
            for k in range(slope.shape[-1])
        ]
        return -np.concatenate(rows, axis=-2)

    def _players(self):
        """1 at the numbers of D and 0 at those of G, and the other way round."""
        n, m = self.sizes
        return np.repeat([1.0, 0.0], (n, m)), np.repeat([0.0, 1.0], (n, m))

    def step(
        self, w: ArrayLike, rate: float, order: str = "simultaneous", previous: ArrayLike | None = None
    ) -> np.ndarray:
        """The point after one step of size h = ``rate``.

        simultaneous   w + h v(w): both players move from the same point
        alternating    D moves first, G sees the new D
        extragradient  w + h v(w + h v(w)): a trial step tells where the slope is to be taken
        optimistic     w + 2h v(w) − h v(w₋), w₋ = ``previous``: the trial step costs no second slope

        Raises:  ValueError – for an unknown order
        Source:  Mescheder, Nowozin, Geiger 2017; Korpelevich 1976; Daskalakis et al. 2018
        """
        _known(order)
        w, (d, g) = np.asarray(w, "float64"), self._players()
        v, put = self.field(w), self.project or (lambda w: w)
        if order == "alternating":
            moved = put(w + rate * d * v)
            return put(moved + rate * g * self.field(moved))
        if order == "extragradient":
            return put(w + rate * self.field(put(w + rate * v)))
        if order == "optimistic":
            return put(w + rate * (2.0 * v - (v if previous is None else self.field(previous))))
        return put(w + rate * v)

    def step_matrix(self, w: ArrayLike, rate: float, order: str = "simultaneous") -> np.ndarray:
        """The Jacobian of one step at w, exact, by the chain rule: I + h v′ for a simultaneous one.

        For the optimistic step it is that of (w, w₋) → (w₊, w), at w₋ = w. Projections are not in it.

        Shapes:  (…, n + m) → (…, N, N), N = n + m, twice that if optimistic
        Raises:  ValueError – for an unknown order
        """
        _known(order)
        w, (d, g), one = np.asarray(w, "float64"), self._players(), np.eye(sum(self.sizes))
        hv, hJ = rate * self.field(w), rate * self.jacobian(w)
        if order == "alternating":
            later = rate * self.jacobian(w + d * hv)
            return (one + g[:, None] * later) @ (one + d[:, None] * hJ)
        if order == "extragradient":
            return one + rate * self.jacobian(w + hv) @ (one + hJ)
        if order == "optimistic":
            above = np.concatenate([one + 2.0 * hJ, -hJ], axis=-1)
            below = np.broadcast_to(np.concatenate([one, 0.0 * one], axis=-1), above.shape)
            return np.concatenate([above, below], axis=-2)
        return one + hJ

    def trajectory(
        self, start: ArrayLike, rate: float, steps: int, order: str = "simultaneous"
    ) -> np.ndarray:
        """The start and where each step leads.    Shapes:  start (…, n + m) → (steps + 1, …, n + m)"""
        points = [np.asarray(start, "float64")]
        for _ in range(steps):
            points.append(self.step(points[-1], rate, order, previous=points[-2] if points[1:] else None))
        return np.stack(points)

    def stability(self, w: ArrayLike, rate: float, order: str = "simultaneous") -> "Stability":
        """What the game does near w, to first order: meant for points at rest."""
        return Stability(
            eigenvalues=eigenvalues(self.jacobian(w)),
            multipliers=eigenvalues(self.step_matrix(w, rate, order)),
            speed=float(np.linalg.norm(self.field(w))),
            rate=float(rate),
            order=order,
        )


def _known(order):
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {order!r}")


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """The eigenvalues, by falling real part, conjugates with the positive imaginary part first.

    Shapes:  (…, N, N) → (…, N), complex
    """
    values = np.linalg.eigvals(matrix).astype("complex128")
    keys = np.round(-values, 9)  # rounding errors do not order a pair
    return np.take_along_axis(values, np.argsort(keys, axis=-1, kind="stable"), axis=-1)


def spectral_radius(matrix: np.ndarray) -> np.ndarray:
    """max |μ| over the eigenvalues μ: what a step multiplies a small distance by, in the long run.

    Shapes:  (…, N, N) → (…)
    """
    return np.abs(np.linalg.eigvals(matrix)).max(axis=-1)


@dataclass(frozen=True)
class Stability:
    """The linearised game at a point, under gradient flow and under one kind of step, each with its verdict.

    eigenvalues  λ of the Jacobian of the vector field
    multipliers  μ of the Jacobian of one step, of size ``rate`` and order ``order``
    speed        ‖v‖ at the point: 0 at rest; elsewhere the verdicts are about the linearisation alone

    Verdicts are "converges", "diverges", "circles" (on the border, turning: to first order it neither arrives
    nor leaves), and "undecided" (on the border without turning: a direction in which nothing moves to first
    order).
    """

    eigenvalues: np.ndarray
    multipliers: np.ndarray
    speed: float
    rate: float
    order: str

    @property
    def growth(self) -> float:
        """max Re λ: distances go as e^(growth · t) under gradient flow."""
        return float(self.eigenvalues.real.max())

    @property
    def radius(self) -> float:
        """max |μ|: the spectral radius of one step."""
        return float(np.abs(self.multipliers).max())

    @property
    def flow(self) -> str:
        """The verdict on gradient flow, the limit of infinitely small steps."""
        return _verdict(self.growth, self.eigenvalues, self.eigenvalues.real)

    @property
    def step(self) -> str:
        """The verdict on steps of this size and order."""
        return _verdict(self.radius - 1.0, self.multipliers - 1.0, np.abs(self.multipliers) - 1.0)

    @property
    def largest_rate(self) -> float:
        """min −2 Re λ / |λ|²: simultaneous steps smaller than this converge; 0 where none do.

        Source:  Mescheder et al. 2017, lemma 4, where it reads 2 / (|Re λ| (1 + (Im λ / Re λ)²))
        """
        λ = self.eigenvalues
        return float((-2.0 * λ.real / np.abs(λ) ** 2).min()) if self.flow == "converges" else 0.0

    @property
    def sentence(self) -> str:
        """Both verdicts with their reasons, as text."""
        why = {
            "converges": f"Re λ ≤ {self.growth:.4g} for all λ",
            "diverges": f"an eigenvalue has Re λ = {self.growth:.4g}",
            "circles": "imaginary eigenvalues, which neither approach nor leave",
            "undecided": "an eigenvalue 0, a direction on which the linearisation is silent",
        }[self.flow]
        text = (
            f"gradient flow {self.flow} ({why}); {self.order} steps of {self.rate:g} {_SAID[self.step]} "
            f"(each multiplies a small distance by {self.radius:.6g})"
        )
        return text if self.speed < 1e-6 else f"{text}; not at rest, the speed here is {self.speed:.2g}"


_SAID = {"converges": "converge", "diverges": "diverge", "circles": "circle", "undecided": "are undecided"}


def _verdict(worst, moves, distances):
    """From each eigenvalue's distance to the border, and what it moves a point by."""
    if worst > TOLERANCE:
        return "diverges"
    if worst < -TOLERANCE:
        return "converges"
    return "circles" if (np.abs(moves[distances > -TOLERANCE]) > TOLERANCE).all() else "undecided"


class Portrait(NamedTuple):
    """A vector field on a grid: both coordinates and both velocities.    Shapes:  (len(ψ), len(θ)) each"""

    ψ: np.ndarray
    θ: np.ndarray
    v_ψ: np.ndarray
    v_θ: np.ndarray


def portrait(game: SmallGame, ψ: ArrayLike, θ: ArrayLike) -> Portrait:
    """The vector field of a game with one number per player, on the grid of the values ψ and θ.

    Raises:  ValueError – for a game with more numbers
    """
    if game.sizes != (1, 1):
        raise ValueError(f"a portrait has two axes, one number per player; this game has {game.sizes}")
    w = np.stack(np.meshgrid(ψ, θ, indexing="ij"), axis=-1)
    return Portrait(*np.moveaxis(w, -1, 0), *np.moveaxis(game.field(w), -1, 0))


def regularised(losses: Callable, γ: float) -> Callable:
    """The same game with γ/2 ‖v‖² added to both losses: both players also try to bring the game to rest.

    Near rest the field becomes v − γ v′ᵀv, so purely imaginary λ of a normal v′ become λ − γ|λ|².

    Source:  Mescheder, Nowozin, Geiger 2017, "The numerics of GANs", algorithm 2, with L = ½‖v‖²
    """

    def both(ψ, θ):
        loss_d, loss_g = losses(ψ, θ)
        slopes = grad(loss_d, [ψ], create_graph=True) + grad(loss_g, [θ], create_graph=True)
        half = 0.5 * γ * (_norm2(slopes[0]) + _norm2(slopes[1]))
        return loss_d + half, loss_g + half

    return both


def _norm2(x):
    return sum_over(square(x), axis=(-1,))


def of_game(
    game: Game,
    real: ArrayLike,
    latent: ArrayLike,
    *,
    mix: ArrayLike | None = None,
    noise_d: ArrayLike | None = None,
    noise_g: ArrayLike | None = None,
) -> tuple[SmallGame, np.ndarray]:
    """The game of two networks on one fixed batch as a SmallGame, and the point at which its players stand.

    Losses, penalties, consensus, unrolling and clipping are the game's own; its order and its optimisers play
    no part, a step is a plain gradient step. Everything is computed in float64. An exact Jacobian costs a
    backward pass per parameter: for networks of some hundred numbers.

    Shapes:  host arrays real, noise_d, noise_g (B, p), latent (B, n), mix (B/m, 1), as in Game.round → the
             game, and a point (P_D + P_G,)
    Raises:  ValueError – for networks with replicas
    """
    if game.generator.parameters.replicas:
        raise ValueError(
            f"of_game takes one game; this one has replicas {game.generator.parameters.replicas}"
        )
    D, G = game.discriminator.parameters, game.generator.parameters
    player, on = copy.copy(game), D.backend
    player.r1, player.r2 = (γ.item() if isinstance(γ, Tensor) else γ for γ in (game.r1, game.r2))

    def losses(ψ, θ):
        player.discriminator = game.discriminator.with_parameters(_named(D.shapes, ψ))
        player.generator = game.generator.with_parameters(_named(G.shapes, θ))
        x, z, between, noise, later = (
            # each point has its own copy of the batch, or its slopes would be summed over the points
            None
            if a is None
            else Tensor(on.array(np.broadcast_to(a, (*ψ.shape[:-2], *np.shape(a))), "float64"))
            for a in (real, latent, mix, noise_d, noise_g)
        )
        loss_d = player.discriminator_loss(x, player.make(z, noise), between)
        return loss_d, player.generator_loss(z, x, later, between)

    def clipped(w):
        return np.concatenate([np.clip(w[..., : D.count], -game.clip, game.clip), w[..., D.count :]], axis=-1)

    if game.consensus:
        losses = regularised(losses, game.consensus)
    point = np.concatenate([parameters.flat.numpy().astype("float64") for parameters in (D, G)])
    return SmallGame(losses, (D.count, G.count), clipped if game.clip else None, on), point


class _Named(dict):
    """{name: Tensor}, in the place of the Parameters of a network."""

    views = property(lambda self: self)


def _named(shapes, flat):
    """Tensors called and shaped like parameters that look into rows of numbers.    Shapes:  flat (…, 1, P)"""
    views, start = _Named(), 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        views[name] = reshape(flat[..., start:stop], shape=(*flat.shape[:-2], *shape))
        start = stop
    return views


# ── the Dirac-GAN: the smallest game that shows what a GAN can do ───────────────────────────────────────


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

    def losses(ψ, θ):
        here = backends.of(ψ.array)
        offset, weight = (Tensor(here.array(a)) for a in (offsets, weights))
        real, fake = variable((0.0 * constant(θ) + offset).array), θ + offset  # a copy of the data per point
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

    def clipped(w):
        return np.stack([np.clip(w[..., 0], -clip, clip), w[..., 1]], axis=-1)

    return SmallGame(
        regularised(losses, consensus) if consensus else losses, (1, 1), clipped if clip else None, backend
    )


def _σ(t):
    return 0.5 + 0.5 * np.tanh(0.5 * t)


def _pair(trace, determinant):
    """The roots of λ² − trace λ + determinant."""
    root = np.sqrt(complex(0.25 * trace * trace - determinant))
    return np.array([0.5 * trace + root, 0.5 * trace - root])


def _field_of(fake, generator, damping=0.0):
    """(−fake′(ψθ) θ − damping γ ψ, −generator′(ψθ) ψ), from the slopes of an objective's curves."""

    def field(ψ, θ, γ):
        return -fake(ψ * θ) * θ - damping * γ * ψ, -generator(ψ * θ) * ψ

    return field


def _consensus_field(ψ, θ, γ):
    s, length = _σ(ψ * θ), ψ * ψ + θ * θ  # ½‖v‖² = ½ s² (ψ² + θ²), s′ = s (1 − s)
    pull_ψ, pull_θ = (s * s * x + s * s * (1.0 - s) * y * length for x, y in ((ψ, θ), (θ, ψ)))
    return -s * θ - γ * pull_ψ, s * ψ - γ * pull_θ


def _noisy_field(ψ, θ, γ):
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
    field: Callable
    eigenvalues: Callable | None
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

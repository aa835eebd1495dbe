"""The dynamics of a small game: its vector field, its exact Jacobian, and where gradient steps lead.

Both players minimise, so each moves against the slope of its own loss: v(w) = (−∂L_D/∂ψ, −∂L_G/∂θ) at the
point w = (ψ, θ). A game rests where v = 0. Near rest a small distance goes as e^(λt) under gradient flow, λ
being the eigenvalues of the Jacobian v′; a step multiplies it by the eigenvalues of its own Jacobian. Two
losses are no potential: v′ is not symmetric, so λ may be imaginary, and then the players circle each other.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from minigan import backend as backends
from minigan.engine.autodiff import grad
from minigan.engine.primitives import reshape, square, sum_over
from minigan.engine.tensor import Tensor, variable
from minigan.gan.game import Game

ORDERS = ("simultaneous", "alternating", "extragradient", "optimistic")
Losses: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (ψ, θ) → (L_D, L_G)
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

    losses: Losses
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
        slopes = (
            grad(y, [x], create_graph=create_graph, unreached="zeros")[0]  # who has no say rests
            for y, x in zip(losses, (ψ, θ), strict=True)
        )
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
            np.concatenate(
                [g.numpy() for g in grad(slope[..., k : k + 1], [ψ, θ], unreached="zeros")], axis=-1
            )
            for slope in slopes
            for k in range(slope.shape[-1])
        ]
        return -np.concatenate(rows, axis=-2)

    def _players(self) -> tuple[np.ndarray, np.ndarray]:
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
            alternating: np.ndarray = (one + g[:, None] * later) @ (one + d[:, None] * hJ)
            return alternating
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


def _known(order: str) -> None:
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
    radius: np.ndarray = np.abs(np.linalg.eigvals(matrix)).max(axis=-1)
    return radius


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


def _verdict(worst: float, moves: np.ndarray, distances: np.ndarray) -> str:
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


def regularised(losses: Losses, γ: float) -> Losses:
    """The same game with γ/2 ‖v‖² added to both losses: both players also try to bring the game to rest.

    Near rest the field becomes v − γ v′ᵀv, so purely imaginary λ of a normal v′ become λ − γ|λ|².

    Source:  Mescheder, Nowozin, Geiger 2017, "The numerics of GANs", algorithm 2, with L = ½‖v‖²
    """

    def both(ψ: Tensor, θ: Tensor) -> tuple[Tensor, Tensor]:
        loss_d, loss_g = losses(ψ, θ)
        slopes = [
            *grad(loss_d, [ψ], create_graph=True, unreached="zeros"),
            *grad(loss_g, [θ], create_graph=True, unreached="zeros"),
        ]
        half = 0.5 * γ * (_norm2(slopes[0]) + _norm2(slopes[1]))
        return loss_d + half, loss_g + half

    return both


def _norm2(x: Tensor) -> Tensor:
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

    Shapes:  host arrays real, noise_d, noise_g (B, p), latent (B, n), mix (B/m, 1), as in a Batch → the
             game, and a point (P_D + P_G,)
    Raises:  ValueError – for networks with replicas
    """
    if game.generator.parameters.replicas:
        raise ValueError(
            f"of_game takes one game; this one has replicas {game.generator.parameters.replicas}"
        )
    D, G = game.discriminator.parameters, game.generator.parameters
    player, on = copy.copy(game), D.backend
    parts = vars(player)  # which it does not keep as a game does: it is ours alone
    parts["penalties"] = tuple(
        replace(p, weight=p.weight.item()) if isinstance(p.weight, Tensor) else p for p in game.penalties
    )

    def plain(ψ: Tensor, θ: Tensor) -> tuple[Tensor, Tensor]:
        parts["discriminator"] = game.discriminator.with_parameters(_named(D.shapes, ψ))
        parts["generator"] = game.generator.with_parameters(_named(G.shapes, θ))

        def own(a: ArrayLike) -> Tensor:
            """Each point has its own copy of the batch, or its slopes would be summed over the points."""
            return Tensor(on.array(np.broadcast_to(a, (*ψ.shape[:-2], *np.shape(a))), "float64"))

        x, z = own(real), own(latent)
        between, noise, later = (None if a is None else own(a) for a in (mix, noise_d, noise_g))
        loss_d = player.discriminator_loss(x, player.make(z, noise), between)
        return loss_d, player.generator_loss(z, x, later, between)

    def clipped(w: np.ndarray) -> np.ndarray:
        return np.concatenate([np.clip(w[..., : D.count], -game.clip, game.clip), w[..., D.count :]], axis=-1)

    losses = regularised(plain, game.order.consensus) if game.order.consensus else plain
    point = np.concatenate([parameters.flat.numpy().astype("float64") for parameters in (D, G)])
    return SmallGame(losses, (D.count, G.count), clipped if game.clip else None, on), point


class _Named(dict[str, Tensor]):
    """{name: Tensor}, in the place of the Parameters of a network."""

    views = property(lambda self: self)


def _named(shapes: dict[str, tuple[int, ...]], flat: Tensor) -> _Named:
    """Tensors called and shaped like parameters that look into rows of numbers.    Shapes:  flat (…, 1, P)"""
    views, start = _Named(), 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        views[name] = reshape(flat[..., start:stop], shape=(*flat.shape[:-2], *shape))
        start = stop
    return views

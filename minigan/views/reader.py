"""Reads frames off snapshots, with an experiment of its own: nothing here touches the one that trains."""

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant, variable
from minigan.evaluation.modes import modes_of
from minigan.gan.detectors import Finding, diagnose
from minigan.gan.theory.diagnostics import generator_at_rest, optimal_discriminator
from minigan.nn.layers import Conditioned
from minigan.nn.network import Network
from minigan.probability.empirical import Empirical
from minigan.training.config import Config, flatten, replace
from minigan.training.curves import density_made_of, density_of, judgement, judgement_of
from minigan.training.data import Data
from minigan.training.draws import stream
from minigan.training.experiment import Experiment
from minigan.training.metrics import Observer, expected_modes
from minigan.views.frame import Frame, Layer, LineFrame, PlaneFrame, Responses, Scene
from minigan.views.snapshot import Snapshot

RUG, ARROWS = 160, 40  # generated values that are shown, and how many of them with an arrow
DOTS = 400  # generated rows in the plane
SIDE, FINE = 48, 3  # points a side at which D is read in the plane, and how many are drawn for each
KERNELS = 500  # generated rows behind a kernel estimate
CLOUD = 1500  # generated rows behind the density of the plane
PERFECT = 24  # perfect samples behind the bands
LINES, POINTS = 13, 41  # of the grid of z, each way, and points on each
REACH = 2.5  # sd of a normal latent number, up to which the map is drawn
MORE = 10  # times as many bins are read on either side, where the samples are there
LONGEST = 0.06  # of the view's width: the arrow at the 90th percentile
PARTS = ("distribution", "row", "layers", "responses", "point")


class Reader:
    """What there is to be seen of the snapshots of one configuration.

    parts of a frame: "distribution" (the line or the plane), "row" (a line of metrics), "layers",
    "responses", "point" (of a game of two numbers)

    Of a conditional game a frame shows one class: p(x | C_k), G(z, k), D(x, k) and the best D of that class.
    """

    def __init__(self, config: Config, data: Data | None = None) -> None:
        self.config, self.data = config, data
        # On the host, whatever trains elsewhere: what looks on takes no time of a device.
        self.experiment = Experiment(replace(config, backend="numpy", execution="auto"), data=data)
        self._observer = Observer(self.experiment, best=False)
        self._latent = self._fixed_latent(DOTS)
        self._bands: Mapping[str, tuple[float, float]] = {}
        self.chosen = 0

    def choose(self, k: int) -> None:
        """Show the class of this number.    Raises:  LookupError – where there is none"""
        labels = self.experiment.labels
        if labels is None or not 0 <= k < labels.count:
            raise LookupError(f"there is no class {k}")
        if k != self.chosen:
            self.chosen = k
            for name in ("_plain_scene", "_square", "_target", "_density"):
                self.__dict__.pop(name, None)

    def _codes(self, count: int) -> np.ndarray | None:
        """The chosen class so many times; None without classes."""
        return None if self.experiment.labels is None else np.full(count, self.chosen)

    def _made(self, latent: np.ndarray) -> np.ndarray:
        return self.experiment.generate(latent, averaged=False, codes=self._codes(len(latent)))

    def _real(self, count: int, index: int) -> np.ndarray:
        e, codes = self.experiment, self._codes(count)
        if e.labels is None or codes is None:
            return e.real(count, index)
        return e.labels.rows(stream(e.config.seed, "verdict", index), codes)

    def _judged(self, x: np.ndarray) -> np.ndarray:
        e = self.experiment
        return judgement(e, x) if e.labels is None else judgement_of(e, x, self.chosen)

    def _fixed_latent(self, count: int, index: int = 0) -> np.ndarray:
        e = self.experiment
        return e.draw_latent(stream(e.config.seed, "eval", index), (count,))

    # ── what stays ──────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _plain_scene(self) -> Scene:
        e = self.experiment
        objective, modes = e.game.objective, modes_of(e.distribution)
        target = e.config.data is None and e.digest is None
        source = str(e.distribution) if target else Path(str(e.config.data)).name
        classes = () if e.labels is None else e.labels.classes
        if classes:
            source = f"class {classes[self.chosen]} of {source}"
        return Scene(
            source,
            e.names,
            critic=objective.probability(np.zeros(1)) is None,
            level=objective.divergence.at_rest,
            level_text=objective.divergence.level_in_full,
            rest=generator_at_rest(objective),
            real=self._real(DOTS if e.features > 1 else RUG, 0),
            classes=classes,
            modes=None if modes is None else modes.centres,
            packing=e.config.packing,
        )

    @property
    def scene(self) -> Scene:
        """What stays the same over all frames; with bands once ``measure_bands`` was called."""
        plain = self._plain_scene
        return Scene(**{**vars(plain), "bands": self._bands})

    def measure_bands(self) -> None:
        """Find where 95 % of perfect samples have their distances: takes as long as two dozen evaluations."""
        e, n = self.experiment, self.experiment.config.eval_samples
        found = [self._observer.distances(e.real(n, 2**30 + k)) for k in range(PERFECT)]
        bands = {}
        for name in ("ks", "w1", "js"):
            values = [row[name] for row in found if row[name] is not None]
            if values:
                low, high = np.quantile(values, [0.025, 0.975])
                bands[name] = float(low), float(high)
        self._bands = bands

    def take_bands(self, bands: Mapping[str, tuple[float, float]]) -> None:
        """The bands that another reader of the same data has found."""
        self._bands = bands

    # ── what moves ──────────────────────────────────────────────────────────────────────────────────────

    def frame(self, at: Snapshot, parts: Collection[str] = ("distribution",)) -> Frame:
        """What was asked for, of the game as it stood."""
        e = self.experiment
        at.restore(e)
        with np.errstate(all="ignore"):
            return Frame(
                at.step,
                at.turn,
                at.losses,
                line=self._line() if "distribution" in parts and e.features == 1 else None,
                plane=self._plane() if "distribution" in parts and e.features > 1 else None,
                row=self._row(at) if "row" in parts else None,
                layers=self._layers() if "layers" in parts else None,
                responses=self._responses() if "responses" in parts else None,
                point=self._point() if "point" in parts else None,
            )

    def _row(self, at: Snapshot) -> dict[str, Any]:
        if at.before is not None:
            self._observer.recall(at.before)
        row = self._observer.row(0.0)
        return row | {"d_loss": at.losses[0], "g_loss": at.losses[1]}

    def findings(self, rows: Collection[Mapping[str, Any]]) -> tuple[Finding, ...]:
        """What the detectors say of rows so far."""
        e = self.experiment
        return diagnose(rows, flatten(e.config), expected_modes(e))

    def _line(self) -> LineFrame:
        e, observer = self.experiment, self._observer
        if observer.grid is None:
            raise ValueError(f"a line shows one feature; received {e.features}")
        samples = self._made(self._latent[:RUG])
        edges, p = self._beyond(samples[:, 0])
        if e.labels is None:
            q, average = (observer.density(edges, averaged, KERNELS) for averaged in (False, True))
        else:
            q, average = (density_made_of(e, self.chosen, edges, one, KERNELS) for one in (False, True))
        centres = 0.5 * (edges[1:] + edges[:-1])
        pull = self._pull(samples[:ARROWS])[:, 0]
        longest = LONGEST * float(np.ptp(observer.grid[0]))
        start = samples[:ARROWS, 0]
        z, x = self._map()
        return LineFrame(
            edges,
            p,
            q,
            average,
            self._judged(centres[:, None])[:, 0],
            _best(p, q) if self._plain_scene.packing == 1 else None,
            samples[:, 0],
            np.stack([start, start + _scaled(pull, longest)], axis=1),
            z,
            x,
        )

    def _beyond(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The bins and what is to be learnt over them, and more bins where most of the samples lie elsewhere.

        Shapes:  (n,) → (m+1,), (m,)
        """
        edges, p = (self._observer.grid or (np.empty(0),))[0], self._density
        width, most = edges[1] - edges[0], MORE * len(p)
        if not np.isfinite(samples).all():
            return edges, p
        # what G makes of a point is as wide as the noise that is added to it
        spread = 3 * self.experiment.config.observation_noise * float(np.max(self.experiment.scale))
        low, high = np.quantile(samples, (0.1, 0.9)) + np.array((-spread, spread))
        room = len(p) // 4
        before, after = (
            int(min(np.ceil(gap / width) + room, most)) if gap > 0 else 0
            for gap in (edges[0] - low, high - edges[-1])
        )
        labels, real = self.experiment.labels, self.experiment.distribution
        left = edges[0] + width * np.arange(-before, 1)
        right = edges[-1] + width * np.arange(after + 1)
        real = real if labels is None else labels.conditionals[self.chosen]
        known = not isinstance(real, Empirical)
        sides = (density_of(real, side) if known else np.zeros(len(side) - 1) for side in (left, right))
        first, last = sides
        return np.concatenate([left[:-1], edges, right[1:]]), np.concatenate([first, p, last])

    @cached_property
    def _density(self) -> np.ndarray:
        """What is to be learnt, over the bins."""
        edges, p = self._observer.grid or (np.empty(0), np.empty(0))
        labels = self.experiment.labels
        return p if labels is None else density_of(labels.conditionals[self.chosen], edges)

    def _map(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        e = self.experiment
        if e.config.latent.distribution == "one":
            return None, None
        reach = 1.0 if e.config.latent.distribution == "uniform" else REACH
        z = np.linspace(-reach, reach, 161)
        rows = np.zeros((len(z), e.latent_size))
        rows[:, 0] = z
        return z, self._made(rows)[:, 0]

    def _pull(self, samples: np.ndarray) -> np.ndarray:
        """−∂L_G/∂x at each sample: where the generator's loss wants it.    Shapes:  (n, p) → (n, p)"""
        e = self.experiment
        game, m, dtype = e.game, e.config.packing, e.config.dtype
        x = variable(e.backend.array(e.units.to_network(samples).astype(dtype)))
        D, told = game.discriminator, self._told(len(samples), m)
        logits, partner = D(_repeated(x, m), told), None
        if game.objective.paired:
            real = e.units.to_network(self._real(len(samples), 1)).astype(dtype)
            partner = constant(D(_repeated(constant(e.backend.array(real)), m), told))
        (g,) = grad(game.objective.generator_loss(logits, partner), [x], unreached="zeros")
        return -np.asarray(g.numpy(), "float64") * e.scale

    def _told(self, count: int, packs: int = 1) -> Tensor | None:
        """What a network is told of the chosen class, of so many rows in packs."""
        e, codes = self.experiment, self._codes(count)
        if e.labels is None or codes is None:
            return None
        one = e.labels.one_hot(codes, e.config.dtype)
        return constant(e.backend.array(np.concatenate([one] * packs, axis=1)))

    # ── two features ────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _square(self) -> tuple[np.ndarray, np.ndarray]:
        real = np.asarray(self._plain_scene.real)[:, :2]
        low, high = real.min(axis=0), real.max(axis=0)
        half = 0.65 * float((high - low).max())
        x, y = (np.linspace(m - half, m + half, SIDE) for m in 0.5 * (low + high))
        return x, y

    @cached_property
    def _smooth(self) -> np.ndarray:
        """A Gaussian kernel over cells, as a matrix, of three cells' width."""
        k = np.arange(SIDE)
        weights = np.exp(-0.5 * ((k[:, None] - k) / 1.5) ** 2)
        return np.asarray(weights / weights.sum(axis=0))

    def _smoothed(self, rows: np.ndarray) -> np.ndarray:
        x, y = self._square
        cells = [np.append(a, 2 * a[-1] - a[-2]) - 0.5 * (a[1] - a[0]) for a in (y, x)]
        counts = np.histogram2d(rows[:, 1], rows[:, 0], bins=cells)[0] / len(rows)
        return np.asarray(self._smooth @ counts @ self._smooth.T)

    @cached_property
    def _target(self) -> np.ndarray:
        """The data's density over the square, as smooth as that of what is generated."""
        e = self.experiment
        if e.labels is not None:
            rows = self._real(40_000, 2)
        else:
            rows = e.distribution.values if isinstance(e.distribution, Empirical) else e.real(40_000, 2)
        return self._smoothed(np.asarray(rows)[:, :2])

    @cached_property
    def _cloud(self) -> np.ndarray:
        return self._fixed_latent(CLOUD, 1)

    def _plane(self) -> PlaneFrame:
        e = self.experiment
        x, y = self._square
        samples = self._made(self._latent)
        d = best = None
        if e.features == 2:
            rows = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
            d = self._judged(rows).reshape(SIDE, SIDE)
            if self._plain_scene.packing == 1:
                q = self._smoothed(self._made(self._cloud))
                p = self._target
                trace = 1e-3 * max(p.max(), q.max())  # where neither lives nothing is known: ½
                best = (p + trace) / (p + q + 2 * trace)
        pull = self._pull(samples[:ARROWS])[:, :2]
        start = samples[:ARROWS, :2]
        length = np.linalg.norm(pull, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            along = np.where(length[:, None] > 0, pull / length[:, None], 0.0)
        ends = start + along * np.abs(_scaled(length, LONGEST * (x[-1] - x[0])))[:, None]
        modes = modes_of(e.distribution)
        every = samples if e.labels is None else e.sample(DOTS, e.step, averaged=False)
        captured = None if modes is None else modes.coverage(every).good > 0
        arrows = np.concatenate([start, ends], axis=1)
        return PlaneFrame(x, y, samples[:, :2], d, best, arrows, self._lines(), captured)

    def _lines(self) -> np.ndarray | None:
        """The lines of a grid of z, carried through G; of more numbers than two the others stay at 0."""
        e = self.experiment
        if e.latent_size < 2 or e.config.latent.distribution == "one":
            return None
        reach = 1.0 if e.config.latent.distribution == "uniform" else REACH
        steps, along = np.linspace(-reach, reach, LINES), np.linspace(-reach, reach, POINTS)
        one = np.stack(np.broadcast_arrays(steps[:, None], along), axis=-1)
        z = np.zeros((2 * LINES, POINTS, e.latent_size))
        z[..., :2] = np.concatenate([one, one[..., ::-1]])
        made = self._made(z.reshape(-1, e.latent_size))[:, :2]
        return np.asarray(made.reshape(2 * LINES, POINTS, 2))

    # ── networks ────────────────────────────────────────────────────────────────────────────────────────

    def _networks(self) -> dict[str, Network]:
        return {"G": self.experiment.generator, "D": self.experiment.discriminator}

    def _inputs(self, player: str, count: int) -> np.ndarray:
        """What a network is shown, in its own units: latents of G, half real and half generated rows of D."""
        e = self.experiment
        if player == "G":
            return self._latent[:count]
        half = count // 2
        made = self._made(self._latent[: count - half])
        rows = e.units.to_network(np.concatenate([self._real(half, 3), made]))
        return np.concatenate([rows] * e.config.packing, axis=1)

    def _through(self, player: str, x: np.ndarray) -> list[np.ndarray]:
        """What each layer gives, after its activation."""
        e, network = self.experiment, self._networks()[player]
        t, given = constant(e.backend.array(np.ascontiguousarray(x, e.config.dtype))), []
        told = self._told(len(x), e.config.packing if player == "D" else 1)
        for i, layer in enumerate(network.layers):
            p = {name: network.parameters[f"{i}.{name}"] for name in layer.shapes()}
            t = layer(p, t, told) if isinstance(layer, Conditioned) and told is not None else layer(p, t)
            given.append(np.asarray(t.numpy()))
        return given

    def _layers(self) -> dict[str, tuple[Layer, ...]]:
        game = self.experiment.game
        optimizers = {"G": game.generator_optimizer, "D": game.discriminator_optimizer}
        found = {}
        for player, network in self._networks().items():
            gradients = network.parameters.views_of(optimizers[player].g.memory)
            activations = self._through(player, self._inputs(player, 256))
            found[player] = tuple(
                Layer(
                    name,
                    network.parameters[name].numpy(),
                    np.array(gradient),
                    activations[int(name.split(".")[0])] if name.endswith("W") else None,
                )
                for name, gradient in zip(network.parameters.views, gradients, strict=True)
            )
        return found

    def _responses(self) -> dict[str, Responses]:
        """Every unit along a line: of G along its latent number, of D along the feature; first ones else."""
        e, found = self.experiment, {}
        reach = 1.0 if e.config.latent.distribution == "uniform" else REACH
        z = np.linspace(-reach, reach, 161)
        rows = np.zeros((len(z), e.latent_size))
        rows[:, 0] = z
        found["G"] = Responses(z, tuple(self._through("G", rows)))
        if self._observer.grid is not None:
            edges = self._observer.grid[0]
            x = np.linspace(edges[0], edges[-1], 161)
        else:
            x = np.linspace(self._square[0][0], self._square[0][-1], 161)
        points = np.zeros((len(x), e.features)) + e.shift
        points[:, 0] = x
        scaled = np.concatenate([e.units.to_network(points)] * e.config.packing, axis=1)
        found["D"] = Responses(x, tuple(self._through("D", scaled)))
        return found

    # ── games of two numbers ────────────────────────────────────────────────────────────────────────────

    @property
    def is_dirac(self) -> bool:
        """Whether G makes one point and D is linear: one number each."""
        c = self.experiment.config
        linear = not (c.generator.widths or c.discriminator.widths) and c.packing == 1
        return linear and c.latent.distribution == "one" and self.experiment.features == 1

    def _point(self) -> tuple[float, float] | None:
        """D's slope and the point that G makes, in the networks' units."""
        if not self.is_dirac:
            return None
        e = self.experiment
        made = self._through("G", np.ones((1, 1)))[-1]
        return float(e.discriminator.parameters["0.W"].numpy().reshape(-1)[0]), float(made.reshape(-1)[0])


def _best(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D* of densities over bins, NaN where hardly anything lives: there q is what rounding left of it."""
    most = np.maximum(p, q)
    return np.where(most > 1e-12 * most.max(), optimal_discriminator(p, q), np.nan)


def _repeated(x: Tensor, m: int) -> Tensor:
    """Each row m times beside itself, as a D that packs m rows is shown single ones."""
    if m == 1:
        return x
    eye = np.concatenate([np.eye(x.shape[-1], dtype=x.dtype)] * m, axis=1)
    return x @ constant(eye)


def _scaled(values: np.ndarray, longest: float) -> np.ndarray:
    """Lengths of which the 90th percentile is ``longest``, and none more than half as long again."""
    top = float(np.quantile(np.abs(values), 0.9)) if len(values) else 0.0
    if not np.isfinite(top) or top <= 0:
        return np.zeros_like(values)
    return np.asarray(np.clip(values * (longest / top), -1.5 * longest, 1.5 * longest))

"""What is read off a run while it trains: one row of numbers, and one frame of curves, per evaluation."""

import math
from functools import partial
from typing import Any

import numpy as np

from minigan.gan.diagnostics import generated_density, implied_js, value_at_optimum, value_function
from minigan.lab.errors import DivergedError
from minigan.lab.experiment import Experiment, stream
from minigan.probability.distributions import NORMAL_IQR, Empirical
from minigan.probability.information import js, js_histogram
from minigan.probability.two_sample import ks_one_sample, ks_two_sample, wasserstein1, wasserstein1_to
from minigan.probability.verdict import Verdict, judge, judge_two_sample

BINS = 240  # of a frame
MAX_FRAMES = 200  # beyond, they are thinned out evenly
LAST = 2**31  # the draw that judges: no step has this index
KDE_ROWS = 4000  # rows of data or samples behind a kernel density estimate


class Observer:
    """Rows of metrics and frames of curves of one experiment without replicas.

    frames  {"step": (F,), "edges": (m+1,), "p": (m,), "q": (F, m), "average": (F, m), "d": (F, m)}: densities
            of the data, of the generator in training and of its average, and σ(D), over bins; and at one
            early step {"best_step": (1,), "best_d": (m,), "best_value": (1,)}, σ(D) and V of a D trained to
            the end against that generator; empty for several features
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._frames: list[dict[str, Any]] = []
        self._best: dict[str, np.ndarray] = {}
        self._grid = _grid(experiment) if experiment.features == 1 else None
        networks = {"d": experiment.discriminator, "g": experiment.generator}
        self._parameters = {player: network.parameters.flat for player, network in networks.items()}
        self._before = {player: flat.numpy() for player, flat in self._parameters.items()}

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self, steps: int) -> None:
        """Train; before the last step remember the parameters, so that the size of an update can be told."""
        self.experiment.advance(steps - 1)
        self._before = {player: flat.numpy() for player, flat in self._parameters.items()}
        self.experiment.advance(1)

    def row(self, wall: float) -> dict[str, Any]:
        """One line of metrics.jsonl. Distances are of the averaged generator, D and V of the one in training.

        Units:   wall in s; w1 in sd of the target; losses, V and JS in nats
        Raises:  DivergedError – if samples or logits are not finite
        """
        e, n = self.experiment, self.experiment.config.eval_samples
        sample = e.sample(n, e.step)
        fake, real = e.logits(e.sample(n, e.step, averaged=False)), e.logits(e.real(n, e.step))
        _refuse_nonfinite(e.step, sample, fake, real)
        value = value_function(real, fake)
        frame = self._frame()
        if self._grid and not self._best and e.step >= max(1, e.config.eval_every // 50):
            self._best = self._best_response(self._grid[0], n)
        losses = [float(loss.reshape(())) for loss in e.losses()]
        return {
            "step": e.step,
            "wall": round(wall, 3),
            "d_loss": losses[0],
            "g_loss": losses[1],
            "value_fn": value,
            "implied_js": implied_js(value),
            "value_optimal": value_at_optimum(js(*frame)) if frame else None,
            "d_real": float(_sigmoid(real).mean()),
            "d_fake": float(_sigmoid(fake).mean()),
            **self._distances(sample),
            **self._motion(),
            "rate_factor": float(e.schedule(max(e.step - 1, 0))),
        }

    def _distances(self, sample: np.ndarray) -> dict[str, Any]:
        e = self.experiment
        if e.held_out is None:
            x = sample[:, 0]
            ks = ks_one_sample(x, e.law)
            scale = float(np.squeeze(e.scale)) if not math.isfinite(e.law.sd) else e.law.sd
            w1 = wasserstein1_to(x, e.law) / scale if math.isfinite(e.law.mean) else None
            return _row(ks.statistic, ks.pvalue, w1, js_histogram(x, e.law), x)
        columns = [(sample[:, j], e.held_out[:, j]) for j in range(e.features)]
        tests = [ks_two_sample(a, b) for a, b in columns]
        worst = max(tests, key=lambda test: test.statistic)
        spread = [(a, b, b.std()) for a, b in columns]
        w1 = float(np.mean([wasserstein1(a, b) / sd for a, b, sd in spread if sd > 0]))
        distance = float(np.mean([js_histogram(a, b) for a, b, sd in spread if sd > 0]))
        pvalue = min(1.0, len(tests) * worst.pvalue)  # Bonferroni's
        return _row(worst.statistic, pvalue, w1, distance, sample[:, 0] if e.features == 1 else None)

    def _motion(self) -> dict[str, Any]:
        """Norms of the last gradients, and of the last updates relative to the parameters."""
        game, motion = self.experiment.game, {}
        for player, optimizer in (("d", game.discriminator_optimizer), ("g", game.generator_optimizer)):
            before, now = self._before[player], self._parameters[player].numpy()
            motion[f"grad_norm_{player}"] = float(np.linalg.norm(optimizer.g.numpy()))
            motion[f"update_ratio_{player}"] = float(np.linalg.norm(now - before) / np.linalg.norm(now))
        return motion

    # ── frames ──────────────────────────────────────────────────────────────────────────────────────────

    def _density(self, edges: np.ndarray, averaged: bool) -> np.ndarray:
        e, generate = self.experiment, partial(self.experiment.generate, averaged=averaged)
        if e.latent_size == 1 and not isinstance(e.law, Empirical):
            return generated_density(generate, e.config.latent.law, edges)
        like = e.law.values if isinstance(e.law, Empirical) else None  # as smooth as the data's own estimate
        return _kde(e.sample(KDE_ROWS, e.step, averaged=averaged)[:, 0], edges, like)

    def _frame(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Keep the curves of this moment; returns p and q as probabilities: of the bins, and of the rest."""
        if self._grid is None:
            return None
        edges, p = self._grid
        centres = 0.5 * (edges[1:] + edges[:-1])
        q, average = self._density(edges, averaged=False), self._density(edges, averaged=True)
        _refuse_nonfinite(self.experiment.step, q, average)
        self._frames.append({
            "step": self.experiment.step, "q": q, "average": average,
            "d": _sigmoid(self.experiment.logits(centres[:, None]))[:, 0],
        })  # fmt: skip
        if len(self._frames) > MAX_FRAMES:
            steps = np.array([frame["step"] for frame in self._frames])
            crowded = 1 + int(np.argmin(steps[2:] - steps[:-2]))  # its neighbours are nearest to each other
            del self._frames[crowded]
        return _probabilities(p, edges), _probabilities(q, edges)

    def _best_response(self, edges: np.ndarray, n: int) -> dict[str, np.ndarray]:
        """σ(D) over the bins, and V, of a discriminator that has learned all it can about this generator."""
        e, centres = self.experiment, 0.5 * (edges[1:, None] + edges[:-1, None])
        points = centres, e.real(n, e.step), e.sample(n, e.step, averaged=False)
        logits = e.best_response(np.concatenate(points))
        curve, real, fake = np.split(logits, [len(centres), len(centres) + n])
        value = np.array([value_function(real, fake)])
        return {"best_step": np.array([e.step]), "best_d": _sigmoid(curve)[:, 0], "best_value": value}

    @property
    def frames(self) -> dict[str, np.ndarray]:
        """All frames so far, as arrays: the content of frames.safetensors."""
        if self._grid is None or not self._frames:
            return {}
        edges, p = self._grid
        step = np.array([frame["step"] for frame in self._frames], "int64")
        stacked = {key: np.stack([frame[key] for frame in self._frames]) for key in ("q", "average", "d")}
        return {"step": step, "edges": edges, "p": p, **stacked, **self._best}


def verdict(experiment: Experiment, count: int) -> tuple[Verdict, np.ndarray]:
    """Judge ``count`` new rows of the averaged generator; returns the verdict and the rows.

    Raises:  DivergedError – if they are not finite
    """
    sample, rng = experiment.sample(count, index=LAST), stream(experiment.config.seed, "verdict", LAST)
    _refuse_nonfinite(experiment.step, sample)
    if experiment.held_out is None:
        return judge(sample[:, 0], experiment.law, rng), sample
    return judge_two_sample(sample, experiment.held_out, rng, names=experiment.names), sample


def _refuse_nonfinite(step: int, *arrays: np.ndarray) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise DivergedError(f"what the networks return is not finite at step {step}")


def _row(ks: float, pvalue: float, w1: float | None, distance: float, x: np.ndarray | None) -> dict[str, Any]:
    mean, std = (None, None) if x is None else (float(x.mean()), float(x.std(ddof=1)))
    return {"ks": ks, "ks_p": pvalue, "w1": w1, "jsd": distance, "mean": mean, "std": std}


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -a))


def _grid(e: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the bins of all frames, and the density of the data over them."""
    if isinstance(e.law, Empirical):
        low, high = e.law.support
    else:  # with heavy tails a bin of the wide interval would hold all that matters
        low, high = e.law.interval(0.9999 if math.isfinite(e.law.sd) else 0.98)
    margin = 0.15 * (high - low)
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    if isinstance(e.law, Empirical):
        return edges, _kde(e.law.values, edges)
    return edges, np.diff(e.law.cdf(edges)) / np.diff(edges)


def _probabilities(density: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mass in each bin, and last what lies outside."""
    width = np.diff(edges)
    inside = float(density @ width)
    return np.append(density * width, max(0.0, 1 - inside)) / max(1.0, inside)


def _kde(values: np.ndarray, edges: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Gaussian kernel density estimate, as the mean over each bin, for laws without a density of their own.

    The bandwidth is Silverman's for ``values``, or for the data set ``like``.
    Source:  Silverman 1986, equation 3.31
    """
    from scipy.special import ndtr

    rows = values if like is None else like
    low, high = np.quantile(rows, [0.25, 0.75])
    spread = min(s for s in (rows.std(), (high - low) / NORMAL_IQR, np.inf) if s > 0)
    if not math.isfinite(spread):
        return np.zeros(len(edges) - 1)
    bandwidth = 0.9 * spread * len(rows) ** -0.2
    values = values[:: max(1, len(values) // KDE_ROWS)]
    cdf = ndtr((edges[:, None] - values) / bandwidth).mean(axis=1)
    return np.diff(cdf) / np.diff(edges)

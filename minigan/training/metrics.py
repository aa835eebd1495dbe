"""What is read off a run while it trains: one row of numbers, and one frame of curves, per evaluation."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigan.errors import CheckpointError, DivergedError
from minigan.evaluation.classifier_test import MIN_ROWS, classifier_two_sample_test
from minigan.evaluation.joint import GuessTail
from minigan.evaluation.modes import modes_of
from minigan.evaluation.rows import Measure, format_count
from minigan.evaluation.two_sample import (
    ks_one_sample,
    ks_statistic,
    ks_two_sample,
    wasserstein1,
    wasserstein1_to,
)
from minigan.evaluation.verdict import Verdict, explained, judge, judge_two_sample
from minigan.gan.detectors import separation, spread, spread_axes
from minigan.gan.theory.diagnostics import best_value, value_function
from minigan.probability.distributions import NORMAL_IQR, location_scale
from minigan.probability.empirical import Empirical
from minigan.probability.estimators import js_histogram
from minigan.probability.long_calls import ordered
from minigan.training.advice import advised
from minigan.training.by_class import beside_classes, judge_classes
from minigan.training.curves import (
    KDE_ROWS,
    bandwidth_of,
    curves_of_classes,
    density_made,
    grid_of,
    judgement,
    plane_of,
    posterior,
    probabilities,
    sigmoid,
)
from minigan.training.draws import stream
from minigan.training.experiment import Experiment
from minigan.training.scatter import Scatter

MAX_FRAMES = 200  # beyond, they are thinned out evenly
LAST = 2**31  # the draw that judges: no step has this index
FEATURES = 16  # of which frames are kept, at most: pixels of images are no scatter
CURVES = ("q", "average", "d")  # of a frame of one feature
EARLY = (50, 25, 10, 5, 2)  # the first evaluations, as parts of the usual interval
LOOKS = (3, 10, 30, 300)  # steps of a D that is trained to the end, after which it is looked at


class Observer:
    """Rows of metrics and frames of curves of one experiment without replicas.

    best    whether a D is trained to the end at one early step, for the picture alone
    frames  {"step": (F,), "edges": (m+1,), "p": (m,), "q": (F, m), "average": (F, m), "d": (F, m)}: densities
            of the data, of the generator in training and of its average, and σ(D), over bins; and at one
            early step {"best_step": (1,), "best_d": (m,), "best_value": (1,)}, σ(D) and V of a D trained to
            the end against that generator, V only where that D says something of it, and {"best_after":
            (S,), "best_path": (S - 1, m)}, σ(D) on the way there, after so many steps;
            of up to 16 features {"step": (F,)} and what ``Scatter`` keeps, and for a target distribution of
            the plane the last σ(D), {"plane_x": (m,), "plane_y": (m,), "plane_d": (m, m)}, a row for each y
    """

    def __init__(self, experiment: Experiment, *, best: bool = True) -> None:
        self.experiment, self._wants_best = experiment, best
        self._frames: list[dict[str, Any]] = []
        self._best: dict[str, np.ndarray] = {}
        held = [] if experiment.held_out is None else list(experiment.held_out.T)
        self._judges = [(ordered(column), column.std()) for column in held]  # in order, once for all rows
        one, real = experiment.features == 1, experiment.distribution
        # as smooth as the data's own estimate
        self._bandwidth = bandwidth_of(real.values) if one and isinstance(real, Empirical) else None
        self._grid = grid_of(experiment, self._bandwidth) if one else None
        self._scatter = Scatter(experiment, judgement) if 1 < experiment.features <= FEATURES else None
        self._modes = modes_of(experiment.distribution)
        self._axes = _axes(experiment)
        self._one = False  # whether the generator in training is its average, and seen as one
        networks = {"d": experiment.discriminator, "g": experiment.generator}
        self._parameters = {player: network.parameters.flat for player, network in networks.items()}
        self.remember()

    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Edges of the bins of all frames and the target's density over them; None of several features."""
        return self._grid

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────

    def remember(self) -> None:
        """Note the parameters before a step, to measure its update."""
        self._before = {player: flat.numpy() for player, flat in self._parameters.items()}

    def recall(self, before: Mapping[str, np.ndarray]) -> None:
        """The same, of parameters that were noted elsewhere: {"d": flat, "g": flat}."""
        self._before = dict(before)

    def row(self, seconds: float) -> dict[str, Any]:
        """One line of metrics.jsonl. Distances, spread and modes are of the averaged generator, D, its ranks
        (d_auc) and V of the one in training.

        Units:   seconds in s of training; w1 in sd of the target; losses, JS and reverse KL in nats; V and
                 what it implies as the objective's ``divergence`` has it, W₁ in units of the networks
        Raises:  DivergedError – if samples or logits are not finite
        """
        e, n = self.experiment, self.experiment.config.eval_samples
        sample = e.sample(n, e.step)
        self._one = np.array_equal(e.averaged.parameters.flat.numpy(), e.generator.parameters.flat.numpy())
        now = sample if self._one else e.sample(n, e.step, averaged=False)
        rows, codes = (now, e.real(n, e.step)), e.classes_of(n, e.step)
        fake, real = (e.logits(part, packs=True, codes=codes) for part in rows)
        _refuse_nonfinite(e.step, sample, fake, real)
        objective = e.game.objective
        value = value_function(real, fake, objective)
        frame = self._frame(sample)
        wants_best = self._wants_best and e.labels is None
        if wants_best and self._grid and not self._best and e.step >= max(1, e.config.eval_every // 50):
            self._best = self._best_response(self._grid[0], n)
        losses = [float(loss.reshape(())) for loss in e.losses()]
        return {
            "step": e.step,
            "seconds": round(seconds, 3),
            "d_loss": losses[0],
            "g_loss": losses[1],
            "value_fn": value,
            "implied": objective.divergence.implied(value),
            "value_optimal": self._best_value(*frame) if frame else None,
            "d_real": self._mean_probability(real),
            "d_fake": self._mean_probability(fake),
            "d_auc": separation(real, fake),
            **self.distances(sample),
            "spread": self._spread(sample),
            **self._coverage(sample),
            **self._motion(),
            "rate_factor": float(e.schedule(max(e.step - 1, 0))),
        }

    def _best_value(self, p: np.ndarray, q: np.ndarray) -> float | None:
        """V of the best D; of packs of rows only the densities of single ones are known."""
        e, edges = self.experiment, self._grid[0] if self._grid else np.empty(0)
        if e.config.packing > 1:
            return None
        centres = e.units.to_network(0.5 * (edges[1:, None] + edges[:-1, None]))
        return best_value(e.game.objective, p, q, centres[:, 0])

    def _mean_probability(self, logits: np.ndarray) -> float | None:
        d = self.experiment.game.objective.probability(logits)
        return None if d is None else float(d.mean())

    def distances(self, sample: np.ndarray) -> dict[str, Any]:
        """How far rows are from the target: ks, ks_p, w1, js, and of one feature mean and sd."""
        e = self.experiment
        if e.held_out is None:
            x = ordered(sample[:, 0])  # once for all
            ks = ks_one_sample(x, e.distribution)
            scale = float(np.squeeze(e.scale)) if not math.isfinite(e.distribution.sd) else e.distribution.sd
            w1 = wasserstein1_to(x, e.distribution) / scale if math.isfinite(e.distribution.mean) else None
            return _row(ks.statistic, ks.pvalue, w1, js_histogram(x, e.distribution), sample[:, 0])
        columns = [(ordered(sample[:, j]), b) for j, (b, _) in enumerate(self._judges)]
        worst = ks_two_sample(*max(columns, key=lambda pair: ks_statistic(*pair)))
        varied = [(a, b, sd) for (a, b), (_, sd) in zip(columns, self._judges, strict=True)]
        w1 = float(np.mean([wasserstein1(a, b) / sd for a, b, sd in varied if sd > 0]))
        distance = float(np.mean([js_histogram(a, b) for a, b, sd in varied if sd > 0]))
        ks_p = min(1.0, len(columns) * worst.pvalue)  # Bonferroni's
        return _row(worst.statistic, ks_p, w1, distance, sample[:, 0] if e.features == 1 else None)

    def _spread(self, sample: np.ndarray) -> float:
        """The sample's sd in units of the target's, in the direction where it is least.

        Interquartile ranges take its place where the target has no sd.
        """
        if self._axes is not None:
            return spread(sample, self._axes)
        low, high = np.quantile(sample, [0.25, 0.75])
        return float(high - low) / NORMAL_IQR / location_scale(self.experiment.distribution)[1]

    def _coverage(self, sample: np.ndarray) -> dict[str, Any]:
        """Modes captured, share of high quality, reverse KL over modes; None where there are no modes."""
        if self._modes is None:
            return {"modes": None, "hq": None, "reverse_kl": None}
        seen = self._modes.coverage(sample)
        return {"modes": seen.captured, "hq": seen.high_quality, "reverse_kl": seen.reverse_kl}

    def _motion(self) -> dict[str, Any]:
        """Norms of the last gradients, and of the last updates relative to the parameters."""
        game, motion = self.experiment.game, {}
        for player, optimizer in (("d", game.discriminator_optimizer), ("g", game.generator_optimizer)):
            before, now = self._before[player], self._parameters[player].numpy()
            motion[f"grad_norm_{player}"] = float(np.linalg.norm(optimizer.g.numpy()))
            motion[f"update_ratio_{player}"] = float(np.linalg.norm(now - before) / np.linalg.norm(now))
        return motion

    # ── frames ──────────────────────────────────────────────────────────────────────────────────────────

    def density(self, edges: np.ndarray, averaged: bool, rows: int = KDE_ROWS) -> np.ndarray:
        """The generated density over bins, of the averaged generator or of the one in training."""
        return density_made(self.experiment, edges, averaged, self._bandwidth, rows)

    def _frame(self, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Keep how it looks now; returns p and q of one feature as probabilities: of bins, and the rest."""
        if self._scatter is not None:
            self._keep(self._scatter.frame(sample))
        if self._grid is None:
            return None
        edges, p = self._grid
        centres = 0.5 * (edges[1:] + edges[:-1])
        average = self.density(edges, averaged=True)
        q = average if self._one else self.density(edges, averaged=False)
        d = judgement(self.experiment, centres[:, None], posterior(self.experiment, edges))[:, 0]
        _refuse_nonfinite(self.experiment.step, q, average, d)
        self._keep({"q": q, "average": average, "d": d})
        return probabilities(p, edges), probabilities(q, edges)

    def _keep(self, frame: dict[str, np.ndarray]) -> None:
        self._frames.append({"step": self.experiment.step, **frame})
        if len(self._frames) > MAX_FRAMES:
            steps = np.array([frame["step"] for frame in self._frames])
            crowded = 1 + int(np.argmin(steps[2:] - steps[:-2]))  # its neighbours are nearest to each other
            del self._frames[crowded]

    def _best_response(self, edges: np.ndarray, n: int) -> dict[str, np.ndarray]:
        """σ(D) over the bins, and V, of a discriminator that has learned all it can about this generator."""
        e, centres = self.experiment, 0.5 * (edges[1:, None] + edges[:-1, None])
        points = centres, e.real(n, e.step), e.sample(n, e.step, averaged=False)
        *early, last = e.best_response(LOOKS)
        at_last, real, fake = np.split(last(np.concatenate(points)), [len(centres), len(centres) + n])
        looks = sigmoid(np.stack([*(logits(centres) for logits in early), at_last])[..., 0])
        best, curves = {"best_step": np.array([e.step]), "best_d": looks[-1]}, e.game.objective
        if np.isfinite(looks).all():
            best |= {"best_after": np.array(LOOKS), "best_path": looks[:-1]}
        if e.config.packing == 1 and not curves.critic:  # it learned ln p/q, from which the best a follows
            a, b = (curves.optimum(sigmoid(logit), sigmoid(-logit)) for logit in (real, fake))
            best |= {"best_value": np.array([value_function(a, b, curves)])}
        return {name: array for name, array in best.items() if np.isfinite(array).all()}

    @property
    def frames(self) -> dict[str, np.ndarray]:
        """All frames so far, as arrays: the content of frames.safetensors."""
        found, e = self.memory(), self.experiment
        if found:
            fixed = dict(zip(("edges", "p"), self._grid or (), strict=False))
            found = (fixed if self._scatter is None else self._scatter.fixed) | found
        if e.labels is not None:
            return found | curves_of_classes(e, self._grid and self._grid[0])
        if e.features == 2 and not isinstance(e.distribution, Empirical):
            found |= plane_of(e)
        return found

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the arrays of a frame."""
        bins = 0 if self._grid is None else len(self._grid[1])
        return dict.fromkeys(CURVES, (bins,)) if self._scatter is None else self._scatter.shapes

    def memory(self) -> dict[str, np.ndarray]:
        """What of the frames cannot be had again from the experiment: a checkpoint holds it."""
        if not self._frames:
            return {}
        step = np.array([frame["step"] for frame in self._frames], "int64")
        stacked = {key: np.stack([frame[key] for frame in self._frames]) for key in self._shapes}
        return {"step": step, **stacked, **self._best}

    def restore(self, memory: Mapping[str, np.ndarray]) -> None:
        """Take over the ``memory`` of the observer that came before.

        Raises:  CheckpointError – if it is not that of this experiment
        """
        if not memory:
            return
        count, bins = len(memory.get("step", ())), 0 if self._grid is None else len(self._grid[1])
        shapes = {"step": (count,), **{key: (count, *shape) for key, shape in self._shapes.items()}}
        if "best_step" in memory:
            shapes |= {"best_step": (1,), "best_d": (bins,)}
        if "best_value" in memory:
            shapes |= {"best_value": (1,)}
        if "best_path" in memory:  # not in checkpoints of older runs
            looks = np.size(memory.get("best_after", ()))
            shapes |= {"best_after": (looks,), "best_path": (looks - 1, bins)}
        if {name: array.shape for name, array in memory.items()} != shapes or count > MAX_FRAMES:
            raise CheckpointError(
                "the frames in the checkpoint are not those of this experiment; use an older one"
            )
        self._best = {name: memory[name] for name in shapes if name.startswith("best_")}
        self._frames = [
            {"step": int(memory["step"][k]), **{key: memory[key][k] for key in self._shapes}}
            for k in range(count)
        ]


def next_evaluation(step: int, every: int, last: int) -> int:
    """The next step with an evaluation: a few early ones, when most happens, then every ``every`` steps.

    The last step stands for one that would come before it at less than the shortest distance between two.
    """
    early = [every // part for part in EARLY if every // part > step]
    due = min([*early, (step // every + 1) * every, last])
    return due if last - due >= every // EARLY[0] else last


def verdict(experiment: Experiment, count: int, draw: int = 0) -> tuple[Verdict, np.ndarray]:
    """Judge ``count`` new rows of the averaged generator; returns the verdict and the rows.

    Those at the end of a run are ``draw`` 0; others are as good, and show how far the verdict is the draw's.

    Raises:  DivergedError – if they are not finite
    """
    index = LAST + draw
    sample, rng = experiment.sample(count, index=index), stream(experiment.config.seed, "verdict", index)
    _refuse_nonfinite(experiment.step, sample)
    judged = _judge_rows(experiment, sample, rng, index)
    if experiment.labels is not None and judged.evidence is not None:
        judged = judge_classes(experiment, experiment.labels, judged.evidence, sample, index)
    if experiment.labels is None:
        real = experiment.distribution if experiment.held_out is None else experiment.held_out
        judged = advised(explained(judged, sample, real, experiment.names), experiment)
    return judged, sample


def _judge_rows(experiment: Experiment, sample: np.ndarray, rng: np.random.Generator, index: int) -> Verdict:
    """The verdict on all rows together."""
    if experiment.held_out is None:
        return judge(sample[:, 0], experiment.distribution, rng)
    if isinstance(experiment.distribution, Empirical):
        against = describe_judges(experiment)
        judged = judge_two_sample(
            sample, experiment.held_out, rng, names=experiment.names, against=against,
            learned=experiment.judged_on_learned,
        )  # fmt: skip
    else:
        judged = judge(sample, experiment.distribution, rng, names=experiment.names)
    labels, codes = experiment.labels, experiment.classes_of(len(sample), index)
    real = experiment.held_out
    if labels is None or codes is None or experiment.held_classes is None:
        return with_classifier(judged, sample, real, rng)
    told = beside_classes(labels, real, experiment.held_classes)
    return with_classifier(judged, beside_classes(labels, sample, codes), told, rng)


def with_classes(experiment: Experiment, sample: np.ndarray) -> dict[str, np.ndarray]:
    """The rows that were judged, and the numbers of their classes, as frames.safetensors has them."""
    codes = experiment.classes_of(len(sample), LAST)
    return {"sample": sample} | ({} if codes is None else {"sample_class": codes})


def describe_judges(experiment: Experiment) -> str:
    """The real rows that judge, and whether they are those that the generator learned."""
    rows = format_count(len(experiment.held_out))  # type: ignore[arg-type]
    if experiment.judged_on_learned:
        return f"the {rows} rows that it learned (one that repeats them would pass)"
    return f"the {rows} rows that were held out"


def with_classifier(
    judged: Verdict, sample: np.ndarray, real: np.ndarray, rng: np.random.Generator
) -> Verdict:
    """The verdict with one row more, where there are several features and rows enough to train on.

    It is the accuracy of a classifier that was trained to tell generated from real rows, on rows it has not
    seen. It decides with the other tests, and has half of the level (``Verdict.joined_by``).
    """
    if judged.energy is None or min(len(sample), len(real)) < MIN_ROWS:
        return judged
    test = classifier_two_sample_test(sample, real, rng)
    tail = GuessTail(test.n_test)
    return judged.joined_by(Measure("classifier accuracy", test.accuracy, test.perfect, tail))


def expected_modes(experiment: Experiment) -> int | None:
    """Modes that a perfect sampler shows in each evaluation; None where the distribution has none.

    Those that own 20 of its values on average: it misses one of them with probability e⁻²⁰.
    """
    modes = modes_of(experiment.distribution)
    return None if modes is None else int((modes.shares * experiment.config.eval_samples >= 20).sum())


def _refuse_nonfinite(step: int, *arrays: np.ndarray) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise DivergedError(f"what the networks return is not finite at step {step}")


def _row(ks: float, ks_p: float, w1: float | None, distance: float, x: np.ndarray | None) -> dict[str, Any]:
    mean, sd = (None, None) if x is None else (float(x.mean()), float(x.std(ddof=1)))
    return {"ks": ks, "ks_p": ks_p, "w1": w1, "js": distance, "mean": mean, "sd": sd}


def _axes(e: Experiment) -> np.ndarray | None:
    """What ``spread`` measures in; None for a distribution without sd."""
    if e.held_out is not None:
        return spread_axes(e.held_out)
    _, scale, name = location_scale(e.distribution)
    return np.array([[1.0 / scale]]) if name == "sd" else None

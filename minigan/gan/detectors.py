"""Detectors that name what went wrong in a run, from its rows of metrics, each with the next thing to try.

A loss does not tell: a game that converges and one that fails may show the same. These read other numbers,
each beside what a perfect sampler would show: the ranks that D gives, the spread of what G makes, its
distance, the gradient that reaches it. What an early phase shows and later ones do not is no failure.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from minigan.engine.tensor import constant
from minigan.gan.objectives import Host
from minigan.gan.objectives import objective as objective_called
from minigan.gan.penalties import PENALTIES
from minigan.probability.long_calls import principal_axes

__all__ = [
    "ASSUMED", "COLLAPSED", "COLUMNS", "DETECTORS", "Finding", "LARGE_RATE", "LATELY", "MIN_ROWS",
    "MIN_STEPS", "OVERTAKEN", "R1_R2", "RATES", "REMEDIES", "SATURATED", "STIFF", "TAIL", "THROWN",
    "DISTINGUISHABLE", "USUAL", "VANISHED", "diagnose", "remedy", "separation", "spread", "spread_axes",
]  # fmt: skip

COLLAPSED = 0.25  # of the data's spread: a perfect sampler of n values has 1 ± √(½/n), ± 0.05 even at n = 100
SATURATED = 0.99  # of all pairs ranked right: D errs in one of a hundred, so p and q hardly overlap
OVERTAKEN = 0.35  # of all pairs: a D that knows this G is at ½ ± √(1/(6n)) or above, ± 0.04 at n = 100
VANISHED = 0.01  # of the largest gradient of the run
THROWN = 10.0  # sd of the data, or times the distance at the start
DISTINGUISHABLE = 1e-3  # p-value below which the samples are no matter of chance
MIN_STEPS = 100  # a shorter run has not had the time to fail
LATELY = 4  # evaluations over which a circle shows
MIN_ROWS = 3  # evaluations in which a finding has to hold, at least
TAIL = 0.75  # of the steps, after which it has to hold in all of them


@dataclass(frozen=True)
class Finding:
    """A failure by its name: the step since which it holds, the numbers that show it, the next thing to try.

    ``evidence`` and ``remedy`` are a sentence each; the remedy names settings as the command line takes them.
    """

    name: str
    since_step: int
    evidence: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


# ── measures ────────────────────────────────────────────────────────────────────────────────────────────────


def separation(real_logits: Any, fake_logits: Any) -> float:
    """P(a(x) > a(G(z))) + ½ P(a(x) = a(G(z))): the area under D's ROC curve, from ranks alone.

    ½ where D cannot tell, 1 where it puts every real value above every generated one, below ½ where G has
    overtaken it. It does not ask what the logits mean, so it serves critics as well as log-odds.

    Shapes:  any two arrays → a float
    Raises:  ValueError – for an empty array
    Source:  Mann & Whitney 1947; Hanley & McNeil 1982
    """
    real, fake = (np.sort(_narrowed(np.ravel(logits))) for logits in (real_logits, fake_logits))
    if real.size == 0 or fake.size == 0:
        raise ValueError("real logits are ranked among generated ones; received an empty array")
    # Both are in order, and a stable sort merges them: of equal values it leaves the generated ones in front.
    merged = np.argsort(np.concatenate([fake, real]), kind="stable")
    until = np.flatnonzero(merged >= fake.size) - np.arange(real.size)  # generated values up to each
    below, tied = until.copy(), fake[np.maximum(until, 1) - 1] == real
    below[tied] = np.searchsorted(fake, real[tied])
    return float((below.mean() + until.mean()) / (2 * fake.size))


def _narrowed(a: np.ndarray) -> np.ndarray:
    """The same numbers as float32 where they are: they are sorted twice as fast."""
    with np.errstate(over="ignore"):
        narrow = a.astype("float32")
    return narrow if (narrow == a).all() else a


def spread_axes(real: Any) -> Host:
    """A map to coordinates in which the real rows have unit covariance, for ``spread``.

    They are the principal axes of the standardised features, as far as each carries a hundredth of the
    variance: what is fainter is mostly noise.

    Shapes:  real (n, p) → (p, k), k ≤ p
    Raises:  ValueError – for fewer than two rows, or rows without spread
    """
    real = np.asarray(real, "float64")
    if real.ndim != 2 or len(real) < 2 or (real == real[:1]).all():
        what = "equal rows" if real.ndim == 2 and len(real) > 1 else f"shape {real.shape}"
        raise ValueError(f"a spread needs two rows (n, p) that differ; received {what}")
    sd = np.where(np.ptp(real, axis=0) > 0, real.std(axis=0), np.inf)  # a constant feature has no part
    z = (real - real.mean(axis=0)) / sd
    variances, axes = principal_axes(z)
    kept = variances >= 0.01 * variances.sum()
    scaled: Host = axes[:, kept] / np.sqrt(variances[kept]) / sd[:, None]
    return scaled


def spread(sample: Any, axes: Host) -> float:
    """The sd of a sample in units of the data's, in the direction where that is least; 1 if it is perfect.

    Shapes:  sample (n, p), axes (p, k) of ``spread_axes`` → a float
    """
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.asarray(sample, "float64") @ axes
        z -= z.mean(axis=0)
        covariance = z.T @ z / len(z)
    if not np.isfinite(covariance).all():  # so far out that squares overflow
        return math.inf
    return math.sqrt(max(float(np.linalg.eigvalsh(covariance)[0]), 0.0))


# ── detectors ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Run:
    """The columns of the rows, NaN where a number is missing, and how many modes a sample should show."""

    columns: dict[str, Host]
    modes: int | None

    def __getitem__(self, name: str) -> Host:
        return self.columns[name]

    @property
    def distinguishable(self) -> Host:
        return self["ks_p"] < DISTINGUISHABLE

    @property
    def distance(self) -> Host:
        """W1 in sd of the data, or where the distribution has no mean the ratio of the spreads."""
        return np.where(np.isnan(self["w1"]), self["spread"], self["w1"])


COLUMNS = ("step", "d_loss", "g_loss", "w1", "ks_p", "spread", "d_auc", "modes", "grad_norm_g")


def _diverged(run: _Run) -> Host:
    begin = run["step"] == 0  # nothing was minimised yet
    broken = ~begin & ~(np.isfinite(run["d_loss"]) & np.isfinite(run["g_loss"]))
    start = max(run.distance[0], 1.0)
    thrown = (_peak(run.distance) > THROWN * start) & (run.distance > start)
    diverged: Host = broken | thrown & run.distinguishable
    return diverged


def _diverged_evidence(run: _Run, k: int) -> str:
    if not (math.isfinite(run["d_loss"][k]) and math.isfinite(run["g_loss"][k])):
        return "The losses are no longer finite."
    return (
        f"What G makes was thrown {_peak(run.distance)[k]:.2g} sd of the data away and is still "
        f"{run.distance[k]:.2g} away, farther than before the first step ({run.distance[0]:.2g})."
    )


def _saturated(run: _Run) -> Host:
    return run["d_auc"] >= SATURATED


def _saturated_evidence(run: _Run, k: int) -> str:
    return (
        f"D ranks real above generated in {100 * run['d_auc'][k]:.4g} % of all pairs (50 % when it cannot "
        "tell): what it says hardly depends on how far G is off."
    )


def _vanishing(run: _Run) -> Host:
    return _saturated(run) & (run["grad_norm_g"] < VANISHED * _peak(run["grad_norm_g"]))


def _vanishing_evidence(run: _Run, k: int) -> str:
    now, peak = run["grad_norm_g"][k], _peak(run["grad_norm_g"])[k]
    return (
        f"The gradient that reaches G has norm {now:.2g}, {100 * now / peak:.2g} % of the run's largest, "
        "while D tells nearly all that G makes: G learns no more."
    )


def _collapsed(run: _Run) -> Host:
    return (run["spread"] < COLLAPSED) & run.distinguishable


def _collapsed_evidence(run: _Run, k: int) -> str:
    return (
        f"What G makes is nearly one value, or a thin line: in its narrowest direction it has "
        f"{run['spread'][k]:.2g} of the data's sd (a perfect sampler: 1)."
    )


def _missing(run: _Run) -> Host:
    return (run["modes"] < (run.modes or 0)) & run.distinguishable


def _missing_evidence(run: _Run, k: int) -> str:
    return (
        f"The sample shows {run['modes'][k]:.0f} of {run.modes} modes "
        "(a perfect sampler of this size shows all)."
    )


def _circling(run: _Run) -> Host:
    """D was behind G and ahead of it, at this evaluation or the three before."""
    behind, ahead = _lately(run["d_auc"] <= OVERTAKEN), _lately(run["d_auc"] >= 0.5)
    return behind & ahead & run.distinguishable


def _circling_evidence(run: _Run, k: int) -> str:
    seen = 100 * run["d_auc"][max(0, k + 1 - LATELY) : k + 1]
    return (
        f"In the last evaluations D ranked real above generated in {np.nanmin(seen):.3g} to "
        f"{np.nanmax(seen):.3g} % of all pairs (50 % when it cannot tell): below 50 % G has left where D "
        "looks for it, and they chase each other."
    )


def _away(run: _Run) -> Host:
    return (run["w1"] > 1.0) & run.distinguishable


def _away_evidence(run: _Run, k: int) -> str:
    return f"What G makes is still {run['w1'][k]:.2g} sd of the data away from them (W1)."


def _peak(x: Host) -> Host:
    """The largest value so far."""
    return np.fmax.accumulate(x)


def _lately(holds: Host) -> Host:
    """Whether it holds at this evaluation or one of the three before."""
    return np.convolve(holds, np.ones(LATELY))[: len(holds)] > 0


class _Detector(NamedTuple):
    """holds(run) tells of each evaluation whether the failure shows, evidence(run, k) says so of the k-th."""

    holds: Callable[[_Run], Host]
    evidence: Callable[[_Run, int], str]


DETECTORS = {  # from cause to consequence
    "diverged": _Detector(_diverged, _diverged_evidence),
    "D saturated": _Detector(_saturated, _saturated_evidence),
    "vanishing G gradient": _Detector(_vanishing, _vanishing_evidence),
    "collapse": _Detector(_collapsed, _collapsed_evidence),
    "modes missing": _Detector(_missing, _missing_evidence),
    "G and D circle": _Detector(_circling, _circling_evidence),
    "not arrived": _Detector(_away, _away_evidence),
}


def diagnose(
    rows: Iterable[Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    modes: int | None = None,
) -> tuple[Finding, ...]:
    """What went wrong in a run, by name, the cause before its consequences; empty where nothing did.

    diverged              a loss is not finite; or G was thrown 10 sd away (10 times its first distance, where
                          that is more) and is still one sd away, and farther than before the first step
    D saturated           D ranks 99 % of all pairs of a real and a generated value right
    vanishing G gradient  so it does, and the gradient of G fell to 1 % of its largest
    collapse              in some direction the sample has less than a quarter of the data's spread
    modes missing         fewer modes captured than a perfect sampler of this size shows
    G and D circle        of any four evaluations D ranks generated above real in one (35 % or less), and real
                          above generated in another (50 % or more)
    not arrived           none of these, and W1 is more than one sd of the data

    Each has to hold in every evaluation of the last quarter of the steps, in three at least, and after 100
    steps; all but saturation and gradient also need samples that a test tells from the data (p < 0.001). Of a
    run that diverged nothing else is said: its other numbers mean nothing.

    rows      of metrics: step, d_loss, g_loss, w1, ks_p, spread, d_auc, modes, grad_norm_g; what is missing,
              None or NaN shows nothing
    settings  how the run was set, by dotted name, for the remedies; what is missing is as Game has it
    modes     that a perfect sampler of this size shows
    """
    rows = list(rows)
    run = _Run({name: np.array([_number(row.get(name)) for row in rows]) for name in COLUMNS}, modes)
    step = run["step"]
    if not rows or not np.isfinite(step).all() or step[-1] < MIN_STEPS:
        return ()
    last = min(int(np.searchsorted(step, TAIL * step[-1])), len(rows) - MIN_ROWS)
    if last < 0:
        return ()
    findings = []
    with np.errstate(invalid="ignore"):
        for name, detector in DETECTORS.items():
            holds = detector.holds(run)
            if holds[last:].all():
                since = step[len(rows) - int(np.argmin(holds[::-1]))] if not holds.all() else step[0]
                evidence = detector.evidence(run, len(rows) - 1)
                findings.append(Finding(name, int(since), evidence, remedy(name, settings)))
    if findings and findings[0].name == "diverged":
        return tuple(findings[:1])
    return tuple(finding for finding in findings if finding.name != "not arrived") or tuple(findings)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


# ── remedies ────────────────────────────────────────────────────────────────────────────────────────────────

ASSUMED = {  # where nothing is said: what Game does, and the rates of its examples
    "standardise": True, "objective": "non_saturating", **dict.fromkeys(PENALTIES, 0.0), "clip": 0.0,
    "packing": 1, "instance_noise": 0.0, "discriminator_steps": 1, "generator_steps": 1,
    "generator_optimizer.rate": 1e-3, "discriminator_optimizer.rate": 1e-3,
    "generator_optimizer.beta1": 0.0, "discriminator_optimizer.beta1": 0.0,
    "schedule.name": "constant", "average.name": "none", "generator.activation": "tanh",
    "generator.widths": (32, 32), "discriminator.widths": (32, 32), "batch": 256, "steps": 5000,
}  # fmt: skip
RATES = "generator_optimizer.rate", "discriminator_optimizer.rate"
R1_R2 = {"r1": 0.5, "r2": 0.5}
LARGE_RATE = 0.02  # four times the default's
USUAL = {  # of settings that by their size alone make a run diverge, a hundred times of it
    "wgan_gp": 10.0, "zero_gp": 10.0, "consensus": 10.0, "instance_noise": 0.5, "unrolled_rate": 0.1,
}  # fmt: skip
STIFF = 100.0  # of a penalty: its slope then outweighs the game's


class _Remedy(NamedTuple):
    """What to try, the settings that do it, and whether they would change anything sensible."""

    words: str
    changes: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    applies: Callable[[Mapping[str, Any]], bool] = lambda s: True


def _slower(factor: float, *rates: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda s: {rate: s[rate] / factor for rate in rates}


def _unbounded(s: Mapping[str, Any]) -> bool:
    return not any(s[name] for name in (*PENALTIES, "clip"))


def _saturates(s: Mapping[str, Any]) -> bool:
    """Whether G's loss is flat where D is sure that a value is generated."""
    try:
        generator = objective_called(s["objective"]).generator
    except ValueError:
        return False
    high, low = (float(generator(constant(np.full((1, 1), a))).numpy().item()) for a in (-20.0, -21.0))
    return abs(high - low) < 1e-3


_SCALED = _Remedy(
    "let the networks see data of unit scale",
    lambda s: {"standardise": True},
    lambda s: not s["standardise"],
)
_CRITIC = _Remedy(
    "bound the slope of the critic",
    lambda s: {"wgan_gp": 10},
    lambda s: s["objective"] == "wasserstein" and _unbounded(s),
)
_STRONG_GRADIENT = _Remedy(
    "give G a loss that stays steep where D is sure",
    lambda s: {"objective": "non_saturating"},
    _saturates,
)
_PENALISED = _Remedy("hold D flat with penalties on its slope", lambda s: R1_R2, _unbounded)
_G_STEPS = _Remedy(
    "let G move once while D moves once",
    lambda s: {"generator_steps": 1},
    lambda s: s["generator_steps"] > s["discriminator_steps"],
)
_D_STEPS = _Remedy(
    "let D move once while G moves once",
    lambda s: {"discriminator_steps": 1},
    lambda s: s["discriminator_steps"] > s["generator_steps"],
)
_G_RATE = _Remedy(
    "let G move no faster than D",
    lambda s: {RATES[0]: s[RATES[1]]},
    lambda s: s[RATES[0]] > s[RATES[1]],
)
_D_RATE = _Remedy(
    "let D move no faster than G",
    lambda s: {RATES[1]: s[RATES[0]]},
    lambda s: s[RATES[1]] > s[RATES[0]],
)
_WIDER_D = _Remedy(
    "give D the units to see the shape of the data",
    lambda s: {"discriminator.widths": "[32,32]"},
    lambda s: sum(s["discriminator.widths"]) < 16,
)
_PLATEAUS = _Remedy(
    "give G the depth for plateaus with steep steps between them, one for each mode",
    lambda s: {"generator.widths": "[64,64,64]", "generator.activation": "tanh"},
    lambda s: s["generator.activation"] != "tanh" or len(s["generator.widths"]) < 3,
)
_FREER_D = _Remedy(
    "let D be steep enough to see narrow modes",
    lambda s: {"r1": 0.02, "r2": 0.02},
    lambda s: max(s["r1"], s["r2"]) > 0.1,
)
_PACKED = _Remedy(
    "let D judge two samples at once, which shows it how alike they are",
    lambda s: {"packing": 2},
    lambda s: s["packing"] == 1 and s["batch"] % 2 == 0,
)
_BLURRED = _Remedy(
    "blur what D sees, so that real and generated values overlap",
    lambda s: {"instance_noise": 0.5},
    lambda s: not s["instance_noise"],
)
_ANNEALED = _Remedy(
    "let the rates fall to nothing",
    lambda s: {"schedule.name": "cosine"},
    lambda s: s["schedule.name"] == "constant",
)
_AVERAGED = _Remedy(
    "draw from the average of G over the run, the centre of the circle",
    lambda s: {"average.name": "tail"},
    lambda s: s["average.name"] == "none",
)
_NO_MOMENTUM = _Remedy(
    "take the momentum away, which carries both past each other",
    lambda s: {f"{player}_optimizer.beta1": 0 for player in ("generator", "discriminator")},
    lambda s: bool(s["generator_optimizer.beta1"] or s["discriminator_optimizer.beta1"]),
)

_MODERATE = _Remedy(
    "use smaller rates",
    lambda s: {rate: min(s[rate], 5e-3) for rate in RATES},
    lambda s: max(s[rate] for rate in RATES) > LARGE_RATE,
)
_USUAL = _Remedy(
    "take a usual size",
    lambda s: {name: usual for name, usual in USUAL.items() if s.get(name, 0) > 100 * usual},
    lambda s: any(s.get(name, 0) > 100 * usual for name, usual in USUAL.items()),
)
_LONGER = _Remedy("train for longer", lambda s: {"steps": 2 * s["steps"]})

REMEDIES = {  # of each finding, those that help most first
    "diverged": (
        _USUAL, _CRITIC,
        _Remedy("use weaker penalties", lambda s: R1_R2, lambda s: max(s["r1"], s["r2"]) > STIFF),
        _MODERATE, _G_STEPS,
        _PENALISED,
        _Remedy("use smaller rates", _slower(10, *RATES)),
    ),
    "D saturated": (
        _SCALED, _CRITIC, _D_STEPS, _PENALISED, _D_RATE, _BLURRED,
        _Remedy("let D move more slowly", _slower(4, RATES[1])),
    ),
    "vanishing G gradient": (
        _STRONG_GRADIENT, _SCALED, _CRITIC, _D_STEPS, _PENALISED, _D_RATE, _BLURRED,
        _Remedy("let D move more slowly", _slower(4, RATES[1])),
    ),
    "collapse": (
        _WIDER_D, _STRONG_GRADIENT, _G_STEPS, _G_RATE, _PENALISED, _MODERATE, _PACKED,
        _Remedy("let G move more slowly", _slower(4, RATES[0])),
    ),
    "modes missing": (
        _WIDER_D, _G_STEPS, _G_RATE, _PLATEAUS, _FREER_D, _STRONG_GRADIENT, _LONGER,
    ),
    "G and D circle": (
        _G_STEPS, _PENALISED, _MODERATE, _WIDER_D, _NO_MOMENTUM, _ANNEALED, _AVERAGED,
        _Remedy("use smaller rates", _slower(4, *RATES)),
    ),
    "not arrived": (_SCALED, _MODERATE, _STRONG_GRADIENT, _PENALISED, _LONGER),
}  # fmt: skip


def remedy(name: str, settings: Mapping[str, Any] | None = None) -> str:
    """The next thing to try against a finding of that name, in words and as settings: the first not in force.

    Raises:  ValueError – for an unknown name
    """
    if name not in REMEDIES:
        raise ValueError(f"a finding is one of {', '.join(REMEDIES)}; received {name!r}")
    known = ASSUMED | {key: value for key, value in (settings or {}).items() if value is not None}
    chosen = next(r for r in REMEDIES[name] if r.applies(known))
    words = re.sub(r"^\w", lambda first: first[0].upper(), chosen.words)
    sets = " ".join(f"--set {key}={_text(value)}" for key, value in chosen.changes(known).items())
    return f"{words}: {sets}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)

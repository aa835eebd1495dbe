"""The built-in experiments: what each changes in the default configuration, and what it promises.

Times, and in how many seeds a promise held, are those of `python -m bench.presets`
(bench/results/presets.json), which tests hold against this file.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigan.errors import ConfigError, nearest
from minigan.training.promises import SEEDS, Condition, describe_conditions

DATASETS = Path(__file__).parent / "datasets"


@dataclass(frozen=True)
class Preset:
    """A named experiment: what it is, its settings nested as in a configuration file, what it shows.

    seconds  how long it takes, on two cores of a server of 2024
    shows    what of a finished run it sets out to show, and what it is judged by
    held     in how many of 20 seeds it did; None if that is not measured yet
    method   what holds where its settings say nothing: plain, unless it is the default that it shows
    """

    description: str
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    shows: tuple[Condition, ...] = (Condition("p", low=0.05),)
    held: int | None = None
    method: str = "plain"

    @property
    def layer(self) -> dict[str, Any]:
        """Its settings with its method."""
        return {"method": self.method, **self.settings}

    @property
    def expect(self) -> str:
        """The promise in words."""
        share = "not measured over seeds" if self.held is None else f"{self.held} of {SEEDS} seeds"
        return f"{describe_conditions(self.shows)}: {share}"


def _both(**optimizer: Any) -> dict[str, Any]:
    """The same rule for both players."""
    return {"generator_optimizer": optimizer, "discriminator_optimizer": optimizer}


FREE = {"r1": 0.0, "r2": 0.0}  # D without the default's penalties
SHARP = {  # plateaus and steep steps in G, a D that resolves them: for many narrow modes
    "generator": {"widths": [64, 64, 64], "activation": "tanh"},
    "batch": 128,
    **_both(rate=0.003, beta2=0.99),
}
SPIRAL = {"target": "spiral(2, 0.02)", **SHARP, "discriminator": {"widths": [64, 64]}, "steps": 8000}
SPIRAL |= {"r1": 0.02, "r2": 0.02, "eval_every": 500}
RING = {**SPIRAL, "target": "ring(8, 1, 0.01)", "steps": 4000, "average": {"start": 0.8}}
PLAIN_RING = {  # as tutorials have it: no penalties, constant rates, the newest generator
    "target": "ring(8, 1, 0.01)",
    "generator": {"widths": [64, 64], "activation": "tanh"},
    "discriminator": {"widths": [64, 64]},
    **FREE,
    **_both(rate=0.001, beta1=0.5),
    "schedule": {"name": "constant"},
    "average": {"name": "none"},
    "batch": 64,
    "steps": 3000,
}
RING_CLASSES: dict[str, Any] = {
    "target": "ring(8, 1, 0.1)",
    "label": "component",
    "discriminator": {"widths": [64, 64]},
}
RING_CLASSES |= {"r1": 0.05, "r2": 0.05, "discriminator_steps": 2, "draws": "stratified"}
GRID = {  # as the ring, with a layer more on both sides, and longer at the full rate
    "target": "grid(5, 2, 0.05)",
    **SHARP,
    **_both(rate=0.004, beta2=0.99),
    "generator": {"widths": [64, 64, 64, 64], "activation": "tanh"},
    "discriminator": {"widths": [64, 64, 64]},
    "schedule": {"hold": 0.4},
    "average": {"start": 0.7},
    "steps": 14000,
}
GRID |= {"draws": "stratified", "r1": 0.004, "r2": 0.004, "eval_every": 500}
UNIVARIATE = {  # Nowozin, Cseke, Tomioka 2016, section 3: a normal generator against a mixture
    "target": "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4142135623730951)",
    "generator": {"widths": []},
    "discriminator": {"widths": [64, 64], "activation": "tanh"},
    **FREE,
    **_both(rate=0.002),
}
DIRAC = {  # Mescheder, Geiger, Nowozin 2018: data at 0, G makes one point, D is linear; all through noise
    "target": "normal(0, 0.1)",
    "observation_noise": 0.1,
    "standardise": False,
    "latent": {"distribution": "one"},
    "generator": {"widths": []},
    "discriminator": {"widths": []},
    "objective": "minimax",
    **FREE,
    "generator_optimizer": {"name": "sgd", "rate": 0.05},  # half of D's: weight and bias both move the point
    "discriminator_optimizer": {"name": "sgd", "rate": 0.1},
    "schedule": {"name": "constant"},
    "average": {"name": "none"},
    "steps": 1000,
    "eval_every": 20,
}

CIRCLES = (Condition("circle left", low=0.7),)
INWARDS = (Condition("circle left", low=0.1, high=0.6),)
ARRIVES = (Condition("circle left", high=0.05),)


def _modes(count: int, share: float) -> tuple[Condition, ...]:
    """All modes captured, and so much of high quality: a perfect sampler has 98.9 %."""
    return Condition("modes captured", low=count), Condition("high-quality share", low=share, best=0.9889)


def _near(mean: float, sd: float) -> tuple[Condition, ...]:
    """Mean and sd within 0.1 of those of the best normal distribution, by ``models.closest_normal``."""
    at = (("mean", mean), ("sd", sd))
    return tuple(Condition(name, round(best - 0.1, 3), round(best + 0.1, 3), best) for name, best in at)


PRESETS = {
    # ── one number, one distribution
    "gaussian": Preset(
        "a normal distribution, N(4, 1.25), the first thing to run; any other mean and sd is the same run",
        seconds=2,
        held=19,
        method="auto",
    ),
    "peaked": Preset(
        "a peak and long tails: Laplace's distribution",
        {"target": "laplace(0, 1)"},
        seconds=2,
        held=20,
        method="auto",
    ),
    "skewed": Preset(
        "a steep side and a long one: a gamma distribution",
        {"target": "gamma(4)"},
        seconds=2,
        held=19,
        method="auto",
    ),
    "flat": Preset(
        "two edges: a uniform distribution",
        {"target": "uniform(0, 1)"},
        seconds=2,
        held=20,
        method="auto",
    ),
    "bimodal": Preset(
        "two modes that overlap",
        {"target": "0.5*normal(-1.5, 1) + 0.5*normal(1.5, 1)"},
        seconds=2,
        held=18,
        method="auto",
    ),
    "student": Preset(
        "tails a little heavier than normal: Student's t, 40 degrees of freedom",
        {"target": "student(40)"},
        seconds=2,
        held=20,
        method="auto",
    ),
    "mixture": Preset(
        "two modes of unequal weight and width",
        {"target": "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"},
        seconds=2,
        held=19,
        method="auto",
    ),
    # ── objectives, on N(4, 1.25)
    "saturating": Preset(
        "the minimax loss, whose generator gradient vanishes where D is sure",
        {"objective": "minimax"},
        seconds=2,
        held=18,
    ),
    "least-squares": Preset(
        "D regresses on labels 1 and 0",
        {"objective": "least_squares"},
        seconds=3,
        held=20,
    ),
    "hinge": Preset(
        "D only cares about a margin of 1",
        {"objective": "hinge"},
        seconds=3,
        held=17,
    ),
    "wgan-clip": Preset(
        "a Wasserstein critic held by clipping its parameters",
        {"objective": "wasserstein", **FREE, "clip": 0.1, "discriminator_steps": 3, **_both(rate=0.002)},
        seconds=4,
        held=14,
    ),
    "wgan-gp": Preset(
        "a Wasserstein critic held by a penalty on slopes other than 1",
        {
            "objective": "wasserstein",
            **FREE,
            "wgan_gp": 0.1,
            "discriminator_steps": 3,
            "generator_optimizer": {"rate": 0.001},
            "discriminator_optimizer": {"rate": 0.003},
        },
        seconds=5,
        shows=(Condition("KS", high=0.025),),
        held=20,
    ),
    "relativistic": Preset(
        "is this real sample more real than that generated one? with R1 and R2: R3GAN",
        {"objective": "relativistic"},
        seconds=3,
        held=18,
    ),
    "alpha": Preset(
        "the (0.5, 1)-GAN: an exponential loss for D, the cross-entropy for G",
        {"objective": "alpha(0.5, 1)"},
        seconds=3,
        held=17,
    ),
    "fgan-kl": Preset(
        "a normal distribution nearest to a mixture in KL(p, q): it covers both modes",
        {**UNIVARIATE, "objective": "kl"},
        seconds=4,
        shows=_near(1.01, 1.8304),
        held=20,
    ),
    "fgan-reverse-kl": Preset(
        "… in KL(q, p): it avoids where no data are",
        {**UNIVARIATE, "objective": "reverse_kl"},
        seconds=4,
        shows=_near(1.5841, 1.6294),
        held=20,
    ),
    "fgan-js": Preset(
        "… in the Jensen-Shannon divergence",
        {**UNIVARIATE, "objective": "js"},
        seconds=4,
        shows=_near(1.3125, 1.7525),
        held=20,
    ),
    "fgan-jeffrey": Preset(
        "… in the sum of both KL divergences",
        {**UNIVARIATE, "objective": "jeffrey"},
        seconds=4,
        shows=_near(1.3249, 1.7023),
        held=20,
    ),
    "fgan-pearson": Preset(
        "… in Pearson's chi-square divergence",
        {**UNIVARIATE, "objective": "pearson"},
        seconds=3,
        shows=_near(0.5663, 1.9268),
        held=20,
    ),
    "fgan-hellinger": Preset(
        "… in the squared Hellinger distance",
        {**UNIVARIATE, "objective": "squared_hellinger"},
        seconds=3,
        shows=_near(1.3175, 1.7316),
        held=20,
    ),
    "fgan-tv": Preset(
        "… in the total variation distance, whose slopes vanish where D is sure: hardly a fit",
        {**UNIVARIATE, "objective": "total_variation"},
        seconds=3,
        shows=(Condition("KS", low=0.25),),
        held=15,
    ),
    # ── methods, on N(4, 1.25)
    "plain": Preset(
        "no penalties: what the default owes to R1 and R2",
        FREE,
        seconds=2,
        held=12,
    ),
    "simultaneous": Preset(
        "both players move at once instead of in turn",
        {"order": "simultaneous"},
        seconds=4,
        held=12,
    ),
    "extragradient": Preset(
        "both look a step ahead, return, and move along what they saw",
        {"order": "extragradient", **FREE},
        seconds=3,
        held=20,
    ),
    "optimistic": Preset(
        "a step against the gradient expected next",
        {**_both(name="optimistic_adam", rate=0.002), **FREE},
        seconds=3,
        held=19,
    ),
    "consensus": Preset(
        "both players also make the gradients of both small",
        {"order": "simultaneous", "consensus": 1.0, **FREE},
        seconds=5,
        held=10,
    ),
    "instance-noise": Preset(
        "noise on all that D sees, fading over the run",
        {"instance_noise": 0.5, **FREE},
        seconds=3,
        held=14,
    ),
    "zero-gp": Preset(
        "D is made flat between real and generated data",
        {"zero_gp": 1.0, **FREE},
        seconds=3,
        held=18,
    ),
    "unrolled": Preset(
        "G is judged by D as it would be three steps later",
        {"unrolled": 3, **FREE, "steps": 2000},
        seconds=3,
        held=18,
    ),
    "packing": Preset(
        "D judges four samples together",
        {"packing": 4, **FREE},
        seconds=2,
        held=17,
    ),
    # ── the plane
    "ring8": Preset(
        "8 narrow modes on a circle, by R1, R2 and a deep tanh G",
        RING,
        seconds=4,
        shows=_modes(8, 0.95),
        held=19,
    ),
    "ring8-saturating": Preset(
        "the ring by the plain saturating game",
        {**PLAIN_RING, "objective": "minimax"},
        seconds=2,
        shows=_modes(8, 0.4),
        held=20,
    ),
    "ring8-plain": Preset(
        "the ring by the plain non-saturating game",
        PLAIN_RING,
        seconds=2,
        shows=_modes(8, 0.4),
        held=20,
    ),
    "grid25": Preset(
        "25 narrow modes on a square",
        GRID,
        seconds=10,
        shows=_modes(25, 0.94),
        held=20,
    ),
    "spiral": Preset(
        "a noisy curve",
        SPIRAL,
        seconds=6,
        shows=(Condition("KS", high=0.05),),
        held=20,
    ),
    # ── classes, which both networks are told
    "two-classes": Preset(
        "two normal distributions, one of each class: D*(x, k) of each, and a classifier by Bayes' rule",
        {"target": "0.5*normal(-1, 0.5) + 0.5*normal(1, 1)", "label": "component"},
        seconds=3,
        held=16,
        method="auto",
    ),
    "iris": Preset(
        "four lengths of 150 irises, each species a class; the same rows train and judge",
        {"data": str(DATASETS / "iris.csv"), "label": "species"},
        seconds=4,
        shows=(Condition("classifier accuracy", high=0.6, best=0.5),),
        held=20,
    ),
    "ring8-classes": Preset(
        "8 round modes on a circle, each a class: all are found, since G is asked for each",
        RING_CLASSES,
        seconds=18,
        shows=(*_modes(8, 0.97), Condition("class leakage", high=0.002, best=0.0001)),
        held=20,
    ),
    # ── one point: local convergence as theory has it
    "dirac-gan": Preset(
        "a point against a point, minimax: it circles",
        DIRAC,
        seconds=2,
        shows=CIRCLES,
        held=20,
    ),
    "dirac-ns": Preset(
        "… non-saturating: it circles inwards, ever more slowly",
        {**DIRAC, "objective": "non_saturating"},
        seconds=2,
        shows=INWARDS,
        held=20,
    ),
    "dirac-wgan": Preset(
        "… Wasserstein: it circles, wider",
        {**DIRAC, "objective": "wasserstein"},
        seconds=2,
        shows=CIRCLES,
        held=20,
    ),
    "dirac-r1": Preset("… with R1: it arrives", {**DIRAC, "r1": 0.5}, seconds=2, shows=ARRIVES, held=20),
    "dirac-r2": Preset(
        "… with R2: it arrives, as with R1, since a linear D has one slope",
        {**DIRAC, "r2": 0.5},
        seconds=2,
        shows=ARRIVES,
        held=20,
    ),
    "dirac-noise": Preset(
        "… with instance noise: it arrives while there is noise",
        {**DIRAC, "instance_noise": 1.5},
        seconds=2,
        shows=ARRIVES,
        held=19,
    ),
    "dirac-consensus": Preset(
        "… with consensus optimisation: it arrives, unless D is sure before, where all gradients are small",
        {**DIRAC, "order": "simultaneous", "consensus": 1.0},
        seconds=2,
        shows=ARRIVES,
        held=18,
    ),
    "dirac-extragradient": Preset(
        "… with extragradient steps, and larger ones: it arrives",
        {
            **DIRAC,
            "order": "extragradient",
            "generator_optimizer": {"name": "sgd", "rate": 0.2},
            "discriminator_optimizer": {"name": "sgd", "rate": 0.4},
        },
        seconds=2,
        shows=ARRIVES,
        held=20,
    ),
    # ── real and physical data
    "galaxies": Preset(
        "the velocities of 82 galaxies, which train and judge: one that repeats them would pass",
        {"data": str(DATASETS / "galaxies.csv")},
        seconds=4,
        held=20,
    ),
    "galaxy-images": Preset(
        "images of galaxies, 16 × 16 pixels: G makes them without the sky's noise, which is added to them",
        {
            "target": "galaxies(16, 0.1)",
            "observation_noise": 0.1,
            "latent": {"size": 32},
            "generator": {"widths": [256, 256]},
            "discriminator": {"widths": [256, 256]},
            "r1": 20.0,
            "r2": 20.0,
            **_both(rate=0.002, beta2=0.99),
            "schedule": {"hold": 0.3},
            "average": {"start": 0.8},
            "batch": 128,
            "steps": 8000,
            "eval_every": 1000,
            "eval_samples": 5000,
        },
        seconds=89,
        shows=(Condition("classifier accuracy", high=0.55, best=0.5),),
        held=20,
    ),
}


UNITS = {  # that were presets: standardised data make the same run of each, in other units
    "narrow": "normal(4, 0.5)",
    "standard": "normal(-1, 1)",
    "wide": "normal(0, 10)",
    "far": "normal(1000, 1)",
}


def preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises:  ConfigError – for another name
    """
    if name in UNITS:
        raise ConfigError(
            f"the preset {name!r} was the preset 'gaussian' in other units, since a run standardises its "
            f"data; write minigan train --target '{UNITS[name]}'"
        )
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name[:80]!r}; {nearest(name, PRESETS)}")
    return PRESETS[name]

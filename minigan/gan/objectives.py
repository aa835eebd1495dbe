"""A GAN objective is three curves of a logit and a theorem about them; the theorem is the test.

One convention, for all: a = D(x) is D's raw output, large on real data (where D is a probability, it is σ(a)). Both
players *minimise*: D minimises E_p[real(a)] + E_q[fake(a)], G minimises E_q[generator(a)], with p the distribution of the data
and q that of G. A paper that lets D maximise appears here with the opposite sign.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from minigan.arguments import closest, shown
from minigan.engine.primitives import exp, mean, relu, sigmoid, softplus, square, tanh
from minigan.engine.tensor import Tensor, refusal

__all__ = ["LEVELS", "OBJECTIVES", "Curve", "Divergence", "Host", "Objective", "alpha", "bce_with_logits", "objective"]

Curve: TypeAlias = Callable[[Tensor], Tensor]  # a loss of D's raw output, elementwise
Host: TypeAlias = np.ndarray[Any, Any]  # numbers on the host: densities at some points, or what D says there


def bce_with_logits(a: Tensor, label: Tensor | float) -> Tensor:
    """Binary cross-entropy −t ln σ(a) − (1−t) ln(1−σ(a)) = t softplus(−a) + (1−t) softplus(a), exact at any logit.

    The shorter softplus(a) − t·a cancels where D is sure and right: at a = 17 and t = 1 float32 makes that 0.

    Shapes:  a any; label t a number in [0, 1], or a Tensor of the same shape → the shape of a
    Units:   nats
    Raises:  ValueError – if a label lies outside [0, 1], or the shapes differ (broadcasting them is the classic silent bug)
    Source:  [T14]; derivative σ(a) − t
    """
    if isinstance(label, Tensor):
        if label.shape != a.shape:
            raise ValueError(f"logits of shape {a.shape} need labels of the same shape; received {label.shape}")
        values = None if refusal("read") else label.numpy()  # a value is not read during capture
        if values is not None and not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"labels are probabilities in [0, 1]; received values from {values.min()} to {values.max()}")
    elif not 0 <= label <= 1:
        raise ValueError(f"a label is a probability in [0, 1]; received {label}")
    return label * softplus(-a) + (1.0 - label) * softplus(a)


# ── what the theorems say, on host arrays: p and q are densities of data and generator at the points x
def _xlogy(x: Host, y: Host) -> Host:
    """x ln y with 0 ln 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x == 0, 0.0, x * np.log(y))

def _log_ratio(p: Host, q: Any, x: Host | None = None) -> Host:
    with np.errstate(divide="ignore", invalid="ignore"):  # ±∞ where one of them is 0; NaN, undecided, where both are
        logarithm: Host = np.log(p) - np.log(q)
    return logarithm

def _ratio(p: Host, q: Host) -> Host:
    with np.errstate(divide="ignore", invalid="ignore"):
        return p / q

def _itself(a: Host) -> Host:
    return a

def _logit(d: Host) -> Host:
    """ln d/(1−d), ±∞ from 0 and from 1 on."""
    d = np.clip(d, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        logit: Host = np.log(d) - np.log1p(-d)
    return logit

def _certain(p: Host, q: Host, x: Host | None = None) -> Host:
    """±∞: the sharper, the better; 0 where p = q."""
    with np.errstate(invalid="ignore"):
        return np.where(p == q, 0.0, np.sign(p - q) * np.inf)

def _share(p: Host, q: Host) -> Host:
    """p / (p + q), and 0 where both are 0, where it weighs nothing."""
    return p / np.where((p == 0) & (q == 0), 1.0, p + q)

def _cross_entropy_at_optimum(p: Host, q: Host, x: Host | None = None) -> Host:
    """−p ln D* − q ln(1−D*), whose integral is ln 4 − 2 JS(p, q)."""
    return -_xlogy(p, _share(p, q)) - _xlogy(q, _share(q, p))

def _masses(density: Host, x: Host) -> Host:
    """What each point stands for in the trapezoidal rule."""
    width = np.empty_like(x)
    width[1:-1], width[0], width[-1] = 0.5 * (x[2:] - x[:-2]), 0.5 * (x[1] - x[0]), 0.5 * (x[-1] - x[-2])
    return density * width

def _kantorovich_potential(p: Host, q: Host, x: Host) -> Host:
    """The 1-Lipschitz a that maximises E_p a − E_q a on a line: its slope is sign(F_q − F_p)."""
    above = np.cumsum(0.5 * ((q - p)[1:] + (q - p)[:-1]) * np.diff(x))  # F_q − F_p at x[1:]
    slope = np.sign(0.5 * (above + np.concatenate([[0.0], above[:-1]])))
    return np.concatenate([[0.0], np.cumsum(slope * np.diff(x))])

def _paired_at_optimum(p: Host, q: Host, x: Host) -> Host:
    """∫ p(x) q(y) ln(1 + e^(a(y) − a(x))) dy with a = ln p/q, whose integral is ln 2 − JS(p×q, q×p)."""
    right = p[:, None] * q  # a real x beside a generated y; the other way round the pair has the density right.T
    return -_xlogy(right, _share(right, right.T)) @ _masses(np.ones_like(q), x)


_LN2 = math.log(2.0)
LEVELS = {_LN2: "ln 2", -_LN2: "−ln 2", 2 * _LN2: "ln 4", 0.25: "¼", 0.125: "⅛"}  # numbers as they are written


@dataclass(frozen=True)
class Divergence:
    """What the loss V of the best D says: V = at_rest − scale · divergence, and V = at_rest where p = q.

    A D that is not the best has a larger V, so (at_rest − V)/scale is never more than the divergence; from
    logits of a sample it is so but for sampling noise. W₁ is measured by critics of slope ≤ 1 only: what another
    one says is an estimate, no bound.

    largest   the most the divergence can be, where p and q have nothing in common; it is never negative
    unit      of V and of the divergence
    """

    name: str
    at_rest: float
    scale: float = 1.0
    largest: float = math.inf
    unit: str = ""

    def implied(self, value: float) -> float:
        """The divergence that a loss of ``value`` says, within what a divergence can be.

        Source:  [T16] for the cross-entropy; each objective's own ``value``
        """
        return float(min(max(0.0, (self.at_rest - value) / self.scale), self.largest))

    @property
    def level(self) -> str:
        """``at_rest`` as it is written: ln 4."""
        return LEVELS.get(self.at_rest, f"{self.at_rest:.6g}")

    @property
    def level_in_full(self) -> str:
        """As ``level``, and with digits where those say more: ln 4 = 1.3863."""
        return f"{self.level} = {round(self.at_rest, 4):g}" if self.at_rest in LEVELS else self.level

    @property
    def formula(self) -> str:
        """How V says it: (ln 4 − V)/2."""
        difference = f"{self.level} − V" if self.at_rest else "−V"
        if self.scale == 1:
            return difference
        bracketed = f"({difference})" if self.at_rest else difference
        return f"{bracketed}/{self.scale:.6g}" if self.scale > 1 else f"{1 / self.scale:.6g} ({difference})"


@dataclass(frozen=True, repr=False)
class Objective:
    """D minimises E_p[real(a)] + E_q[fake(a)];  G minimises E_q[generator(a)].

    optimum(p, q, x)  the best a at each point, given the densities p of the data and q of G at the points x
    value(p, q, x)    the loss p·real + q·fake there, point by point: its integral over x is a constant minus a
                      divergence, which a G that wants the opposite of D minimises against the best D
    theorem           in which sense a is the best: "stationary", the slope of the loss vanishes at each point;
                      "extreme", no other a is better at any point (the optimum is a set, or at infinity);
                      "lipschitz", best among all functions of slope ≤ 1; "paired", best as a whole function.
                      The last two need x, ordered points of a line
    log_ratio(a)      ln p/q as a says it, the inverse of ``optimum``; None where a knows no densities
    divergence        its name and bounds, and the value where p = q

    >>> mg.OBJECTIVES["minimax"].formula
    'G minimises E[ln(1 − D(G(z)))]: the saturating game of one value function V; ln 4 − 2 JS'
    """

    name: str
    real: Curve
    fake: Curve
    generator: Curve
    optimum: Callable[..., Host]
    value: Callable[..., Host]
    divergence: Divergence
    formula: str
    source: str
    theorem: str = "stationary"
    log_ratio: Callable[[Host], Host] | None = _itself

    def __repr__(self) -> str:
        return f"Objective({self.name}: {self.formula}. {self.source})"

    def __reduce__(self) -> tuple[Any, ...]:
        """A row of the table is pickled as its name, for its curves are functions; one of your own as it is."""
        named = OBJECTIVES.get(self.name) is self
        return (objective, (self.name,)) if named else (Objective, tuple(vars(self).values()))

    def probability(self, a: Any) -> Host | None:
        """D(x) = p/(p+q), the probability that x is real, as the logits a say it; None where they do not.

        Shapes:  a host array of any shape → the same, float64
        Source:  [T15], through each objective's own optimum
        """
        if self.log_ratio is None:
            return None
        return np.exp(-np.logaddexp(0.0, -self.log_ratio(np.asarray(a, "float64"))))

    @property
    def critic(self) -> bool:
        """Whether D is a critic, which measures a distance and does not guess: σ(a) means nothing."""
        return self.theorem == "lipschitz"

    @property
    def says_probability(self) -> bool:
        """Whether D(x) = p/(p+q) can be read from a; of pairs a is known but for a constant."""
        return self.log_ratio is not None and not self.paired

    @property
    def paired(self) -> bool:
        """Whether the curves take differences of logits: of each with a partner from the other side."""
        return self.theorem == "paired"

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[real(a)] + E[fake(ã)], in pairs E[real(a − ã)] + E[fake(ã − a)].    Shapes:  (…, B, 1) → (…, 1, 1)"""
        if self.paired:
            real, fake = real - fake, fake - real
        return mean(self.real(real)) + mean(self.fake(fake))

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """E[generator(ã)], in pairs E[generator(ã − a)].    Shapes:  (…, B, 1) → (…, 1, 1)"""
        if self.paired:
            if real is None:
                raise ValueError(f"{self.name} compares pairs; give the logits of real data too, received none")
            fake = fake - real
        return mean(self.generator(fake))


_LEAST_ALPHA = 1e-3  # 2^(1/α), the value where D is sure, is a number of float64


def alpha(alpha_d: float, alpha_g: float, *, saturating: bool = True) -> Objective:
    """The (α_D, α_G)-GAN: D and G each with an α-loss  ℓ(a) = α/(α−1) (1 − σ(a)^((α−1)/α))  of its own.

    α = 1 is the cross-entropy (the limit), α = ½ the exponential loss e⁻ᵃ, α = ∞ the soft 0-1 loss σ(−a).
    α_D < 1 lets D's logit grow less steeply (a* = α_D ln p/q), α_G > 1 lets G forget hopeless samples.

    Raises:  ValueError – unless both are at least 0.001 (infinity included): below, 2^(1/α) leaves float64
    Source:  Welfert, Otstot, Kurri, Sankar 2023, "(α_D, α_G)-GANs: addressing GAN training instabilities via dual
             objectives"; the α-loss: Sypherd et al. 2022
    """
    for given in (alpha_d, alpha_g):
        if isinstance(given, bool) or not isinstance(given, Real):
            raise TypeError(f"both α are positive numbers, infinity included; received {shown(given)}")
        if not given >= _LEAST_ALPHA:
            raise ValueError(
                f"both α are at least {_LEAST_ALPHA:g}, infinity included; received {alpha_d} and {alpha_g}"
            )

    def number(α: float) -> str:
        return repr(float(α)).removesuffix(".0")

    def loss(a: Tensor, α: float) -> Tensor:
        if α == 1:
            return softplus(-a)
        if α == math.inf:
            return sigmoid(-a)
        return (α / (α - 1.0)) * (1.0 - exp(((1.0 - α) / α) * softplus(-a)))

    def value(p: Host, q: Host, x: Host | None = None) -> Host:
        if alpha_d == 1:
            return _cross_entropy_at_optimum(p, q)
        if alpha_d == math.inf:
            return np.minimum(p, q)
        largest = np.where((p == 0) & (q == 0), 1.0, np.maximum(p, q))  # densities to a high power vanish
        norm = largest * ((p / largest) ** alpha_d + (q / largest) ** alpha_d) ** (1 / alpha_d)
        return alpha_d / (alpha_d - 1) * (p + q - norm)

    if alpha_d == 1:
        divergence = Divergence("JS(p, q)", 2 * _LN2, 2.0, _LN2, "nats")
    elif alpha_d == math.inf:
        divergence = Divergence("TV(p, q)", 1.0, 1.0, 1.0)
    else:
        at_rest = alpha_d / (alpha_d - 1) * (2.0 - 2.0 ** (1 / alpha_d))  # and 0 where D is always right
        name = "∫(√p − √q)²" if alpha_d == 0.5 else f"Arimoto's divergence of order {number(alpha_d)}"
        divergence = Divergence(name, at_rest, 1.0, at_rest)

    return Objective(
        f"{'alpha' if saturating else 'alpha_ns'}({number(alpha_d)}, {number(alpha_g)})",
        real=lambda a: loss(a, alpha_d),
        fake=lambda a: loss(-a, alpha_d),
        generator=(lambda a: -loss(-a, alpha_g)) if saturating else (lambda a: loss(a, alpha_g)),
        optimum=_certain if alpha_d == math.inf else lambda p, q, x=None: alpha_d * _log_ratio(p, q),
        value=value,
        divergence=divergence,
        formula="cross-entropies bent by α: D* = p^α / (p^α + q^α)",
        source="Welfert, Otstot, Kurri, Sankar 2023",
        theorem="extreme" if alpha_d == math.inf else "stationary",
        log_ratio=None if alpha_d == math.inf else lambda a: a / alpha_d,
    )


_FGAN = "Nowozin, Cseke, Tomioka 2016, tables 5 and 6 (1 and 2 in short)"

OBJECTIVES = {o.name: o for o in (
    Objective("minimax",           lambda a: softplus(-a),            lambda a: softplus(a),             lambda a: -softplus(a),
              divergence=Divergence("JS(p, q)", 2 * _LN2, 2.0, _LN2, "nats"),
              optimum=_log_ratio, value=_cross_entropy_at_optimum,
              formula="G minimises E[ln(1 − D(G(z)))]: the saturating game of one value function V; ln 4 − 2 JS",
              source="[T14]; Goodfellow et al. 2014, equation 1, proposition 1 and theorem 1"),
    Objective("non_saturating",    lambda a: softplus(-a),            lambda a: softplus(a),             lambda a: softplus(-a),
              divergence=Divergence("JS(p, q)", 2 * _LN2, 2.0, _LN2, "nats"),
              optimum=_log_ratio, value=_cross_entropy_at_optimum,
              formula="G minimises −E[ln D(G(z))]: the same fixed point, a strong gradient where D wins",
              source="Goodfellow et al. 2014, section 3"),
    Objective("least_squares",     lambda a: 0.5 * square(a - 1.0),   lambda a: 0.5 * square(a),         lambda a: 0.5 * square(a - 1.0),
              divergence=Divergence("∫(p − q)²/(p + q)", 0.25, 0.125, 2.0),
              optimum=lambda p, q, x=None: _ratio(p, p + q), value=lambda p, q, x=None: 0.5 * p * _share(q, p),
              log_ratio=_logit,
              formula="D regresses on labels 1 and 0, G on 1: no saturation where D is sure; ¼ − ⅛ ∫(p − q)²/(p + q)",
              source="Mao et al. 2017, equations 2 and 9"),
    Objective("hinge",             lambda a: relu(1.0 - a),           lambda a: relu(1.0 + a),           lambda a: -a,
              divergence=Divergence("TV(p, q)", 2.0, 2.0, 1.0),
              optimum=lambda p, q, x=None: np.sign(p - q), value=lambda p, q, x=None: 2.0 * np.minimum(p, q),
              formula="D only cares about a margin of 1; 2 − 2 TV", theorem="extreme", log_ratio=None,
              source="Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17"),
    Objective("wasserstein",       lambda a: -a,                      lambda a: a,                       lambda a: -a,
              divergence=Divergence("W₁(p, q)", 0.0),
              optimum=_kantorovich_potential, value=lambda p, q, x: (q - p) * _kantorovich_potential(p, q, x),
              formula="a critic of slope ≤ 1 (clip, or wgan_gp) measures −W₁, the earth mover's distance", theorem="lipschitz", log_ratio=None,
              source="Arjovsky, Chintala, Bottou 2017, equations 2 and 3: Kantorovich and Rubinstein's duality"),
    Objective("relativistic",      lambda a: 0.5 * softplus(-a),      lambda a: 0.5 * softplus(a),       lambda a: softplus(-a),
              divergence=Divergence("JS(p×q, q×p)", _LN2, 1.0, _LN2, "nats"),
              optimum=_log_ratio, value=_paired_at_optimum,
              formula="a is compared with a partner's: is this real sample more real than that generated one? ln 2 − JS(p×q, q×p)", theorem="paired",
              source="Jolicoeur-Martineau 2018 (RSGAN, later RpGAN); Huang et al. 2024 (R3GAN)"),

    # f-divergences: D minimises −E_p[T] + E_q[f*(T)], T = T(a); at its best T = f′(p/q), and the value is −∫ q f(p/q)
    Objective("kl",                lambda a: -1.0 - a,                lambda a: exp(a),                  lambda a: -exp(a),
              divergence=Divergence("KL(p‖q)", 0.0, unit="nats"),
              optimum=_log_ratio, value=lambda p, q, x=None: -_xlogy(p, _ratio(p, q)),
              formula="f = u ln u, T = 1 + a; −KL(p‖q): G must cover all data", source=_FGAN),
    Objective("reverse_kl",        lambda a: exp(-a),                 lambda a: a - 1.0,                 lambda a: 1.0 - a,
              divergence=Divergence("KL(q‖p)", 0.0, unit="nats"),
              optimum=_log_ratio, value=lambda p, q, x=None: -_xlogy(q, _ratio(q, p)),
              formula="f = −ln u, T = −e⁻ᵃ; −KL(q‖p): G must avoid where no data are", source=_FGAN),
    Objective("js",                lambda a: softplus(-a) - math.log(2), lambda a: softplus(a) - math.log(2), lambda a: math.log(2) - softplus(a),
              divergence=Divergence("JS(p, q)", 0.0, 2.0, _LN2, "nats"),
              optimum=_log_ratio, value=lambda p, q, x=None: _cross_entropy_at_optimum(p, q) - (p + q) * math.log(2),
              formula="f = u ln u − (u+1) ln((u+1)/2), T = ln 2σ(a); −2 JS(p, q): minimax less ln 4", source=_FGAN),
    Objective("jeffrey",           lambda a: exp(-a) - 1.0 - a,       lambda a: exp(a) + a - 1.0,        lambda a: 1.0 - a - exp(a),
              divergence=Divergence("KL(p‖q) + KL(q‖p)", 0.0, unit="nats"),
              optimum=_log_ratio, value=lambda p, q, x=None: -_xlogy(p, _ratio(p, q)) - _xlogy(q, _ratio(q, p)),
              formula="f = (u−1) ln u, T = 1 + a − e⁻ᵃ; −KL(p‖q) − KL(q‖p): the sum of the two", source=_FGAN),
    Objective("pearson",           lambda a: -a,                      lambda a: 0.25 * square(a) + a,    lambda a: -0.25 * square(a) - a,
              divergence=Divergence("χ²(p‖q)", 0.0),
              optimum=lambda p, q, x=None: 2.0 * (_ratio(p, q) - 1.0), value=lambda p, q, x=None: -np.where(p == q, 0.0, _ratio((p - q) ** 2, q)),
              log_ratio=lambda a: _log_ratio(np.maximum(1.0 + 0.5 * a, 0.0), 1.0),
              formula="f = (u−1)², T = a; −χ²(p‖q)", source=_FGAN),
    Objective("squared_hellinger", lambda a: exp(-a) - 1.0,           lambda a: exp(a) - 1.0,            lambda a: 1.0 - exp(a),
              divergence=Divergence("∫(√p − √q)²", 0.0, 1.0, 2.0),
              optimum=lambda p, q, x=None: 0.5 * _log_ratio(p, q), value=lambda p, q, x=None: -(np.sqrt(p) - np.sqrt(q)) ** 2, log_ratio=lambda a: 2.0 * a,
              formula="f = (√u−1)², T = 1 − e⁻ᵃ; −∫(√p − √q)²", source=_FGAN),
    Objective("total_variation",   lambda a: -0.5 * tanh(a),          lambda a: 0.5 * tanh(a),           lambda a: -0.5 * tanh(a),
              divergence=Divergence("TV(p, q)", 0.0, 1.0, 1.0),
              optimum=_certain, value=lambda p, q, x=None: -0.5 * np.abs(p - q),
              formula="f = ½|u−1|, T = ½ tanh a; −TV(p, q)", theorem="extreme", log_ratio=None, source=_FGAN),
    alpha(0.5, 1.0),
    alpha(0.5, 1.0, saturating=False),
)}

_ALPHA = re.compile(r"(alpha|alpha_ns)\(\s*([0-9.eE+-]+|inf)\s*,\s*([0-9.eE+-]+|inf)\s*\)")


def objective(name: str | Objective) -> Objective:
    """The objective called ``name``: a row of the table, or alpha(…, …) and alpha_ns(…, …) of any two α.

    Raises:  ValueError – for an unknown name, with the known ones; for α that are not positive
             TypeError – for what is neither a name nor an Objective
    """
    if isinstance(name, Objective):
        return name
    known = f"objective must be one of {', '.join(OBJECTIVES)}"
    if not isinstance(name, str):
        raise TypeError(f"{known}, or an Objective; received {shown(name)}")
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    match, reason = _ALPHA.fullmatch(name), closest(name, OBJECTIVES)
    if match:
        try:
            return alpha(float(match[2]), float(match[3]), saturating=match[1] == "alpha")
        except ValueError as error:
            reason = f": {error}"
    raise ValueError(f"{known}; received {shown(name, text=True)}{reason}")

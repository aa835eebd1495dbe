"""A GAN objective is three curves of a logit and a theorem about them; the theorem is the test.

a is D's raw output, large on real data; D's probability is σ(a). Everywhere: D minimises, G minimises its own curve.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigan.engine.primitives import softplus
from minigan.engine.tensor import Tensor, program_under_capture


def bce_with_logits(a, label):
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
        values = None if program_under_capture.get() else label.numpy()  # a value is not read during capture
        if values is not None and not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"labels are probabilities in [0, 1]; received values from {values.min()} to {values.max()}")
    elif not 0 <= label <= 1:
        raise ValueError(f"a label is a probability in [0, 1]; received {label}")
    return label * softplus(-a) + (1.0 - label) * softplus(a)


def _xlogy(x, y):
    """x ln y with 0 ln 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x == 0, 0.0, x * np.log(y))


@dataclass(frozen=True)
class Objective:
    """D minimises E_p[real(a)] + E_q[fake(a)];  G minimises E_q[generator(a)].

    optimum(p, q)  the pointwise best a for densities p (data) and q (generated)
    value(p, q)    the pointwise loss p·real + q·fake at the optimum: its integral is a constant minus a divergence
    """

    name: str
    real: Callable
    fake: Callable
    generator: Callable
    optimum: Callable
    value: Callable
    formula: str
    source: str


def _log_ratio(p, q):
    with np.errstate(divide="ignore", invalid="ignore"):  # ±∞ where one of them is 0; NaN, undecided, where both are
        return np.log(p) - np.log(q)


def _cross_entropy_at_optimum(p, q):
    """−p ln D* − q ln(1−D*), whose integral is ln 4 − 2 JS(p, q)."""
    total = np.where((p == 0) & (q == 0), 1.0, p + q)  # where neither has mass the loss is 0
    return -_xlogy(p, p / total) - _xlogy(q, q / total)


OBJECTIVES = {o.name: o for o in (
    Objective("minimax",        lambda a: softplus(-a), lambda a: softplus(a), lambda a: -softplus(a),
              optimum=_log_ratio, value=_cross_entropy_at_optimum,
              formula="G minimises E[ln(1 − D(G(z)))]: the saturating game of one value function V",
              source="[T14]; Goodfellow et al. 2014, equation 1, proposition 1 and theorem 1"),
    Objective("non_saturating", lambda a: softplus(-a), lambda a: softplus(a), lambda a: softplus(-a),
              optimum=_log_ratio, value=_cross_entropy_at_optimum,
              formula="G minimises −E[ln D(G(z))]: the same fixed point, a strong gradient where D wins",
              source="Goodfellow et al. 2014, section 3"),
)}

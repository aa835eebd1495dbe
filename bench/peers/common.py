"""What every peer is given: the constants of the step, weights as flat vectors, batches; and what it answers.

The step: x ~ N(4, 1.25²), latent z ~ N(0, 1) of one number, G and D = Dense(1, H) tanh Dense(H, H) tanh
Dense(H, 1), binary cross-entropy on logits, non-saturating, float32; Adam moves D on x and G(z_d), then G on
G(z_g) through the new D. Drawing is part of the step, and may be done for many steps ahead.

Weights are {"G": θ, "D": θ}, θ (…, P) being W₁ (1, H), b₁, W₂ (H, H), b₂, W₃ (H, 1), b₃ one after the other;
"…" is empty, or (R,) for R independent GANs. A peer is a module with

    DISTRIBUTION                                        what has to be installed
    variants(batch, width, threads)                     {name: Variant} for one GAN
    ensembles(batch, width, threads, replicas)          {name: Variant} for R of them

whose Variant.make(weights, batch, seed) returns an object with

    advance(steps)            steps on draws of its own: what is timed
    follow(x, z_d, z_g)       steps on these batches, (steps, …, B, 1) each
    parameters()              {"G": θ, "D": θ} now
    gradients()               the same of what both players last followed
    block                     how many steps it draws or compiles together, 1 if it does not say
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.5, 0.999, 1e-8
MEAN, SD = 4.0, 1.25


class Variant(NamedTuple):
    """One way to run the step; blas_threads: of BLAS, None for as many as the whole measurement has."""

    make: Callable
    blas_threads: int | None = None


def shapes(width):
    """The shapes of W₁, b₁, W₂, b₂, W₃, b₃."""
    return (1, width), (1, width), (width, width), (1, width), (width, 1), (1, 1)


def width_of(flat):
    """H of P = H² + 4H + 1 parameters."""
    return int(np.sqrt(flat.shape[-1] + 3.0)) - 2


def split(flat, width):
    """Views of W₁, b₁, W₂, b₂, W₃, b₃ in the parameters of one network.    Shapes:  (…, P) → six (…, n, m)"""
    views, start = [], 0
    for n, m in shapes(width):
        views.append(flat[..., start : start + n * m].reshape(*flat.shape[:-1], n, m))
        start += n * m
    return views


def initial(width, seed=0, replicas=None):
    """Glorot's uniform weights and biases of 0, in float64.    Shapes:  {"G": (…, P), "D": (…, P)}"""
    rng, lead = np.random.default_rng(seed), () if replicas is None else (replicas,)
    P = sum(n * m for n, m in shapes(width))
    weights = {player: np.zeros((*lead, P)) for player in "GD"}
    for flat in weights.values():
        for W in split(flat, width)[::2]:
            a = np.sqrt(6.0 / sum(W.shape[-2:]))
            W[...] = rng.uniform(-a, a, W.shape)
    return weights


def batches(steps, batch, seed=1, replicas=None):
    """x, z_d, z_g of so many steps.    Shapes:  (steps, …, B, 1) each"""
    rng, lead = np.random.default_rng(seed), () if replicas is None else (replicas,)
    normal = rng.standard_normal((3, steps, *lead, batch, 1)).astype("float32")
    return MEAN + SD * normal[0], normal[1], normal[2]


def generate(flat, latent):
    """G(z) of one network, in NumPy.    Shapes:  flat (P,), z (n, 1) → (n, 1)"""
    W1, b1, W2, b2, W3, b3 = split(flat, width_of(flat))
    return np.tanh(np.tanh(latent @ W1 + b1) @ W2 + b2) @ W3 + b3


def schedule(first, count, scale):
    """Adam's step and ε at times first, first + 1, …, for moments that are kept without their factors 1 − β.

    θ ← θ − α m̂/(√v̂ + ε) = θ − step · m′/(√v′ + ε′), where m′ ← β₁ m′ + s g, v′ ← β₂ v′ + s² g², s being the
    scale of the gradients kept; step = α (1 − β₁)/((1 − β₁ᵗ) c), ε′ = s ε/c, c = √((1 − β₂)/(1 − β₂ᵗ)).
    """
    t = np.arange(first, first + count)
    c = np.sqrt((1.0 - BETA2) / (1.0 - BETA2**t))
    return RATE * (1.0 - BETA1) / ((1.0 - BETA1**t) * c), scale * EPSILON / c

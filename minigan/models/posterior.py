"""Bayes' rule on logarithms: from ln[p(x | C) p(C)] to the posterior, without overflow or underflow."""

import numpy as np

from minigan.engine.primitives import getitem, softplus
from minigan.engine.tensor import Tensor
from minigan.probability._numerics import host


def log_posterior(log_joint) -> np.ndarray:
    """ln p(C_k | x) = a_k − ln Σ_j eᵃʲ with a_k = ln[p(x | C_k) p(C_k)]; what all a_k share may be left out.

    The largest a_k is taken out first, so a row whose every density underflows still has its posterior, and a
    posterior next to 1 its exact logarithm. A row of −∞ alone has none, and is NaN.

    Shapes:  log_joint (…, K) → (…, K)
    Units:   nats
    Raises:  ValueError – for NaN or +∞
    Source:  [T11]; for K = 2 it is ln σ of the log-odds [T10]

    >>> from minigan.models import log_posterior
    >>> np.exp(log_posterior(np.log([[0.1, 0.3]]))).round(4)
    array([[0.25, 0.75]])
    """
    a = host(log_joint, "log joint density")
    if a.ndim == 0 or (a == np.inf).any():
        raise ValueError(f"log joint densities are (…, K) and below +∞; received shape {a.shape}")
    largest = a.argmax(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shifted = a - np.take_along_axis(a, largest, axis=-1)
    others = np.exp(shifted)
    np.put_along_axis(others, largest, 0.0, axis=-1)
    return shifted - np.log1p(others.sum(axis=-1, keepdims=True))


def posterior(log_joint) -> np.ndarray:
    """p(C_k | x) = softmax_k(a), a_k = ln[p(x | C_k) p(C_k)]: Bayes' rule, by ``log_posterior``.

    Shapes:  log_joint (…, K) → (…, K), rows that sum to one
    Source:  [T9] step 3, [T11]; for K = 2 it is σ of the log-odds [T10]

    >>> from minigan.models import posterior
    >>> posterior(np.log([[0.1, 0.3]])).round(4)
    array([[0.25, 0.75]])
    """
    return np.exp(log_posterior(log_joint))


def log_sum_exp(a: Tensor) -> Tensor:
    """ln Σ_k eᵃᵏ over the last axis, by ln(eᵃ + eᵇ) = b + softplus(a − b): never overflows.

    Shapes:  (…, K) → (…, 1)
    """
    total, *rest = (getitem(a, key=(..., slice(k, k + 1))) for k in range(a.shape[-1]))
    for logit in rest:
        total = total + softplus(logit - total)
    return total

"""The classifier two-sample test: two samples are of one distribution if no judge can tell their rows apart.

The judge is what D is in the game, a network trained on D's loss, but one that has never met G: it is
trained to the end on one half of the rows and asked about the other. Its accuracy is a number that everyone
understands, ½ for a perfect sampler. Kolmogorov–Smirnov and energy distance are in evaluation/two_sample.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, softplus
from minigan.engine.tensor import Tensor
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.probability._numerics import host
from minigan.probability.long_calls import principal_axes

MIN_ROWS = 10  # of each sample: fewer cannot be split in three
MOST_ROWS = 200_000  # of each sample: more would not be looked at in 2000 steps
FAR = 6.0  # standard deviations beyond which all values look alike to the judge
OCTAVES = 6  # of waves along each axis …
FEATURES = 512  # … as long as there are no more features than this
ROWS_PER_AXIS = 4  # fewer rows than this per axis would only show their own noise
LOOK = 25  # steps between two looks at the validation rows


@dataclass(frozen=True)
class C2ST:
    """The accuracy of a judge on rows it was not trained on, beside what chance alone would show.

    accuracy  share of the held-out rows that are put down to the right sample
    pvalue    the probability that guessing does as well or better
    perfect   ½: what a perfect sampler reaches on average
    bound     what guessing exceeds in at most 5 % of cases
    n_test    held-out rows of both samples
    """

    accuracy: float
    pvalue: float
    perfect: float
    bound: float
    n_test: int

    @property
    def within(self) -> bool:
        """Whether the accuracy lies where 95 % of perfect samplers' accuracies lie."""
        return self.accuracy <= self.bound


def classifier_two_sample_test(
    a,
    b,
    rng: np.random.Generator,
    *,
    widths: tuple[int, ...] = (64,),
    steps: int = 2000,
    batch: int = 256,
    held_out: float = 0.5,
    rate: float = 5e-3,
    backend: Any = None,
) -> C2ST:
    """Accuracy of an MLP that tells held-out rows of a from rows of b; ½ if both are of one distribution.

    ``held_out`` of each sample is kept for the test; of the rest a fifth decides when training has gone far
    enough. The larger sample gives as many rows as the smaller one has, at most 200 000, drawn at random.

    What the judge sees of a row is computed without the labels from all rows alike, so that it cannot favour
    one sample: the coordinates z along the principal axes in units of their deviations, which makes faint
    axes as loud as strong ones; z², with which one layer already compares variances and correlations; and,
    where the features are few, sin and cos of 2z, 4z, …, 64z, so that fine structure is as easy as coarse.

    If both distributions are equal the number of rows told right has mean n_test/2 and at most the variance
    of Binomial(n_test, ½), whose upper tail is the p-value.

    Shapes:  a (n, p) or (n,), b (m, p) or (m,)
    Raises:  ValueError – for fewer than 10 rows, another number of features, an argument out of its range
    Source:  Lopez-Paz & Oquab 2017, section 3
    """
    a, b = _sample(a, "first sample"), _sample(b, "second sample")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"two samples of as many features are compared; received {a.shape[1]} and {b.shape[1]}"
        )
    if not 0.0 < held_out < 1.0:
        raise ValueError(f"held_out is a share between 0 and 1; received {held_out}")
    if steps < 1 or batch < 1:
        raise ValueError(f"steps and batch are whole numbers ≥ 1; received {steps} and {batch}")
    n = min(len(a), len(b), MOST_ROWS)
    n_test = min(max(round(held_out * n), 1), n - 2)
    n_validation = max((n - n_test) // 5, 1)
    rows = np.concatenate([_drawn(x, n, rng) for x in (a, b)])
    seen = _features(rows).astype("float32").reshape(2, n, -1)  # sample, row, feature
    test, validation, training = np.split(seen, [n_test, n_test + n_validation], axis=1)
    judge = _train(_labelled(training), _labelled(validation), rng, widths, steps, batch, rate, backend)
    x, sign = _labelled(test)
    right = int(((judge(x) >= 0) == (sign > 0)).sum())
    return _against_chance(right, 2 * n_test)


def _against_chance(right: int, n: int) -> C2ST:
    from scipy.special import bdtr, bdtrc

    counts = np.arange(n + 1)
    bound = int(counts[bdtr(counts, n, 0.5) >= 0.95][0])
    pvalue = float(bdtrc(right - 1, n, 0.5)) if right else 1.0
    return C2ST(right / n, pvalue, 0.5, bound / n, n)


def _sample(x, what):
    x = host(x, what, finite=True)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) < MIN_ROWS:
        raise ValueError(f"the {what} needs rows (n, p), at least {MIN_ROWS}; received shape {x.shape}")
    return x


def _drawn(x, n, rng):
    """n of the rows in random order."""
    return rng.permutation(x)[:n] if len(x) <= MOST_ROWS else x[rng.choice(len(x), n, replace=False)]


def _features(rows):
    """z, z² and waves along the principal axes of all rows."""
    scale = rows.std(axis=0)
    z = (rows - rows.mean(axis=0)) / np.where(np.ptp(rows, axis=0) > 0, scale, 1.0)
    variances, axes = principal_axes(z)
    if variances[-1] == 0.0:  # all rows are one
        return np.zeros((len(z), 1))
    kept = (variances > 1e-10 * variances[-1]) & (
        np.arange(len(variances))[::-1] < max(len(rows) // ROWS_PER_AXIS, 1)
    )
    z = np.clip(z @ (axes[:, kept] / np.sqrt(variances[kept])), -FAR, FAR)
    octaves = min(OCTAVES, (FEATURES // z.shape[1] - 2) // 2)
    waves = [
        f(2.0**k * z) * 2.0 ** (-k / 2)  # the finer, the fainter: coarse structure is learnt first
        for k in range(1, octaves + 1)
        for f in (np.sin, np.cos)
    ]
    return np.concatenate([z, (z * z - 1.0) / np.sqrt(2.0), *waves], axis=1)


def _labelled(parts):
    """Rows of both, +1 for the first sample and −1 for the second.   Shapes:  (2, n, f) → (2n, f), (2n, 1)"""
    sign = np.repeat(np.array([1.0, -1.0], "float32"), parts.shape[1])
    return parts.reshape(-1, parts.shape[2]), sign[:, None]


def _train(training, validation, rng, widths, steps, batch, rate, backend):
    """The judge, a function of host rows to logits, at the step where it did best on the validation rows."""
    backend = backend or backends.numpy_backend
    (x, sign), (x_valid, sign_valid) = training, validation
    network = mlp((x.shape[1], *widths, 1), rngs=rng, activation="silu", backend=backend)
    values = network.parameters.arrays()
    last = f"{len(widths)}.W"
    network.parameters.load(
        values | {last: np.zeros_like(values[last])}
    )  # begins undecided: a = 0 everywhere
    optimizer = Adam(network.parameters, rate)

    def step(x, sign):
        loss = mean(softplus(-(sign * network(x))))
        optimizer.step(grad(loss, network.parameters))

    def logits(x):
        return network(Tensor(backend.array(x))).numpy()

    program, state = None, {"judge": network.parameters.flat, **optimizer.state}
    least, best, found = np.inf, None, 0
    for t in range(1, steps + 1):
        chosen = rng.integers(len(x), size=min(batch, len(x)))
        inputs = backend.array(x[chosen]), backend.array(sign[chosen])
        if program is None:
            program = capture(step, *inputs, state=state)
        else:
            program(*inputs)
        if t % LOOK == 0 or t == steps:
            loss = np.logaddexp(0.0, -sign_valid * logits(x_valid)).mean()
            if loss < least:
                least, best, found = loss, network.parameters.copy(), t
            elif t - found > steps // 2:
                break
    network = network.with_parameters(best)
    return logits

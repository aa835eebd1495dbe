"""What a discriminator is: a generative and a discriminative classifier of the same labelled rows.

``GaussianClassifier``   learns p(x | C_k) and p(C_k), comes to p(C_k | x) by Bayes' rule, can make new data
``LogisticRegression``   learns p(C_1 | x) of two classes alone: one dense layer, D's loss
``SoftmaxRegression``    the same for K classes

Where the classes are Gaussian with one covariance, the log-odds are linear in x, so all of them fit the
same σ(w·x + b): the generative one with less noise, the discriminative one also for other classes.
Methods and attributes have scikit-learn's names. Arrays come in, float64 arrays on the host come out.
"""

import dataclasses
import math
import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import getitem, mean, softplus, square, sum_over
from minigan.engine.tensor import Tensor
from minigan.nn.layers import Dense
from minigan.nn.parameters import Parameters
from minigan.probability._numerics import host
from minigan.probability.distributions import SUM_TOLERANCE
from minigan.probability.multivariate import MultivariateNormal

COVARIANCES = ("shared", "diagonal", "full")
SINGULAR = 1e-13  # least eigenvalue of a correlation matrix, per feature, that is not rounding noise


class NotFittedError(ValueError, AttributeError):
    """A classifier was asked before it was fitted."""


class ConvergenceWarning(UserWarning):
    """The fit ended where the likelihood has no maximum, or before it reached one."""


def log_posterior(log_joint) -> np.ndarray:
    """ln p(C_k | x) = a_k − ln Σ_j eᵃʲ with a_k = ln[p(x | C_k) p(C_k)]; what all a_k share may be left out.

    The largest a_k is taken out first, so a row whose every density underflows still has its posterior, and a
    posterior next to 1 its exact logarithm. A row of −∞ alone has none, and is NaN.

    Shapes:  log_joint (…, K) → (…, K)
    Units:   nats
    Raises:  ValueError – for NaN or +∞
    Source:  [T11]; for K = 2 it is ln σ of the log-odds [T10]
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


class _Classifier:
    """What follows for every classifier from its scores: ln p(C_k | x), up to what all classes share."""

    classes_: np.ndarray
    n_features_in_: int

    def _scores(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def predict_log_proba(self, X) -> np.ndarray:
        """ln p(C_k | x).

        Shapes:  X (n, p) → (n, K), columns in the order of ``classes_``
        Units:   nats
        Source:  [T11]
        """
        return log_posterior(self._scores(self._rows(X)))

    def predict_proba(self, X) -> np.ndarray:
        """p(C_k | x) = softmax_k(a).

        Shapes:  X (n, p) → (n, K), columns in the order of ``classes_``
        Source:  [T11]
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X) -> np.ndarray:
        """The class of the largest posterior: no rule errs more rarely, if the posterior is right.

        Shapes:  X (n, p) → (n,)
        """
        best = self._scores(self._rows(X)).argmax(axis=1)
        return self.classes_[best]

    def decision_function(self, X) -> np.ndarray:
        """a = ln [p(x, C_1) / p(x, C_0)] for two classes; a_k of [T11] for more.

        Positive for ``classes_[1]``, as scikit-learn has it: this is C₁ of [T10], and ``classes_[0]`` its C₂.

        Shapes:  X (n, p) → (n,) for K = 2, (n, K) otherwise
        Units:   nats
        Source:  [T10], [T11]
        """
        scores = self._scores(self._rows(X))
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def score(self, X, y) -> float:
        """The share of rows whose class is predicted: accuracy."""
        X = self._rows(X)
        return float((self.predict(X) == _labels(y, len(X))).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that this classifier was made with."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def set_params(self, **params) -> Self:
        """Change arguments by name; they count from the next fit on.

        Raises:  ValueError – for an unknown name
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has {', '.join(known)}; received {name!r}")
            setattr(self, name, value)
        return self

    def _training_rows(self, X, y):
        """Checked rows and the number of each row's class; learns classes and features."""
        X = _matrix(X)
        y = _labels(y, len(X))
        try:
            classes, codes = np.unique(y, return_inverse=True)
        except TypeError:
            raise TypeError(
                "labels must be of one kind that can be sorted, such as text or numbers"
            ) from None
        if len(classes) < 2:
            raise ValueError(
                f"a classifier needs at least two classes; all labels are {classes.tolist()[0]!r}"
            )
        return X, classes, codes.ravel()

    def _require_fit(self):
        if not hasattr(self, "classes_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit(X, y) first")

    def _rows(self, X):
        self._require_fit()
        X = _matrix(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"fitted to rows of {self.n_features_in_} features; received {X.shape[1]}")
        return X

    def _pair(self, j, k):
        """The numbers of two classes, named by their labels; of two by default the second and the first."""
        self._require_fit()
        known = self.classes_.tolist()
        if j is None and k is None and len(known) == 2:
            return 1, 0
        if j not in known or k not in known:
            raise ValueError(
                f"log_odds(j, k) compares two of {', '.join(map(repr, known))}; received {j!r}, {k!r}"
            )
        return known.index(j), known.index(k)


@dataclass(eq=False)
class GaussianClassifier(_Classifier):
    """p(x | C_k) = N(x; μ_k, Σ_k): a generative model, which knows how likely x is and can make new x.

    covariance   "shared": one Σ, so the log-odds are linear in x; "full": one Σ_k per class; "diagonal": one
                 per class whose features are independent (naive Bayes)
    priors       p(C_k) in the order of the sorted labels; None takes the shares among the rows
    shrinkage    ρ of (1−ρ) Σ + ρ diag Σ: 0 is maximum likelihood, 1 leaves no correlation

    After ``fit``: classes_ (K,), priors_ (K,), means_ (K, p), covariances_ (p, p), (K, p) or (K, p, p), and
    conditionals_, the K distributions p(x | C_k).

    Raises:  ValueError – from ``fit``: for a singular covariance, naming the class, or other unusable data;
             NotFittedError – if asked before
    Source:  [T8], [T9]; the estimates are those of maximum likelihood (divided by n, not n − 1)
    """

    covariance: str = "shared"
    priors: Any = None
    shrinkage: float = 0.0

    def fit(self, X, y) -> Self:
        """Steps 1 and 2 of Bayes' route: infer p(x | C_k) and p(C_k).

        Shapes:  X (n, p), y (n,) labels
        Source:  [T9]
        """
        if self.covariance not in COVARIANCES:
            raise ValueError(
                f"covariance must be one of {', '.join(COVARIANCES)}; received {self.covariance!r}"
            )
        if not 0.0 <= self.shrinkage <= 1.0:
            raise ValueError(f"shrinkage lies in [0, 1]; received {self.shrinkage}")
        X, classes, codes = self._training_rows(X, y)
        groups = [X[codes == k] for k in range(len(classes))]
        counts = np.array([len(rows) for rows in groups])
        priors = counts / len(X) if self.priors is None else _checked_priors(self.priors, classes)
        means = np.stack([rows.mean(axis=0) for rows in groups])
        centred = [rows - μ for rows, μ in zip(groups, means, strict=True)]
        if self.covariance == "shared":
            matrices = [self._covariance(np.concatenate(centred), groups, "that all classes share")] * len(
                classes
            )
        else:
            matrices = [
                self._covariance(rows, [group], f"of class {label!r}")
                for rows, group, label in zip(centred, groups, classes.tolist(), strict=True)
            ]
        conditionals = tuple(MultivariateNormal(μ, Σ) for μ, Σ in zip(means, matrices, strict=True))
        self.classes_, self.n_features_in_, self.priors_, self.means_ = classes, X.shape[1], priors, means
        self.conditionals_, self.covariances_ = conditionals, np.stack(matrices)
        self._fitted_covariance = self.covariance  # which may be changed for the next fit
        if self.covariance == "shared":
            self.covariances_ = matrices[0]
        elif self.covariance == "diagonal":
            self.covariances_ = np.stack([np.diag(Σ) for Σ in matrices])
        return self

    def _covariance(self, centred, groups, whose):
        constant = np.flatnonzero(np.all([np.ptp(rows, axis=0) == 0 for rows in groups], axis=0))
        if len(constant):
            raise ValueError(
                f"the covariance {whose} is singular: feature {constant[0]} does not vary there "
                f"({len(centred)} rows); leave that feature out, or give more rows"
            )
        if self.covariance == "diagonal":
            return np.diag(np.square(centred).mean(axis=0))
        Σ = centred.T @ centred / len(centred)
        variances = np.diag(Σ).copy()
        Σ = (1.0 - self.shrinkage) * Σ
        np.fill_diagonal(Σ, variances)
        sd = np.sqrt(variances)
        least = np.linalg.eigvalsh(Σ / sd / sd[:, None])[0]
        if least < SINGULAR * len(sd):
            raise ValueError(
                f"the covariance {whose} is singular: {len(centred)} rows do not span {len(sd)} features; "
                "give more rows, leave out features that others determine, or set shrinkage above 0 or "
                "covariance='diagonal'"
            )
        return Σ

    def log_joint(self, X) -> np.ndarray:
        """a_k = ln[p(x | C_k) p(C_k)].

        Shapes:  X (n, p) → (n, K)
        Units:   nats
        Source:  [T11]
        """
        X = self._rows(X)
        with np.errstate(over="ignore"):  # farther than 1e154 sd the log-density is −∞ in float64
            densities = [distribution.log_density(X) for distribution in self.conditionals_]
        return np.stack(densities, axis=1) + np.log(self.priors_)

    def log_density(self, X) -> np.ndarray:
        """ln p(x) = ln Σ_k p(x | C_k) p(C_k): how likely it is to meet x at all.

        Shapes:  X (n, p) → (n,)
        Units:   nats
        Source:  [T9] step 4
        """
        return np.logaddexp.reduce(self.log_joint(X), axis=1)

    def density(self, X) -> np.ndarray:
        """p(x) = Σ_k p(x | C_k) p(C_k).

        Shapes:  X (n, p) → (n,)
        Source:  [T9] step 4
        """
        return np.exp(self.log_density(X))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """New labelled rows: a class from the priors, x from its conditional.

        Shapes:  → X (n, p), y (n,)
        Source:  [T9]
        """
        self._require_fit()
        codes = rng.choice(len(self.classes_), size=n, p=self.priors_)
        X = np.empty((n, self.n_features_in_))
        for k, distribution in enumerate(self.conditionals_):
            chosen = codes == k
            X[chosen] = distribution.sample(rng, (int(chosen.sum()),))
        return X, self.classes_[codes]

    def decision_function(self, X) -> np.ndarray:
        self._require_fit()
        return super().decision_function(X) if len(self.classes_) == 2 else self.log_joint(X)

    def log_odds(self, j=None, k=None) -> tuple[np.ndarray, float]:
        """(w, b) of the log-odds a(x) = ln [p(x, C_j) / p(x, C_k)] = w·x + b, for the shared covariance.

        w = Σ⁻¹(μ_j − μ_k), b = −½ w·(μ_j + μ_k) + ln [p(C_j) / p(C_k)]. j and k are labels; of two classes,
        by default, ``classes_[1]`` against ``classes_[0]``.

        Raises:  ValueError – for another covariance: there a(x) is quadratic
        Source:  [T10]
        """
        j, k = self._pair(j, k)
        if self._fitted_covariance != "shared":
            raise ValueError(
                "log-odds are linear in x where the classes share their covariance; this classifier was "
                "fitted with another, use decision_function(X)"
            )
        w = np.linalg.solve(self.covariances_, self.means_[j] - self.means_[k])
        prior = math.log(self.priors_[j] / self.priors_[k])
        return w, float(prior - 0.5 * w @ (self.means_[j] + self.means_[k]))

    def _scores(self, X):
        if self._fitted_covariance != "shared":
            return self.log_joint(X)
        # Without −½ xᵀΣ⁻¹x, which is common to all: far out it would drown what differs between them.
        centre = self.priors_ @ self.means_
        offsets = self.means_ - centre
        W = np.linalg.solve(self.covariances_, offsets.T)
        return (X - centre) @ W - 0.5 * (offsets.T * W).sum(axis=0) + np.log(self.priors_)


@dataclass(eq=False)
class _Regression(_Classifier):
    """One dense layer on standardised features, fitted to the end of a convex problem.

    weight_decay   λ of ½ λ‖W‖², added to the mean loss; W belongs to the standardised features, b is free
    tolerance      the fit ends where no component of the gradient is larger, or the loss falls no more
    max_steps      … or after so many steps of L-BFGS
    dtype, backend of the engine's arithmetic

    Classes that a plane separates have no maximum of the likelihood: the sharper σ, the better, without end.
    Unless weight_decay > 0 the fit then ends at weights as large as ``tolerance`` lets them grow, which
    separate the classes, and says so in a ConvergenceWarning; so it does if max_steps were too few. Where a
    plane separates all rows but those that lie in it, the weights grow in the same way, and nothing is said.

    After ``fit``: classes_, coef_, intercept_ (in units of the data), losses_ (nats per row, before the first
    step and after each), n_iter_.
    """

    weight_decay: float = 0.0
    tolerance: float = 1e-8
    max_steps: int = 1000
    dtype: str = "float64"
    backend: Any = None

    def fit(self, X, y) -> Self:
        """Maximise the likelihood Σ ln p(C_y | x) of the labels.

        Shapes:  X (n, p), y (n,) labels
        Source:  [T8], [T10], [T11]
        """
        self._refuse_nonsense()
        X, classes, codes = self._training_rows(X, y)
        shift, scale = X.mean(axis=0), X.std(axis=0)
        scale[np.ptp(X, axis=0) == 0] = 1.0  # says nothing, and gets no weight
        backend = self.backend or backends.numpy_backend
        outputs, targets = self._targets(codes, classes)
        standardised = (X - shift) / scale
        x, t = (Tensor(backend.array(a.astype(self.dtype))) for a in (standardised, targets))
        layer = Dense(X.shape[1], outputs)
        parameters = Parameters(layer.shapes(), backend, self.dtype)

        def step(θ):
            parameters.update(θ)
            penalty = (0.5 * self.weight_decay) * sum_over(square(parameters["W"]), axis=(-2, -1))
            loss = mean(self._loss(layer(parameters, x), t)) + penalty
            return loss, grad(loss, parameters)

        start = np.zeros(parameters.count, self.dtype)
        state = {"parameters": parameters.flat, "x": x, "targets": t}
        program = capture(step, Tensor(backend.array(start)), state=state)

        def value_and_gradient(θ):
            loss, gradients = program(backend.array(θ.astype(self.dtype)))
            return loss.item(), np.concatenate([g.numpy().ravel() for g in gradients]).astype("float64")

        losses, steepest, θ = self._minimise(value_and_gradient, start)
        W, b = θ[:-outputs].reshape(-1, outputs), θ[-outputs:]
        if outputs > 1:  # a common shift of all logits changes no posterior: the one of mean zero
            W, b = W - W.mean(axis=1, keepdims=True), b - b.mean()
        self.classes_, self.n_features_in_ = classes, X.shape[1]
        self.coef_ = (W / scale[:, None]).T
        self.intercept_ = b - self.coef_ @ shift
        self.losses_, self.n_iter_ = losses, len(losses) - 1
        self._warn(standardised @ W + b, codes, steepest)
        return self

    def log_odds(self, j=None, k=None) -> tuple[np.ndarray, float]:
        """(w, b) of the log-odds a(x) = ln [p(C_j | x) / p(C_k | x)] = w·x + b.

        j and k are labels; of two classes, by default, ``classes_[1]`` against ``classes_[0]``.

        Source:  [T10]
        """
        j, k = self._pair(j, k)
        W, b = self._all_weights()
        return W[j] - W[k], float(b[j] - b[k])

    def _refuse_nonsense(self):
        if not 0.0 <= self.weight_decay < math.inf or not 0.0 < self.tolerance < math.inf:
            raise ValueError(
                "weight_decay is a finite number ≥ 0 and tolerance one > 0; "
                f"received {self.weight_decay} and {self.tolerance}"
            )
        if not isinstance(self.max_steps, int) or self.max_steps < 1:
            raise ValueError(f"max_steps is a whole number ≥ 1; received {self.max_steps!r}")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be one of float32, float64; received {self.dtype!r}")

    @property
    def _reachable(self):
        """The tolerance, or the gradient at which the loss can no longer be told from its minimum: ~ √eps."""
        return max(self.tolerance, 4.0 * math.sqrt(np.finfo(self.dtype).eps))

    def _minimise(self, value_and_gradient, start):
        """The losses, the steepest component of the last gradient, and the weights there."""
        from scipy.optimize import minimize

        losses, latest = [], 0.0

        def watched(θ):
            nonlocal latest
            latest, gradient = value_and_gradient(θ)
            if not losses:
                losses.append(latest)
            return latest, gradient

        options = {
            "maxiter": self.max_steps,
            "maxfun": math.inf,
            "ftol": 0.0,
            "gtol": self.tolerance,
            "maxcor": 20,
        }
        found = minimize(
            watched, start.astype("float64"), jac=True, method="L-BFGS-B", options=options,
            callback=lambda _: losses.append(latest),
        )  # fmt: skip
        return losses, float(np.abs(found.jac).max()), found.x

    def _warn(self, logits, codes, steepest):
        scores = self._as_scores(logits)
        own = np.take_along_axis(scores, codes[:, None], axis=1)
        np.put_along_axis(scores, codes[:, None], -np.inf, axis=1)
        if not self.weight_decay and (own > scores.max(axis=1, keepdims=True)).all():
            warnings.warn(
                "the classes are separable, so the likelihood has no maximum and weights grow without end; "
                f"these are those of {self.n_iter_} steps, set weight_decay above 0 for a unique answer",
                ConvergenceWarning,
                stacklevel=3,
            )
        elif steepest > self._reachable:
            warnings.warn(
                f"the fit ended after {self.n_iter_} steps with a gradient of {steepest:.2g}, asked for was "
                f"{self._reachable:.2g}; raise max_steps or tolerance, or set weight_decay above 0",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _scores(self, X):
        return self._as_scores(X @ self.coef_.T + self.intercept_)

    def _targets(self, codes, classes):
        raise NotImplementedError

    def _loss(self, a, targets):
        raise NotImplementedError

    def _as_scores(self, logits):
        raise NotImplementedError

    def _all_weights(self):
        raise NotImplementedError


class LogisticRegression(_Regression):
    """p(C_1 | x) = σ(w·x + b) of two classes: a discriminative model, which is what D of a GAN is.

    It minimises D's loss, the mean of softplus(∓a) [T14]. What x look like it does not know: it has no
    density and cannot sample.

    Shapes:  coef_ (1, p), intercept_ (1,)
    Source:  [T8], [T10]
    """

    def _targets(self, codes, classes):
        if len(classes) != 2:
            raise ValueError(f"logistic regression tells two classes apart; received {len(classes)}, "
                             "use SoftmaxRegression")  # fmt: skip
        return 1, np.where(codes == 1, 1.0, -1.0)[:, None]

    def _loss(self, a, targets):
        return softplus(-(targets * a))

    def _as_scores(self, logits):
        return np.concatenate([np.zeros_like(logits), logits], axis=1)

    def _all_weights(self):
        return np.concatenate([np.zeros_like(self.coef_), self.coef_]), np.append(0.0, self.intercept_)


class SoftmaxRegression(_Regression):
    """p(C_k | x) = softmax_k(w_k·x + b_k) of K classes: a discriminative model.

    It minimises the mean of −ln p(C_y | x). What x look like it does not know: it has no density and cannot
    sample. A vector added to all w_k changes nothing, so those with mean zero over the classes are reported.

    Shapes:  coef_ (K, p), intercept_ (K,)
    Source:  [T8], [T11]
    """

    def _targets(self, codes, classes):
        return len(classes), np.eye(len(classes))[codes]

    def _loss(self, a, targets):
        return log_sum_exp(a) - sum_over(targets * a, axis=(-1,))

    def _as_scores(self, logits):
        return logits

    def _all_weights(self):
        return self.coef_, self.intercept_


def _matrix(X):
    X = host(X, "data X", finite=True)
    if X.ndim != 2:
        raise ValueError(f"X is a table (n, p), one row per observation; received shape {X.shape}")
    return X


def _labels(y, n):
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y needs one label for each of the {n} rows of X; received shape {y.shape}")
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise ValueError("y holds NaN; give every row a label, or leave the row out")
    return y


def _checked_priors(priors, classes):
    priors = host(priors, "priors", finite=True)
    if priors.shape != classes.shape or (priors <= 0).any() or abs(priors.sum() - 1.0) > SUM_TOLERANCE:
        raise ValueError(
            f"priors are {len(classes)} positive numbers that sum to one, in the order "
            f"{', '.join(map(repr, classes.tolist()))}; received {priors.tolist()}"
        )
    return priors / priors.sum()

"""Discriminative classifiers: logistic and softmax regression, which learn the posterior alone, as D does."""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, softplus, square, sum_over
from minigan.engine.tensor import Tensor
from minigan.models.classifiers import Classifier, ConvergenceWarning
from minigan.models.posterior import log_sum_exp
from minigan.nn.layers import Dense
from minigan.nn.parameters import Parameters


@dataclass(eq=False)
class _Regression(Classifier):
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

"""Discriminative classifiers: logistic and softmax regression, which learn the posterior alone, as D does."""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from minigan import backend as backends
from minigan.arguments import NOT_NEGATIVE, POSITIVE, floating, instance, number, whole
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, softplus, square, sum_over
from minigan.engine.tensor import Tensor
from minigan.models.classifiers import Classifier, ConvergenceWarning
from minigan.models.posterior import log_sum_exp
from minigan.nn.layers import Dense
from minigan.nn.parameters import Parameters
from minigan.probability._numerics import unit_scaled

FAR = 1e150  # sd from the mean: farther away a logit of finite weights has no other sign


@dataclass(eq=False)
class _Regression(Classifier):
    """One dense layer on standardised features, fitted to the end of a convex problem.

    weight_decay   λ of ½ λ‖W‖², added to the mean loss; W belongs to the standardised features, b is free
    tolerance      the fit ends where no component of the gradient is larger, or the loss falls no more
    max_steps      … or after so many steps of L-BFGS
    dtype, backend of the engine's arithmetic

    Classes that a plane separates have no maximum of the likelihood: the sharper σ, the better, without end.
    So it is where it separates all rows but those that lie in it. Unless weight_decay > 0 the fit then gives
    what a weight_decay of ``tolerance`` gives, which is unique and close to the plane of widest margin, and
    says so in a ConvergenceWarning; so it does if max_steps were too few.

    Features of any scale are fitted alike: powers of two are taken out before anything is squared.

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
        X, exponents = unit_scaled(X)
        shift, scale = X.mean(axis=0), X.std(axis=0)
        constant = np.ptp(X, axis=0) == 0  # says nothing, and gets no weight
        shift[constant], scale[constant] = X[0, constant], 1.0
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
        separable = not self.weight_decay and self._separates(standardised, codes, θ, outputs)
        if separable:
            free = np.arange(len(θ)) >= len(θ) - outputs
            more, _, θ = self._minimise(_decayed(value_and_gradient, self.tolerance, free), θ)
            losses += [value_and_gradient(θ)[0]] * (len(more) > 1)
        W, b = self._weights(θ, outputs)
        self.classes_, self.n_features_in_ = classes, X.shape[1]
        self._standard = exponents, shift, scale, W, b
        with np.errstate(over="ignore", under="ignore"):
            self.coef_ = np.ldexp(W / scale[:, None], -exponents[:, None]).T
        self.intercept_ = b - shift @ (W / scale[:, None])
        self.losses_, self.n_iter_ = losses, len(losses) - 1
        self._warn(separable, steepest)
        return self

    def _weights(self, θ, outputs):
        """W and b of the standardised features."""
        W, b = θ[:-outputs].reshape(-1, outputs), θ[-outputs:]
        if outputs > 1:  # a common shift of all logits changes no posterior: the one of mean zero
            W, b = W - W.mean(axis=1, keepdims=True), b - b.mean()
        return W, b

    def _separates(self, standardised, codes, θ, outputs):
        """Whether no row is on the wrong side: farther there than rounding puts one that is in the plane."""
        W, b = self._weights(θ, outputs)
        scores = self._as_scores(standardised @ W + b)
        own = np.take_along_axis(scores, codes[:, None], axis=1)
        np.put_along_axis(scores, codes[:, None], -np.inf, axis=1)
        margins = own - scores.max(axis=1, keepdims=True)
        return margins.min() > -1e-6 * margins.max()

    def log_odds(self, j=None, k=None) -> tuple[np.ndarray, float]:
        """(w, b) of the log-odds a(x) = ln [p(C_j | x) / p(C_k | x)] = w·x + b.

        j and k are labels; of two classes, by default, ``classes_[1]`` against ``classes_[0]``.

        Source:  [T10]
        """
        j, k = self._pair(j, k)
        W, b = self._all_weights()
        return W[j] - W[k], float(b[j] - b[k])

    def _refuse_nonsense(self):
        number("weight_decay", self.weight_decay, NOT_NEGATIVE)
        number("tolerance", self.tolerance, POSITIVE)
        whole("max_steps", self.max_steps)
        floating("dtype", self.dtype)
        if self.backend is not None:
            instance("a backend is an object", self.backend, backends.Backend, "give get_backend(name)")

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

    def _warn(self, separable, steepest):
        if separable:
            warnings.warn(
                "the classes are separable, so the likelihood has no maximum and weights grow without end; "
                f"these are those of weight_decay={self.tolerance:g}, set it above 0 for less certain ones",
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
        exponents, shift, scale, W, b = self._standard
        with np.errstate(over="ignore"):
            z = (np.ldexp(X, -exponents) - shift) / scale
        return self._as_scores(np.clip(z, -FAR, FAR) @ W + b)

    def _targets(self, codes, classes):
        raise NotImplementedError

    def _loss(self, a, targets):
        raise NotImplementedError

    def _as_scores(self, logits):
        raise NotImplementedError

    def _all_weights(self):
        raise NotImplementedError


def _decayed(value_and_gradient, decay, free):
    """The same plus ½ decay ‖W‖², divided by decay: near its minimum the loss is of the size of decay."""

    def decayed(θ):
        value, gradient = value_and_gradient(θ)
        W = np.where(free, 0.0, θ)
        return value / decay + 0.5 * W @ W, gradient / decay + W

    return decayed


class LogisticRegression(_Regression):
    """p(C_1 | x) = σ(w·x + b) of two classes: a discriminative model, which is what D of a GAN is.

    It minimises D's loss, the mean of softplus(∓a) [T14]. What x look like it does not know: it has no
    density and cannot sample.

    Shapes:  coef_ (1, p), intercept_ (1,)
    Source:  [T8], [T10]

    >>> from minigan.models import LogisticRegression
    >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
    >>> model.predict_proba([[1.5]]).round(3)
    array([[0.5, 0.5]])
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

    >>> from minigan.models import SoftmaxRegression
    >>> X, y = [[0.0], [1.0], [1.0], [2.0], [2.0], [3.0]], [0, 1, 0, 1, 2, 2]
    >>> SoftmaxRegression(weight_decay=0.01).fit(X, y).predict([[0.0], [3.0]])
    array([0, 2])
    """

    def _targets(self, codes, classes):
        return len(classes), np.eye(len(classes))[codes]

    def _loss(self, a, targets):
        return log_sum_exp(a) - sum_over(targets * a, axis=(-1,))

    def _as_scores(self, logits):
        return logits

    def _all_weights(self):
        return self.coef_, self.intercept_

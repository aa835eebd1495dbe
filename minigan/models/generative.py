"""A generative classifier: Gaussian classes, which know how likely x is and can make new x."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from minigan.arguments import SHARE, named, number
from minigan.models.classifiers import Classifier, require_squares
from minigan.probability._numerics import host
from minigan.probability.distributions import SUM_TOLERANCE
from minigan.probability.multivariate import MultivariateNormal

COVARIANCES = ("shared", "diagonal", "full")
SINGULAR = 1e-13  # least eigenvalue of a correlation matrix, per feature, that is not rounding noise


@dataclass(eq=False)
class GaussianClassifier(Classifier):
    """p(x | C_k) = N(x; μ_k, Σ_k): a generative model, which knows how likely x is and can make new x.

    covariance   "shared": one Σ, so the log-odds are linear in x; "full": one Σ_k per class; "diagonal": one
                 per class whose features are independent (naive Bayes)
    priors       p(C_k) in the order of the sorted labels; None takes the shares among the rows
    shrinkage    ρ of (1−ρ) Σ + ρ diag Σ: 0 is maximum likelihood, 1 leaves no correlation

    After ``fit``: classes_ (K,), priors_ (K,), means_ (K, p), covariances_ (p, p), (K, p) or (K, p, p), and
    conditionals_, the K distributions p(x | C_k).

    Raises:  ValueError – from ``fit``: for a singular covariance, naming the class, features whose squares
             leave float64, or other unusable data;
             NotFittedError – if asked before
    Source:  [T8], [T9]; the estimates are those of maximum likelihood (divided by n, not n − 1)

    >>> from minigan.models import GaussianClassifier
    >>> model = GaussianClassifier().fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
    >>> model.predict([[0.5], [4.5]]), model.means_.ravel()
    (array([0, 1]), array([0.5, 4.5]))
    """

    covariance: str = "shared"
    priors: Any = None
    shrinkage: float = 0.0

    def fit(self, X, y) -> Self:
        """Steps 1 and 2 of Bayes' route: infer p(x | C_k) and p(C_k).

        Shapes:  X (n, p), y (n,) labels
        Source:  [T9]
        """
        named("covariance", self.covariance, dict.fromkeys(COVARIANCES))
        number("shrinkage", self.shrinkage, SHARE)
        X, classes, codes = self._training_rows(X, y)
        require_squares(X)
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
        return self._log_joint(self._rows(X))

    def _log_joint(self, X):
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
            return self._log_joint(X)
        # Without −½ xᵀΣ⁻¹x, which is common to all: far out it would drown what differs between them.
        centre = self.priors_ @ self.means_
        offsets = self.means_ - centre
        W = np.linalg.solve(self.covariances_, offsets.T)
        far = 1e150 * np.sqrt(np.diag(self.covariances_))  # there only the sign counts
        with np.errstate(over="ignore"):
            distances = np.clip(X - centre, -far, far)
        return distances @ W - 0.5 * (offsets.T * W).sum(axis=0) + np.log(self.priors_)


def _checked_priors(priors, classes):
    priors = host(priors, "priors", finite=True)
    if priors.shape != classes.shape or (priors <= 0).any() or abs(priors.sum() - 1.0) > SUM_TOLERANCE:
        raise ValueError(
            f"priors are {len(classes)} positive numbers that sum to one, in the order "
            f"{', '.join(map(repr, classes.tolist()))}; received {priors.tolist()}"
        )
    return priors / priors.sum()

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
ROUNDING = 1e-12  # of a mean
SINGULAR = 1e-13  # least eigenvalue of a correlation matrix, per feature, that is not rounding noise


@dataclass(eq=False)
class GaussianClassifier(Classifier):
    """p(x | C_k) = N(x; μ_k, Σ_k): a generative model, which knows how likely x is and can make new x.

    covariance   "shared": one Σ, so the log-odds are linear in x; "full": one Σ_k per class; "diagonal": one
                 per class whose features are independent (naive Bayes)
    priors       p(C_k) in the order of the sorted labels; None takes the shares among the rows
    shrinkage    ρ of (1−ρ) Σ + ρ diag Σ: 0 is maximum likelihood, 1 leaves no correlation

    A feature that is the same in all rows says nothing on the class, nor does one that in all classes is the
    same linear function of those before it; they are left out of the densities. Anything else that makes a
    covariance singular is refused: there the model puts a class on a plane of its own, and a row has no
    posterior.

    After ``fit``: classes_ (K,), priors_ (K,), means_ (K, p), covariances_ (p, p), (K, p) or (K, p, p),
    left_out_, the numbers of the features that say nothing, and conditionals_, the K distributions p(x | C_k)
    of the others.

    Raises:  ValueError – from ``fit``: for a covariance that is singular otherwise, naming the class,
             features whose squares leave float64, or other unusable data;
             NotFittedError – if asked before
    Source:  [T8], [T9]; the estimates are those of maximum likelihood (divided by n, not n − 1)

    >>> from minigan.models import GaussianClassifier
    >>> model = GaussianClassifier().fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
    >>> model.predict([[0.5], [4.5]]), model.means_.ravel()
    (array([0, 1]), array([0.5, 4.5]))
    >>> GaussianClassifier().fit([[0.0, 7], [1.0, 7], [4.0, 7], [5.0, 7]], [0, 0, 1, 1]).left_out_
    array([1])
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
        together = np.concatenate(centred)
        kept, relation = self._independent(X, together, means, counts.min())
        parts = [(together, groups, "that all classes share")]
        if self.covariance != "shared":
            names = (f"of class {label!r}" for label in classes.tolist())
            parts = [(rows, [of], whose) for rows, of, whose in zip(centred, groups, names, strict=True)]
        for rows, group, whose in parts:
            self._refuse_singular(rows, group, whose, kept)
        matrices = [self._covariance(rows) for rows, *_ in parts]
        of_kept = [Σ[np.ix_(kept, kept)] for Σ in matrices] * (len(classes) // len(parts))
        conditionals = tuple(MultivariateNormal(μ[kept], Σ) for μ, Σ in zip(means, of_kept, strict=True))
        self.classes_, self.n_features_in_, self.priors_, self.means_ = classes, X.shape[1], priors, means
        self.conditionals_, self.covariances_ = conditionals, np.stack(matrices)
        self._fitted_covariance = self.covariance  # which may be changed for the next fit
        if self.covariance == "shared":
            self.covariances_ = matrices[0]
        elif self.covariance == "diagonal":
            self.covariances_ = np.stack([np.diag(Σ) for Σ in matrices])
        self._kept, self._relation = kept, relation
        self.left_out_ = np.setdiff1d(np.arange(X.shape[1]), kept)
        return self

    def _independent(self, X, centred, means, fewest):
        """The features that say something, and how the others follow: left = kept @ A + offsets.

        Left out is what is constant, or in all classes the same linear function of what is kept: what is
        apart between them by more than chance, of ``fewest`` rows of a class, is another.
        """
        varies = np.ptp(X, axis=0) > 0
        within = np.flatnonzero(varies & (np.ptp(centred, axis=0) > 0))
        basis = within
        if self.covariance != "diagonal" and len(within):
            Σ = self._covariance(centred[:, within])
            sd = np.sqrt(np.diag(Σ))
            R = Σ / sd / sd[:, None]
            if _is_singular(R):
                basis = within[_undetermined(R)]
        others = np.setdiff1d(np.arange(len(varies)), basis)
        A = np.linalg.lstsq(centred[:, basis], centred[:, others], rcond=None)[0] * varies[others]
        noise = (centred[:, others] - centred[:, basis] @ A).std(axis=0)
        size = np.abs(means[:, others]).max(axis=0) + (np.abs(means[:, basis]) @ np.abs(A)).max(axis=0)
        apart = np.ptp(means[:, others] - means[:, basis] @ A, axis=0)
        chance = noise * math.sqrt(2 / fewest)  # sd of what parts two classes that are alike
        left = (apart <= 5 * chance + ROUNDING * size) | ~varies[others]
        A = A[:, left]
        return np.setdiff1d(np.arange(len(varies)), others[left]), (A, X[0, others[left]] - X[0, basis] @ A)

    def _refuse_singular(self, centred, groups, whose, kept):
        if not len(kept):
            raise ValueError("no feature of X varies, so it says nothing on the class; give one that does")
        constant = [j for j in kept if all(np.ptp(rows[:, j]) == 0 for rows in groups)]
        if constant:
            raise ValueError(
                f"the covariance {whose} is singular: feature {constant[0]} does not vary there "
                f"({len(centred)} rows) and elsewhere does; leave that feature out, or give more rows"
            )
        if self.covariance == "diagonal":
            return
        Σ = self._covariance(centred[:, kept])
        sd = np.sqrt(np.diag(Σ))
        if _is_singular(Σ / sd / sd[:, None]):
            raise ValueError(
                f"the covariance {whose} is singular: {len(centred)} rows do not span {len(sd)} features; "
                "give more rows, leave out features that others determine, or set shrinkage above 0 or "
                "covariance='diagonal'"
            )

    def _covariance(self, centred):
        """The estimate, whatever its rank."""
        if self.covariance == "diagonal":
            return np.diag(np.square(centred).mean(axis=0))
        Σ = centred.T @ centred / len(centred)
        variances = np.diag(Σ).copy()
        Σ = (1.0 - self.shrinkage) * Σ
        np.fill_diagonal(Σ, variances)
        return Σ

    def log_joint(self, X) -> np.ndarray:
        """a_k = ln[p(x | C_k) p(C_k)].

        Shapes:  X (n, p) → (n, K)
        Units:   nats
        Source:  [T11]
        """
        return self._log_joint(self._rows(X))

    def _log_joint(self, X):
        X = X[:, self._kept]
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
            chosen = np.flatnonzero(codes == k)
            X[chosen[:, None], self._kept] = distribution.sample(rng, (len(chosen),))
        if len(self.left_out_):
            A, offsets = self._relation
            X[:, self.left_out_] = X[:, self._kept] @ A + offsets
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
        w = np.zeros(self.n_features_in_)
        w[self._kept] = np.linalg.solve(
            self.covariances_[np.ix_(self._kept, self._kept)], (self.means_[j] - self.means_[k])[self._kept]
        )
        prior = math.log(self.priors_[j] / self.priors_[k])
        return w, float(prior - 0.5 * w @ (self.means_[j] + self.means_[k]))

    def _scores(self, X):
        if self._fitted_covariance != "shared":
            return self._log_joint(X)
        # Without −½ xᵀΣ⁻¹x, which is common to all: far out it would drown what differs between them.
        kept = self._kept
        means, Σ = self.means_[:, kept], self.covariances_[np.ix_(kept, kept)]
        centre = self.priors_ @ means
        offsets = means - centre
        W = np.linalg.solve(Σ, offsets.T)
        far = 1e150 * np.sqrt(np.diag(Σ))  # there only the sign counts
        with np.errstate(over="ignore"):
            distances = np.clip(X[:, kept] - centre, -far, far)
        return distances @ W - 0.5 * (offsets.T * W).sum(axis=0) + np.log(self.priors_)


def _is_singular(R):
    """Whether a correlation matrix is, but for rounding."""
    return np.linalg.eigvalsh(R)[0] < SINGULAR * len(R)


def _undetermined(R):
    """The features of a correlation matrix that those before them do not determine: Cholesky's factors."""
    left, chosen, factors = np.diag(R).copy(), [], np.zeros((0, len(R)))
    for k in range(len(R)):
        if left[k] > SINGULAR * len(R):
            row = (R[k] - factors[:, k] @ factors) / math.sqrt(left[k])
            factors, left = np.vstack([factors, row]), left - row * row
            chosen.append(k)
    return np.array(chosen)


def _checked_priors(priors, classes):
    priors = host(priors, "priors", finite=True)
    if priors.shape != classes.shape or (priors <= 0).any() or abs(priors.sum() - 1.0) > SUM_TOLERANCE:
        raise ValueError(
            f"priors are {len(classes)} positive numbers that sum to one, in the order "
            f"{', '.join(map(repr, classes.tolist()))}; received {priors.tolist()}"
        )
    return priors / priors.sum()

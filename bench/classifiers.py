"""Generative beside discriminative: how near two classifiers of the same rows come to each other.

    python -m bench.classifiers

Gaussian classes with a shared covariance, where both models are right: the fits should agree [T10, T11] and
approach the exact posterior as n^-1/2. Then classes with their own covariances, where only the full one is.
Differences are those of all K posteriors, over fresh points from p(x); of the seeds the mean is given, and of
"largest" the worst. The last table is Efron's: what the discriminative fit pays for assuming less.
"""

import argparse
import sys

import numpy as np

from bench.common import table, write
from minigan.models import GaussianClassifier, LogisticRegression, SoftmaxRegression, posterior
from minigan.probability.multivariate import MultivariateNormal

SIZES = (1_000, 10_000, 100_000)
TEST_POINTS = 20_000
CORRELATED = ((1.0, 0.5, 0.0), (0.5, 1.5, -0.3), (0.0, -0.3, 0.8))
ANTICORRELATED = ((0.5, -0.3), (-0.3, 0.6))
FOUR_MEANS = ((0, 0, 0), (1.5, 1, 0), (-1, 1, 1), (0, -1.5, 1))
PROBLEMS = {  # means and covariances per class, priors
    "2 classes, 2 features": (((0, 0), (1.5, 1)), (CORRELATED, CORRELATED), (0.6, 0.4)),
    "4 classes, 3 features": (FOUR_MEANS, (CORRELATED,) * 4, (0.4, 0.3, 0.2, 0.1)),
    "2 classes, own covariances": (((0, 0), (1, 0.5)), (CORRELATED, ANTICORRELATED), (0.5, 0.5)),
}
EFRON = {1.0: 0.995, 2.0: 0.899, 3.0: 0.641}  # means so many sd apart → efficiency of logistic regression


class Problem:
    """Gaussian classes that are known exactly."""

    def __init__(self, means, covariances, priors):
        p = len(means[0])
        self.distributions = [
            MultivariateNormal(m, np.array(c)[:p, :p]) for m, c in zip(means, covariances, strict=True)
        ]
        self.priors = np.array(priors)

    def sample(self, n, rng):
        """n labelled rows."""
        y = rng.choice(len(self.distributions), n, p=self.priors)
        return np.stack([distribution.sample(rng, (n,)) for distribution in self.distributions])[
            y, np.arange(n)
        ], y

    def posterior(self, X):
        """The exact one."""
        return posterior(
            np.stack([distribution.log_density(X) for distribution in self.distributions], axis=1)
            + np.log(self.priors)
        )


def differences(p, q):
    """Mean, 99 % quantile and largest of |p − q|."""
    gap = np.abs(p - q)
    return float(gap.mean()), float(np.quantile(gap, 0.99)), float(gap.max())


def measure(problem, n, seed):
    """{pair: differences} and {model: accuracy} of one seed."""
    rng = np.random.default_rng([seed, n])
    X, y = problem.sample(n, rng)
    points, labels = problem.sample(TEST_POINTS, rng)
    fits = {
        "shared": GaussianClassifier("shared").fit(X, y),
        "full": GaussianClassifier("full").fit(X, y),
        "discriminative": SoftmaxRegression().fit(X, y),
    }
    exact = problem.posterior(points)
    q = {name: fit.predict_proba(points) for name, fit in fits.items()}
    gaps = {f"{name} to exact": differences(q[name], exact) for name in fits}
    gaps["shared to discriminative"] = differences(q["shared"], q["discriminative"])
    accuracy = {name: float((q[name].argmax(axis=1) == labels).mean()) for name in fits}
    return gaps, accuracy | {"exact": float((exact.argmax(axis=1) == labels).mean())}


def rate(sizes, gaps):
    """The exponent r of gap ~ nʳ, by least squares in logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(gaps), 1)[0]) if len(sizes) > 1 else float("nan")


def compare(problem, sizes, seeds):
    """{pair: [[mean, 99 % quantile, largest] per size]} and {model: [accuracy per size]} over the seeds."""
    gaps, accuracies = {}, {}
    for n in sizes:
        runs = [measure(problem, n, seed) for seed in range(seeds)]
        for pair in runs[0][0]:
            rows = np.array([run[0][pair] for run in runs])
            gaps.setdefault(pair, []).append([*rows[:, :2].mean(axis=0), rows[:, 2].max()])
        for model in runs[0][1]:
            accuracies.setdefault(model, []).append(float(np.mean([run[1][model] for run in runs])))
    return gaps, accuracies


def excess_error(fit, separation):
    """Error rate of a linear rule beyond the best, for N(∓Δ/2 e₁, I) with equal priors: in closed form."""
    from scipy.special import ndtr

    w, b = fit.log_odds()
    length = np.linalg.norm(w)
    error = sum(0.5 * ndtr(-(0.5 * separation * w[0] + sign * b) / length) for sign in (1, -1))
    return error - ndtr(-0.5 * separation)


def efficiency(separation, n, seeds):
    """Excess error of the generative fit over that of the discriminative one."""
    means = np.array([[-0.5, 0.0], [0.5, 0.0]]) * separation
    problem = Problem(means, [np.eye(2)] * 2, (0.5, 0.5))
    errors = []
    for seed in range(seeds):
        X, y = problem.sample(n, np.random.default_rng([seed, n, 7]))
        models = GaussianClassifier(), LogisticRegression()
        errors.append([excess_error(model.fit(X, y), separation) for model in models])
    generative, discriminative = np.mean(errors, axis=0)
    return float(generative / discriminative)


def sizes_of(content):
    """n = 1 000, n = 10 000: the headers of columns."""
    return [f"n = {n:,}".replace(",", " ") for n in content["sizes"]]


def posterior_table(content):
    """How far posteriors are apart, as Markdown."""
    rows = [
        (name, pair, *(f"{mean:.5f}, {tail:.5f}, {most:.4f}" for mean, tail, most in lines),
         f"{result['rates'][pair]:.2f}")
        for name, result in content["results"].items()
        for pair, lines in result["gaps"].items()
    ]  # fmt: skip
    return table(("", "posteriors: mean, 99 % quantile, largest", *sizes_of(content), "exponent of n"), rows)


def accuracy_table(content):
    """Accuracies on fresh points, as Markdown."""
    rows = [
        (name, model, *(f"{a:.2%}" for a in line))
        for name, result in content["results"].items()
        for model, line in result["accuracies"].items()
    ]
    return table(("", "accuracy on fresh points", *sizes_of(content)), rows)


def efron_table(content):
    """Excess errors beside Efron's, as Markdown."""
    rows = [(Δ, f"{content['efron'][str(Δ)]:.3f}", theory) for Δ, theory in EFRON.items()]
    header = ("means apart, sd", "excess error, generative over discriminative", "Efron 1975, table 1")
    return table(header, rows)


def main(arguments=None):
    """Print the tables; with --write also bench/results/classifiers.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--efron-seeds", type=int, default=2000)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    results = {}
    for name, settings in PROBLEMS.items():
        gaps, accuracies = compare(Problem(*settings), options.sizes, options.seeds)
        rates = {pair: rate(options.sizes, [line[0] for line in lines]) for pair, lines in gaps.items()}
        results[name] = {"gaps": gaps, "accuracies": accuracies, "rates": rates}
        print(name, "done", file=sys.stderr, flush=True)
    efron = {str(Δ): efficiency(Δ, 2000, options.efron_seeds) for Δ in EFRON}
    content = {"sizes": list(options.sizes), "seeds": options.seeds, "results": results, "efron": efron}
    print(posterior_table(content), accuracy_table(content), efron_table(content), sep="\n\n")
    if options.write:
        print(write("classifiers", content), file=sys.stderr)


if __name__ == "__main__":
    main()

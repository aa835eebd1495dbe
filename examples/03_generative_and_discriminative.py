"""A generative and a discriminative model of the same rows [T8 to T11], and what only one of them can do.

Both come to the accuracy of the exact log-odds within a hundredth; only the generative one makes new rows,
and tells a row that belongs to no class.

Takes two seconds.

Draws generative_and_discriminative.png into the directory in which it is started.
"""

import numpy as np

from minigan.models import GaussianClassifier, LogisticRegression, SoftmaxRegression

COVARIANCE = np.array([[1.0, 0.6], [0.6, 1.5]])  # of every class
TWO, FOUR = np.array([[0, 0], [2, 1]]), np.array([[0, 0], [3, 1], [-1, 3], [1, -3]])  # their means


def draw(means, n, rng):
    """n labelled rows of Gaussian classes, all equally frequent."""
    y = rng.integers(len(means), size=n)
    return means[y] + rng.standard_normal((n, 2)) @ np.linalg.cholesky(COVARIANCE).T, y


def main(n=300, figure="generative_and_discriminative.png"):
    """Fit both models to two and to four classes, print, draw; returns both fits to the two."""
    rng = np.random.default_rng(0)
    X, y = draw(TWO, n, rng)
    fits = {"generative": GaussianClassifier().fit(X, y), "discriminative": LogisticRegression().fit(X, y)}
    w = np.linalg.solve(
        COVARIANCE, TWO[1] - TWO[0]
    )  # what both look for: linear, as one covariance serves all
    lines = {"exact": (w, -0.5 * w @ TWO.sum(axis=0))} | {name: fit.log_odds() for name, fit in fits.items()}
    print(f"Two classes, {n} rows. Log-odds a(x) = w·x + b, p(C₁|x) = σ(a):")
    fresh, labels = draw(TWO, 100_000, rng)
    for name, (w, b) in lines.items():
        accuracy = ((fresh @ w + b > 0) == labels).mean()
        print(f"  {name:<15} a = {w[0]:.2f} x₁ {w[1]:+.2f} x₂ {b:+.2f}   accuracy {accuracy:.1%}")
    X4, y4 = draw(FOUR, n, rng)
    four, softmax = GaussianClassifier().fit(X4, y4), SoftmaxRegression().fit(X4, y4)
    fresh, labels = draw(FOUR, 100_000, rng)
    gap = np.abs(four.predict_proba(fresh) - softmax.predict_proba(fresh)).mean()
    print(f"Four classes, {n} rows: accuracy {four.score(fresh, labels):.1%} and "
          f"{softmax.score(fresh, labels):.1%}, posteriors {gap:.3f} apart on average.")  # fmt: skip

    model, outlier = fits["generative"], np.array([[60.0, -40.0]])
    print("Only the generative model makes new rows:", *(model.sample(3, rng)[0].round(1) + 0.0).tolist())
    log_p, p = model.log_density(outlier)[0], model.density(outlier)[0]
    print(f"and knows that x = {outlier[0].tolist()} is no such row: ln p(x) = {log_p:.0f}, p(x) = {p:.0f}.")
    for name, fit in fits.items():
        print(f"  {name:<15} ln p(C₀|x) = {fit.predict_log_proba(outlier)[0, 0]:.1f} even there")
    if figure:
        draw_figure(figure, (X, y), (X4, y4), four, lines)
    return fits


def draw_figure(path, two, fours, four, lines):
    """Two classes and the lines a = 0; the log-odds from mean to mean; four classes and their regions."""
    from matplotlib.figure import Figure

    colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
    styles = {"exact": ("#8C8C8C", "-", 4), "generative": ("k", "--", 1.5), "discriminative": ("k", ":", 2)}
    figure = Figure(figsize=(13.5, 4.3), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for ax, (X, y) in ((left, two), (right, fours)):
        for k, name in enumerate("₀₁₂₃"[: y.max() + 1]):
            ax.plot(*X[y == k].T, ".", color=colours[k], markersize=4, label=f"C{name}")
        ax.set(xlabel="x₁", ylabel="x₂", xlim=np.array(ax.get_xlim()), ylim=np.array(ax.get_ylim()))
    share, ends = np.array([-1.0, 2.0]), np.array(left.get_ylim())
    for name, (w, b) in lines.items():
        style = dict(zip(("color", "linestyle", "linewidth"), styles[name], strict=True), label=name)
        left.plot(-(w[1] * ends + b) / w[0], ends, **style, zorder=1 if name == "exact" else 3)
        middle.plot(share, (TWO[0] + share[:, None] * (TWO[1] - TWO[0])) @ w + b, **style)
    middle.axhline(0.0, color="k", linewidth=0.6)
    middle.set(xlabel="from the mean of C₀ (0) to that of C₁ (1)", ylabel="log-odds a [nats]")
    x, y = (np.linspace(*limits, 400) for limits in (right.get_xlim(), right.get_ylim()))
    regions = four.predict(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).reshape(400, 400)
    right.contourf(x, y, regions, levels=np.arange(-0.5, 4), colors=colours, alpha=0.15)
    titles = "Two classes, and where a = 0", "Their log-odds are linear", "Four classes, generative"
    for ax, title in zip((left, middle, right), titles, strict=True):
        ax.set_title(title, loc="left")
        ax.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

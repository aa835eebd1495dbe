"""Production and inference as a circle: a GAN that makes rows of a class is by Bayes' rule a classifier [T9].

A class in two parts and one between them. The generator is told which class to make; what it makes of each
is p(x | C_k), and with the priors p(C_k | x). Beside it a Gaussian classifier [T8, T9] and logistic
regression [T11], whose log-odds are straight lines and cannot part what lies on both sides; and the exact
posterior.

Takes ten seconds.

Draws classes.png into the directory in which it is started.
"""

import numpy as np

import minigan as mg
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.models import GaussianClassifier, LogisticRegression, posterior

CLASSES = {"inner": mg.Normal(0.0, 1.0), "outer": mg.parse("0.5*normal(-3, 0.6) + 0.5*normal(3, 0.6)")}
X = np.linspace(-6.0, 6.0, 801)
COLOURS = {"exact": "#8C8C8C", "from G": "#D55E00", "Gaussian": "#0072B2", "logistic": "#CC79A7"}


def draw(n, rng):
    """n labelled rows, classes being equally probable."""
    y = rng.choice(list(CLASSES), size=n)
    return np.where(y == "inner", CLASSES["inner"].sample(rng, (n,)), CLASSES["outer"].sample(rng, (n,))), y


def exact(x):
    """p(C_k | x) by the true densities."""
    return posterior(np.stack([part.log_density(x) for part in CLASSES.values()], axis=-1))


def main(n=20_000, steps=8000, fresh=50_000, figure="classes.png"):
    """Train, print, draw; returns the accuracies on fresh rows by model."""
    rng = np.random.default_rng(0)
    x, y = draw(n, rng)
    run = mg.fit(x, y=y, steps=steps, holdout=0.0, eval_samples=min(10_000, fresh), progress=False)
    models = {
        "exact": exact,
        "from G": run.posterior,
        "Gaussian": GaussianClassifier().fit(x[:, None], y).predict_proba,
        "logistic": LogisticRegression().fit(x[:, None], y).predict_proba,
    }
    models = {name: (model if name in ("exact", "from G") else lambda x, p=model: p(x[:, None]))
              for name, model in models.items()}  # fmt: skip
    new, labels = draw(fresh, rng)
    right = labels[:, None] == np.array(run.classes)
    print(f"{n} rows trained each, {fresh} new ones judge: accuracy, and mean |p(C | x) − exact|")
    accuracies = {}
    for name, model in models.items():
        p = model(new)
        accuracies[name] = float(right[np.arange(fresh), p.argmax(axis=1)].mean())
        print(f"  {name:<9} {accuracies[name]:6.1%}   {np.abs(p - exact(new)).mean():.3f}")
    print("Only the generative models make rows, and of them only the generator these:")
    for name in run.classes:
        print(f"  {name}: {run.sample(6, condition=name)[:, 0].round(1).tolist()}")
    if figure:
        draw_figure(figure, run, models)
    return accuracies


def draw_figure(path, run, models):
    """Densities of both classes and of what is made; the posteriors; D of each class beside D*."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13.5, 4.3), layout="constrained")
    left, middle, right = page.subplots(1, 3)
    for name, style in zip(run.classes, ("-", "--"), strict=True):
        p, q = CLASSES[name].density(X), run.density(X, condition=name)
        left.fill_between(X, p, color="#0072B2", alpha=0.2, linewidth=0)
        left.plot(X, q, color="#D55E00", linestyle=style, label=f"q(x | {name})")
        seen = p + q > 1e-3
        right.plot(X[seen], run.discriminator(X[seen], condition=name), color="#009E73", linestyle=style,
                   label=f"D(x, {name})")  # fmt: skip
        right.plot(X[seen], optimal_discriminator(p, q)[seen], color="k", linewidth=0.8, linestyle=style)
    for name, model in models.items():
        wide = 4 if name == "exact" else 1.6
        middle.plot(X, model(X)[:, 1], color=COLOURS[name], linewidth=wide, label=name)
    left.set(xlabel="x", title="p(x | C) (blue) and what G makes")
    middle.set(xlabel="x", ylim=(-0.02, 1.02), title=f"p({run.classes[1]} | x)")
    right.set(xlabel="x", ylim=(0, 1), title="D(x, k), and thin D*(x, k) of the averaged G")
    for ax in (left, middle, right):
        ax.legend(fontsize=8, frameon=False)
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

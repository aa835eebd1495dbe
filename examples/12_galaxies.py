"""Galaxies from noise: a GAN learns small images of a telescope [T17]; astronomers' measures judge it.

Its generator makes images without noise; the sky's known noise is added before the discriminator sees them
(Bora, Price & Dimakis 2018), so that no network has to imitate it. With your own images, N rows of size²
pixels in an .npy file, `minigan train --data FILE --set observation_noise=SD` does the same.

Takes about three minutes: two of training, one in which Sérsic profiles are fitted.

Draws galaxies.png into the directory in which it is started.
"""

import numpy as np

from minigan.evaluation import ks_two_sample
from minigan.evaluation.classifier_test import classifier_two_sample_test
from minigan.evaluation.morphology import fit_sersic, measure
from minigan.probability import parse
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve


def measurements(images, fitted):
    """{name: values}: what is seen on all images, and the Sérsic index of as many as are to be fitted."""
    seen = measure(images)
    index = fit_sersic(images[:fitted], tolerance=1e-4).light.index
    return {"flux (counts)": seen.flux, "half-light radius (pixels)": seen.radius,
            "ellipticity": seen.ellipticity, "Sérsic index": index}  # fmt: skip


def main(steps=None, count=10_000, fitted=1000, figure="galaxies.png"):
    """Train, measure real and generated images, draw; returns {name: KS} with the judge's "accuracy"."""
    config = resolve("galaxy-images", environ={}, sets=() if steps is None else (f"steps={steps}",))
    experiment, rng = Experiment(config), np.random.default_rng(1)
    print(f"training for {config.steps} steps, about two minutes …", flush=True)
    experiment.advance(config.steps)
    made, real = experiment.sample(count), parse(config.target).fresh(rng, count)

    judge = classifier_two_sample_test(real, made, rng)
    print(f"a judge tells {judge.n_test} images right in {judge.accuracy:.1%}; guessing: {judge.perfect:.0%}")
    seen, told = (measurements(images, fitted) for images in (real, made))
    found = {"accuracy": judge.accuracy}
    print(f"{'':28}{'real: median, 90 % within':>32}{'generated':>26}{'KS':>8}{'p':>9}")
    for name, values in seen.items():
        test = ks_two_sample(told[name], values)
        found[name] = test.statistic
        low, middle, high = zip(
            *(np.quantile(v, [0.05, 0.5, 0.95]) for v in (values, told[name])), strict=True
        )
        columns = [f"{m:8.2f}  ({a:6.2f} to {b:6.2f})" for m, a, b in zip(middle, low, high, strict=True)]
        print(f"{name:28}{columns[0]:>32}{columns[1]:>26}{test.statistic:8.3f}{test.pvalue:9.2g}")
    if figure is not None:
        draw(real, made, seen, told, figure)
        print(f"drawn into {figure}")
    return found


def draw(real, made, seen, told, path, side=10):
    """Real and generated images side by side, and a histogram of each measurement below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pixels = int(real.shape[1] ** 0.5)
    page, axes = plt.subplot_mosaic("AABB;AABB;CDEF", figsize=(12, 9.2), height_ratios=(1, 1, 0.75),
                                    layout="constrained")  # fmt: skip
    for key, images, title in (("A", real, "real"), ("B", made, "generated")):
        tiles = images[: side * side].reshape(side, side, pixels, pixels)
        picture = tiles.transpose(0, 2, 1, 3).reshape(side * pixels, -1)
        axes[key].imshow(picture, cmap="gray", vmin=-0.1, vmax=np.quantile(real.max(1), 0.6))
        axes[key].set_title(title)
        axes[key].axis("off")
    for key, (name, values) in zip("CDEF", seen.items(), strict=True):
        edges = np.linspace(*np.quantile(values, [0.002, 0.998]), 40)
        axes[key].hist(values, edges, density=True, color="#0072B2", alpha=0.35, label="real")
        axes[key].hist(told[name], edges, density=True, histtype="step", color="#D55E00", label="generated")
        axes[key].set_xlabel(name)
        axes[key].set_yticks([])
    axes["C"].legend(frameon=False)
    page.savefig(path, dpi=120)
    plt.close(page)


if __name__ == "__main__":
    main()

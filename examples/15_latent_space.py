"""What G makes of z: latent space, and what a latent distribution can and cannot become [T14].

Of one number that makes one feature there is one rising map from z to x under which x has the distribution
of the data, T = F⁻¹∘Φ: what optimal transport would choose. A GAN asks for the distribution alone, so that G
may fall as well, or fold; it is drawn beside what each latent has learned.

    uniform    has ends: G must stretch them without end for a tail, and a network does not
    normal     has the tails of a normal target; heavier ones ask for slopes that grow without end
    student    heavy-tailed: G may do nothing, and has the tails of a heavy-tailed target; for light ones it
               has to press far latents together
    many       several normal numbers: no map to draw, no density in a formula; folds are not needed where
               there is another dimension to go around
    narrow     one number for two features: a curve, which has no area and no density, whatever G is

Takes half a minute.

Draws latent_space.png into the directory in which it is started.
"""

import numpy as np

import minigan as mg
from minigan.evaluation.two_sample import ks_one_sample

TARGETS = {"normal": mg.Normal(0, 1), "student": mg.StudentT(3), "two modes": mg.parse(
    "0.5*normal(-2, 0.5) + 0.5*normal(2, 0.5)"
)}  # fmt: skip
LATENTS = {  # the distribution of each latent number, and how many there are
    "uniform": (mg.Uniform(-1, 1), 1),
    "normal": (mg.Normal(0, 1), 1),
    "student": (mg.StudentT(3), 1),
    "many": (mg.Normal(0, 1), 8),
}
COLOURS = {"uniform": "#0072B2", "normal": "#D55E00", "student": "#009E73", "many": "#CC79A7"}
TAIL = 1e-3  # how much of the target lies beyond what is called its tail, on both sides together


class Trained:
    """G from a latent distribution to a target, trained by the plain game with R1 and R2."""

    def __init__(self, latent, size, target, steps, batch=256, seed=0):
        self.latent, self.size, features = latent, size, getattr(target, "features", 1)
        rng = np.random.default_rng(seed)
        self.unit = 1.0 if features > 1 else float(np.diff(target.quantile([0.25, 0.75]))[0] / 1.349)
        G = mg.mlp((size, 32, 32, features), activation="silu", rngs=np.random.default_rng([seed, 1]))
        D = mg.mlp((features, 32, 32, 1), activation="leaky_relu", rngs=np.random.default_rng([seed, 2]))
        average = mg.Average(G.parameters)
        optimizers = [mg.Adam(network.parameters, 0.005, beta1=0.0) for network in (G, D)]
        game = mg.Game(G, D, *optimizers, penalties=[mg.R1(0.1), mg.R2(0.1)], average=average)
        factors = mg.Schedule("cosine", steps)(np.arange(steps)).astype("float32")[:, None]
        weights = mg.Averaging("tail", steps, start=0.5)(np.arange(steps)).astype("float32")[:, None]
        self.G = G.with_parameters(average.parameters)

        def round_(real, for_d, for_g, factor, weight):
            return game.round(mg.Batch(real, for_d, for_g), factor, weight)

        def drawn(count):
            real = (target.sample(rng, (count, 1, batch)) / self.unit).reshape(count, 1, batch, features)
            zs = (self.z(rng, (count, 1, batch)) for _ in "DG")
            return [mg.constant(a.astype("float32")) for a in (real, *zs)]

        first = [*(mg.constant(a.memory[0]) for a in drawn(1)), *map(mg.constant, (factors[0], weights[0]))]
        program, done = mg.capture(round_, *first, state=game.state), 1
        while done < steps:
            count = min(50, steps - done)
            rest = (mg.constant(a[done : done + count]) for a in (factors, weights))
            program.each(*drawn(count), *rest)
            done += count

    def z(self, rng, shape):
        """Latent vectors."""
        return self.latent.sample(rng, (*shape, self.size))

    def make(self, z):
        """G(z) in the target's units."""
        return self.G(mg.constant(z.astype("float32"))).numpy().astype("float64") * self.unit

    def sample(self, count, seed=1):
        """Rows."""
        return self.make(self.z(np.random.default_rng(seed), (count,)))


def transport(target, latent, z):
    """The rising map that optimal transport chooses: F⁻¹(Φ(z)), Φ being the latent's CDF."""
    return target.quantile(np.clip(latent.cdf(z), 1e-9, 1 - 1e-9))


def main(steps=2500, count=20_000, figure="latent_space.png"):
    """Train every latent on every target, print, draw; returns {(target, latent): (KS, tail)}."""
    print(f"{'target':<10} {'latent':<8} {'KS':>7} {'beyond the last 1 in 1000':>26}   (a perfect sampler: "
          f"{0.83 / np.sqrt(count):.4f}, 0.10 %)")  # fmt: skip
    found, kept = {}, {}
    for name, target in TARGETS.items():
        ends = target.quantile([TAIL / 2, 1 - TAIL / 2])
        for latent, (each, size) in LATENTS.items():
            trained = kept[name, latent] = Trained(each, size, target, steps)
            x = trained.sample(count)[:, 0]
            ks, tail = ks_one_sample(x, target).statistic, float(((x < ends[0]) | (x > ends[1])).mean())
            found[name, latent] = ks, tail
            print(f"{name:<10} {latent:<8} {ks:7.4f} {tail:26.2%}")
    plane = mg.parse("ring(8, 1, 0.1)")
    narrow = {size: Trained(mg.Normal(0, 1), size, plane, steps) for size in (1, 2)}
    print("ring of 8   one latent number makes a curve, two make an area: drawn")
    if figure:
        draw(figure, kept, narrow, plane)
    return found


def draw(path, kept, narrow, plane):
    """G beside the transport map for each target and latent of one number; tails; a curve and an area."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(15, 10.5), layout="constrained")
    axes = page.subplots(len(TARGETS) + 1, 4)
    for row, (name, target) in zip(axes, TARGETS.items(), strict=False):
        low, high = target.quantile([2e-4, 1 - 2e-4])
        for ax, (latent, (each, size)) in zip(row, LATENTS.items(), strict=False):
            trained = kept[name, latent]
            if size == 1:
                z = each.quantile(np.linspace(2e-4, 1 - 2e-4, 1500))
                ax.plot(z, transport(target, each, z), "k--", linewidth=1.2, label="optimal transport")
                ax.plot(z, trained.make(z[:, None])[:, 0], color=COLOURS[latent], label="G")
                ax.set(xlabel=f"z, {latent}", ylim=(1.25 * low, 1.25 * high))
            else:
                x = np.linspace(1.1 * low, 1.1 * high, 81)
                ax.fill_between(x, target.density(x), color="#0072B2", alpha=0.25, linewidth=0, label="p")
                heights, edges = np.histogram(trained.sample(20_000)[:, 0], x, density=True)
                ax.stairs(heights, edges, color=COLOURS[latent], label=f"{size} latents")
                ax.set(xlabel="x")
            ax.legend(fontsize=8, frameon=False)
        row[0].set_ylabel(f"x, {name}")
    tails, *planes = axes[-1][:3]
    for latent in LATENTS:
        x = np.sort(np.abs(kept["student", latent].sample(20_000)[:, 0]))[::-1]
        tails.loglog(x[:2000], (np.arange(2000) + 1) / 20_000, color=COLOURS[latent], label=latent)
    x = np.geomspace(1, 100, 50)
    tails.loglog(x, 2 * TARGETS["student"].survival(x), "k--", label="target, student")
    tails.set(xlabel="x", ylabel="share of |values| beyond x", ylim=(3e-5, 0.3), xlim=(1, 100))
    tails.legend(fontsize=8, frameon=False)
    for ax, (size, trained) in zip(planes, narrow.items(), strict=True):
        ax.plot(*plane.sample(np.random.default_rng(2), (1500,)).T, ".", color="#0072B2", markersize=2)
        ax.plot(*trained.sample(1500).T, ".", color="#D55E00", markersize=2)
        ax.set(title=f"two features from {size} latent number{'s' * (size > 1)}", aspect="equal")
    axes[-1][3].set_axis_off()
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

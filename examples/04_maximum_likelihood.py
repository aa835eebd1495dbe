"""Maximum likelihood beside the GAN: the best normal distribution three times, and what others prefer.

By formula, by gradients and by a game that plays for KL(p‖q), each ends at the mean and sd of the data, which
cover both modes; the least KL(q‖p) takes one mode and leaves the other.

Takes four seconds.

Draws maximum_likelihood.png into the directory in which it is started.
"""

import numpy as np

import minigan as mg
from minigan.models.likelihood import closest_normal, fit_by_gradient, fit_normal, mean_log_likelihood

BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "black"  # data, generated, what theory says: as on every page
SHOWN = {
    "maximum likelihood, closed form": (BLACK, "-"),
    "a GAN that plays for the KL": (ORANGE, "--"),
    "least KL(q‖p), exactly": ("#009E73", "-"),
    "a local minimum of KL(q‖p)": ("#009E73", ":"),
}


def adversarial_normal(x, objective, steps, batch=256):
    """The distribution μ + σz that a game finds without ever computing a likelihood."""
    rng = np.random.default_rng(1)

    def noise(*shape):
        return rng.standard_normal(shape, dtype="float32")

    G = mg.mlp((1, 1), rngs=rng)  # x = σz + μ
    D = mg.mlp((1, 32, 32, 1), activation="tanh", rngs=rng)
    average = mg.Average(G.parameters)
    game = mg.Game(G, D, mg.Adam(G.parameters, 3e-3, 0.5, 0.99), mg.Adam(D.parameters, 5e-3, 0.5, 0.99),
                   objective=objective, average=average)  # fmt: skip
    factor, weight = mg.Schedule("cosine", steps, final=0.05), mg.Averaging("tail", steps, start=0.5)
    shift, scale = x.mean(), x.std()
    program = None
    for t in range(steps):
        real = ((rng.choice(x, (1, batch, 1)) - shift) / scale).astype("float32")
        numbers = [np.array([f(t)], "float32") for f in (factor, weight)]
        inputs = mg.Batch(real, noise(1, batch, 1), noise(1, batch, 1)), *numbers
        if program is None:
            program = mg.capture(game.round, *inputs, state=game.state)
        else:
            program(*inputs)
    μ, σ = (average.parameters[name].item() for name in ("0.b", "0.W"))
    return mg.Normal(shift + scale * μ, scale * abs(σ))


def main(steps=3000, figure=None):
    """Fit a normal distribution to two modes in four ways; returns the distributions."""
    p = mg.parse("0.35*normal(-2, 0.5) + 0.65*normal(2, 0.8)")
    x = p.sample(np.random.default_rng(0), (5000,))
    reverse = closest_normal("reverse_kl", p)
    distributions = {
        "maximum likelihood, closed form": fit_normal(x),  # [T12]: forward KL, from the data
        "maximum likelihood, by the engine": fit_by_gradient(x),
        "a GAN that plays for the KL": adversarial_normal(x, "kl", steps),  # [T13]: p_θ is never evaluated
        "least KL(p‖q), exactly": closest_normal("kl", p).distribution,
        "least KL(q‖p), exactly": reverse.distribution,
        "a local minimum of KL(q‖p)": reverse.others[0][0],
    }
    print(f"{'':34}    μ       σ     ⟨ln p_θ⟩ of the data")
    for name, made in distributions.items():
        print(f"{name:34} {made.mean:6.3f}  {made.sd:6.3f}   {mean_log_likelihood(made, x):8.4f}")
    mixture = fit_by_gradient(x, 2)
    parts = zip(mixture.weights, mixture.components, strict=True)
    made = " + ".join(f"{weight:.3f} normal({c.mean:.3f}, {c.sd:.3f})" for weight, c in parts)
    print(f"two components, by the engine: {mean_log_likelihood(mixture, x):.4f} with {made}")
    if figure is not None:
        draw(p, x, distributions, figure)
    return distributions


def draw(p, x, distributions, path):
    """The forward KL covers both modes, the reverse KL takes one of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    t, picture = np.linspace(-4.5, 4.5, 600), Figure((9.5, 4), layout="constrained")
    axes = picture.subplots()
    axes.hist(x, 80, density=True, color=BLUE, alpha=0.2, label="data")
    axes.plot(t, p.density(t), color=BLUE, lw=2.5, label="p")
    for name, (color, dashes) in SHOWN.items():
        axes.plot(t, distributions[name].density(t), color=color, ls=dashes, lw=2, label=name)
    axes.set(xlabel="x", ylabel="density", title="KL(p‖q) covers all modes, KL(q‖p) seeks one")
    picture.legend(loc="outside right upper", frameon=False, fontsize=8)
    FigureCanvasAgg(picture).print_figure(path, dpi=150)


if __name__ == "__main__":
    main(figure="maximum_likelihood.png")

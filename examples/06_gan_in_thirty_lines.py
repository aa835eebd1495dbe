"""A GAN with the engine: networks, optimisers, a game, a verdict. The command line does this and more.

Takes three seconds, and ends with a verdict: KS to N(4, 1.25) is about that of a perfect sampler, 0.008.
"""

import numpy as np

import minigan as mg
from minigan.evaluation import judge


def main(steps=4000, batch=256):
    """Train on N(4, 1.25); returns the verdict on 10 000 generated values."""
    rng, target = np.random.default_rng(0), mg.Normal(4.0, 1.25)

    def noise(*shape):
        return rng.standard_normal(shape, dtype="float32")

    G = mg.mlp((1, 32, 32, 1), activation="silu", rngs=rng)
    D = mg.mlp((1, 32, 32, 1), activation="leaky_relu", rngs=rng)
    average = mg.Average(G.parameters)
    game = mg.Game(G, D, mg.Adam(G.parameters, 1e-3, 0.0, 0.99), mg.Adam(D.parameters, 2e-3, 0.0, 0.99),
                   penalties=(mg.R1(0.5), mg.R2(0.5)), average=average)  # fmt: skip
    factor, weight = mg.Schedule("cosine", steps, hold=0.5), mg.Averaging("tail", steps, start=0.5)

    seen = target.sample(rng, (10_000,))
    shift, scale = seen.mean(), seen.std()  # the networks work in units of the data
    program = None
    for t in range(steps):
        x = ((target.sample(rng, (1, batch, 1)) - shift) / scale).astype("float32")
        numbers = [np.array([f(t)], "float32") for f in (factor, weight)]
        inputs = mg.Batch(x, noise(1, batch, 1), noise(1, batch, 1)), *numbers
        if program is None:
            program = mg.capture(game.round, *inputs, state=game.state)  # the first step, recorded
        else:
            program(*inputs)  # every later step is a replay

    generated = G.with_parameters(average.parameters)(mg.constant(noise(10_000, 1))).numpy()
    verdict = judge(generated[:, 0] * scale + shift, target, rng)
    print(verdict.sentence)
    return verdict


if __name__ == "__main__":
    main()

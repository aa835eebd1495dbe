"""Every objective and method of the game beside the same game on HIPS autograd, an independent engine.

The oracle below knows two flat arrays of parameters and the papers' formulas; its derivatives, of any order,
are autograd's. Both play a few rounds on the same batches.
"""

import numpy as np
import pytest

from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant
from minigan.gan.game import Game
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.orders import Batch
from minigan.gan.orders import order as order_called
from minigan.gan.penalties import PENALTIES
from minigan.nn.network import mlp
from minigan.nn.optim import SGD, Adam

autograd = pytest.importorskip("autograd", reason="the oracle needs the package autograd")
anp = pytest.importorskip("autograd.numpy", reason="the oracle needs the package autograd")

BATCH, LATENT, FEATURES = 8, 3, 2
RATES = {"discriminator": 0.05, "generator": 0.04}
BETAS, EPSILON = (0.5, 0.9), 1e-8


# ── the oracle ────────────────────────────────────────────────────────────────────────────────────
def softplus(a):
    return anp.logaddexp(0.0, a)


def margin(a):
    return anp.maximum(0.0, a)


CURVES = {  # of real, of generated data, of G; written down anew
    "minimax": (lambda a: softplus(-a), softplus, lambda a: -softplus(a)),
    "non_saturating": (lambda a: softplus(-a), softplus, lambda a: softplus(-a)),
    "least_squares": (lambda a: (a - 1) ** 2 / 2, lambda a: a**2 / 2, lambda a: (a - 1) ** 2 / 2),
    "hinge": (lambda a: margin(1 - a), lambda a: margin(1 + a), lambda a: -a),
    "wasserstein": (lambda a: -a, lambda a: a, lambda a: -a),
    "kl": (lambda a: -(1 + a), lambda a: anp.exp(a), lambda a: -anp.exp(a)),
    "reverse_kl": (lambda a: anp.exp(-a), lambda a: a - 1, lambda a: 1 - a),
    "js": (
        lambda a: softplus(-a) - anp.log(2.0),
        lambda a: -anp.log(2 - 2 / (1 + anp.exp(-a))),
        lambda a: anp.log(2 - 2 / (1 + anp.exp(-a))),
    ),
    "jeffrey": (
        lambda a: -(1 + a - anp.exp(-a)),
        lambda a: anp.exp(a) + a - 1,
        lambda a: -(anp.exp(a) + a - 1),
    ),
    "pearson": (lambda a: -a, lambda a: a**2 / 4 + a, lambda a: -(a**2) / 4 - a),
    "squared_hellinger": (
        lambda a: -(1 - anp.exp(-a)),
        lambda a: (1 - anp.exp(-a)) / anp.exp(-a),
        lambda a: -(1 - anp.exp(-a)) / anp.exp(-a),
    ),
    "total_variation": (
        lambda a: -anp.tanh(a) / 2,
        lambda a: anp.tanh(a) / 2,
        lambda a: -anp.tanh(a) / 2,
    ),
    "alpha(0.5, 1)": (lambda a: anp.exp(-a), anp.exp, lambda a: -softplus(a)),
    "alpha_ns(0.5, 1)": (lambda a: anp.exp(-a), anp.exp, lambda a: softplus(-a)),
}


def network(flat, sizes, x):
    """Dense layers with tanh between them; flat holds W and b of each in turn."""
    start = 0
    for k, (n, m) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        W, b = flat[start : start + n * m].reshape((n, m)), flat[start + n * m : start + (n + 1) * m]
        x, start = anp.dot(x, W) + b, start + (n + 1) * m
        if k < len(sizes) - 2:
            x = anp.tanh(x)
    return x


class AdamByHand:
    """Kingma & Ba 2015, algorithm 1, on NumPy arrays."""

    def __init__(self, rate):
        self.rate, self.m, self.v, self.t = rate, 0.0, 0.0, 0

    def step(self, w, g):
        (b1, b2), self.t = BETAS, self.t + 1
        self.m, self.v = b1 * self.m + (1 - b1) * g, b2 * self.v + (1 - b2) * g**2
        m, v = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        return w - self.rate * m / (np.sqrt(v) + EPSILON)


class SGDByHand:
    def __init__(self, rate):
        self.rate = rate

    def step(self, w, g):
        return w - self.rate * g


class Oracle:
    """The game of two flat arrays, ψ of D and θ of G."""

    def __init__(self, ψ, θ, sizes, rule, objective, order, packing, steps, **weights):
        self.ψ, self.θ, (self.sizes_d, self.sizes_g) = ψ, θ, sizes
        self.d, self.g = rule(RATES["discriminator"]), rule(RATES["generator"])
        self.objective, self.order, self.packing, self.steps = objective, order, packing, steps
        self.weights = weights

    def weight(self, name):
        return self.weights.get(name, 0.0)

    def D(self, ψ, x):
        return network(ψ, self.sizes_d, x.reshape((len(x) // self.packing, -1)))

    def G(self, θ, z, noise):
        return network(θ, self.sizes_g, z) + noise

    def loss_d(self, ψ, x, made, mix):
        a, b = self.D(ψ, x), self.D(ψ, made)
        if self.objective == "relativistic":
            loss = anp.mean(softplus(b - a))
        else:
            real, fake, _ = CURVES[self.objective]
            loss = anp.mean(real(a)) + anp.mean(fake(b))

        def slope(at):
            rows = at.reshape((len(at) // self.packing, -1))
            return autograd.elementwise_grad(lambda rows: network(ψ, self.sizes_d, rows))(rows)

        def square(at):
            return anp.sum(slope(at) ** 2, axis=1)

        if self.weight("r1"):
            loss = loss + self.weight("r1") / 2 * anp.mean(square(x))
        if self.weight("r2"):
            loss = loss + self.weight("r2") / 2 * anp.mean(square(made))
        between = x + np.repeat(1 - mix, self.packing, axis=0) * (made - x)
        if self.weight("wgan_gp"):
            loss = loss + self.weight("wgan_gp") * anp.mean((anp.sqrt(square(between)) - 1) ** 2)
        if self.weight("zero_gp"):
            loss = loss + self.weight("zero_gp") * anp.mean(square(between))
        return loss

    def loss_g(self, θ, ψ, z, x, noise, mix):
        made = self.G(θ, z, noise)
        for _ in range(self.weight("unrolled") or 0):
            ψ = ψ - self.weight("unrolled_rate") * autograd.grad(self.loss_d)(ψ, x, made, mix)
        if self.objective == "relativistic":
            return anp.mean(softplus(self.D(ψ, x) - self.D(ψ, made)))
        return anp.mean(CURVES[self.objective][2](self.D(ψ, made)))

    def move_d(self, ψ, g):
        ψ, c = self.d.step(ψ, g), self.weight("clip")
        return np.clip(ψ, -c, c) if c else ψ

    def round(self, real, latent_d, latent_g, mix, noise_x, noise_d, noise_g):
        real = real + noise_x
        if self.order == "alternating":
            for k in range(self.steps[0]):
                made = self.G(self.θ, latent_d[k], noise_d[k])
                at = real[k], made, mix[k]
                loss_d = self.loss_d(self.ψ, *at)
                self.ψ = self.move_d(self.ψ, autograd.grad(self.loss_d)(self.ψ, *at))
            for k in range(self.steps[1]):
                at = self.ψ, latent_g[k], real[-1], noise_g[k], mix[-1]
                loss_g = self.loss_g(self.θ, *at)
                self.θ = self.g.step(self.θ, autograd.grad(self.loss_g)(self.θ, *at))
            return loss_d, loss_g

        def both(ψ, θ):
            made = self.G(θ, latent_d[0], noise_d[0])
            loss_d = self.loss_d(ψ, real[0], made, mix[0])
            return loss_d, self.loss_g(θ, ψ, latent_g[0], real[0], noise_g[0], mix[0])

        def slopes(ψ, θ):
            return autograd.grad(lambda ψ: both(ψ, θ)[0])(ψ), autograd.grad(lambda θ: both(ψ, θ)[1])(θ)

        def pull(ψ, θ):
            v_d, v_g = slopes(ψ, θ)
            return self.weight("consensus") / 2 * (anp.sum(v_d**2) + anp.sum(v_g**2))

        ψ, θ = self.ψ, self.θ
        if self.order == "extragradient":
            v_d, v_g = slopes(ψ, θ)
            ψ, θ = self.move_d(ψ, v_d), self.g.step(θ, v_g)
        losses, (v_d, v_g) = both(ψ, θ), slopes(ψ, θ)
        if self.weight("consensus"):
            v_d = v_d + autograd.grad(pull, 0)(ψ, θ)
            v_g = v_g + autograd.grad(pull, 1)(ψ, θ)
        self.ψ, self.θ = self.move_d(self.ψ, v_d), self.g.step(self.θ, v_g)
        return losses


# ── both games ────────────────────────────────────────────────────────────────────────────────────
def batches(rounds, steps, packing, noise, seed=3):
    rng = np.random.default_rng(seed)
    k_d, k_g = steps
    for _ in range(rounds):
        yield {
            "real": 0.5 + 0.8 * rng.standard_normal((k_d, BATCH, FEATURES)),
            "latent_d": rng.standard_normal((k_d, BATCH, LATENT)),
            "latent_g": rng.standard_normal((k_g, BATCH, LATENT)),
            "mix": rng.random((k_d, BATCH // packing, 1)),
            "noise_x": noise * rng.standard_normal((k_d, BATCH, FEATURES)),
            "noise_d": noise * rng.standard_normal((k_d, BATCH, FEATURES)),
            "noise_g": noise * rng.standard_normal((k_g, BATCH, FEATURES)),
        }


def both_games(
    backend, objective="non_saturating", order="alternating", packing=1, steps=(1, 1), rule="sgd", **weights
):
    sizes = (FEATURES * packing, 6, 5, 1), (LATENT, 6, FEATURES)
    D, G = (
        mlp(s, rngs=np.random.default_rng(seed), backend=backend, dtype="float64")
        for s, seed in zip(sizes, (1, 2), strict=True)
    )

    def optimizer(network, player):
        if rule == "sgd":
            return SGD(network.parameters, RATES[player])
        return Adam(network.parameters, RATES[player], *BETAS, EPSILON)

    optimizers = optimizer(G, "generator"), optimizer(D, "discriminator")
    options = {"discriminator_steps": steps[0], "generator_steps": steps[1], "objective": objective}
    options |= {name: w for name, w in weights.items() if name not in (*PENALTIES, "consensus")}
    penalties = [PENALTIES[name](w) for name, w in weights.items() if name in PENALTIES]
    played = order_called(order, weights.get("consensus", 0.0))
    game = Game(G, D, *optimizers, penalties=penalties, order=played, **options)
    by_hand = SGDByHand if rule == "sgd" else AdamByHand
    start = D.parameters.flat.numpy(), G.parameters.flat.numpy()
    return game, Oracle(*start, sizes, by_hand, objective, order, packing, steps, **weights)


def check(backend, *, rounds=2, noise=0.0, **options):
    game, oracle = both_games(backend, **options)
    for arrays in batches(rounds, oracle.steps, oracle.packing, noise):
        played = game.round(Batch(**{name: Tensor(backend.array(a)) for name, a in arrays.items()}))
        expected = oracle.round(**arrays)
        losses = [loss.item() for loss in played]
        np.testing.assert_allclose(losses, expected, rtol=1e-9, atol=1e-11)
        for ours, its in ((game.discriminator, oracle.ψ), (game.generator, oracle.θ)):
            np.testing.assert_allclose(ours.parameters.flat.numpy(), its, rtol=1e-7, atol=1e-9)
    return game, oracle


def test_the_oracle_knows_every_objective():
    assert {*CURVES, "relativistic"} == set(OBJECTIVES)


@pytest.mark.rows("order", ["alternating", "extragradient"])
@pytest.mark.rows("objective", OBJECTIVES)
def test_every_objective(backend, objective, order):
    check(backend, objective=objective, order=order)


METHODS = {
    "R1 and R2": {"r1": 0.7, "r2": 0.3},
    "WGAN-GP": {"objective": "wasserstein", "wgan_gp": 10.0},
    "zero-centred GP": {"zero_gp": 2.0},
    "all penalties": {"r1": 0.2, "r2": 0.3, "wgan_gp": 0.4, "zero_gp": 0.5},
    "clipping": {"objective": "wasserstein", "clip": 0.3, "steps": (3, 1)},
    "simultaneous": {"order": "simultaneous", "r1": 0.5},
    "extragradient": {"order": "extragradient", "r1": 0.5, "wgan_gp": 0.5},
    "extragradient, clipped": {"order": "extragradient", "clip": 0.3},
    "consensus": {"order": "simultaneous", "consensus": 0.6},
    "consensus of a saturating game": {"order": "simultaneous", "consensus": 0.6, "objective": "minimax"},
    "consensus, R1, R2": {"order": "simultaneous", "consensus": 0.4, "r1": 0.5, "r2": 0.5},
    "consensus, WGAN-GP": {"order": "simultaneous", "consensus": 0.4, "wgan_gp": 0.3},
    "consensus of pairs": {"order": "simultaneous", "consensus": 0.4, "objective": "relativistic"},
    "unrolled once": {"unrolled": 1, "unrolled_rate": 0.3},
    "unrolled": {"unrolled": 3, "unrolled_rate": 0.2, "objective": "minimax"},
    "unrolled with penalties": {"unrolled": 2, "unrolled_rate": 0.2, "r1": 0.3, "r2": 0.3, "wgan_gp": 0.2},
    "unrolled pairs": {"unrolled": 2, "unrolled_rate": 0.2, "objective": "relativistic"},
    "unrolled, more steps": {"unrolled": 2, "unrolled_rate": 0.2, "steps": (2, 3), "zero_gp": 0.4},
    "unrolled at once": {"unrolled": 2, "unrolled_rate": 0.2, "order": "simultaneous"},
    "pairs": {"objective": "relativistic", "r1": 0.5, "r2": 0.5, "steps": (3, 2)},
    "packs of two": {"packing": 2},
    "packs of four": {"packing": 4, "r1": 0.5, "r2": 0.5, "wgan_gp": 0.3},
    "packs of pairs": {"packing": 2, "objective": "relativistic", "unrolled": 1, "unrolled_rate": 0.2},
    "noise": {"noise": 0.4, "r1": 0.5, "zero_gp": 0.5, "steps": (2, 2)},
    "noise at once": {"noise": 0.4, "order": "simultaneous", "consensus": 0.2},
    "noise, extragradient": {"noise": 0.4, "order": "extragradient"},
}  # fmt: skip


def test_the_oracle_knows_every_penalty():
    assert METHODS["all penalties"].keys() == PENALTIES.keys()


@pytest.mark.parametrize(("name", "first"), [(name, k % 2) for k, name in enumerate(METHODS)])
def test_every_method(backend, name, first):
    """With SGD on one device, with Adam on the others, where extragradient is Gidel's ExtraAdam."""
    check(backend, rule="sgd" if (backend.name == "numpy") == first else "adam", **METHODS[name])


@pytest.mark.rows(
    ("name", "change"),
    [
        ("consensus", {"consensus": 0.3}), ("unrolled", {"unrolled": 2}), ("WGAN-GP", {"wgan_gp": 5.0}),
        ("unrolled", {"unrolled_rate": 0.1}), ("zero-centred GP", {"zero_gp": 1.0}),
        ("clipping", {"clip": 0.2}), ("R1 and R2", {"r2": 0.0}),
    ],
)  # fmt: skip
def test_the_comparison_can_fail(backend, name, change):
    """The oracle notices every weight."""
    game, oracle = both_games(backend, **METHODS[name])
    oracle.weights |= change
    arrays = next(batches(1, oracle.steps, oracle.packing, 0.0))
    game.round(Batch(**{name: Tensor(backend.array(a)) for name, a in arrays.items()}))
    oracle.round(**arrays)
    ours = np.concatenate([n.parameters.flat.numpy() for n in (game.discriminator, game.generator)])
    assert np.abs(ours - np.concatenate([oracle.ψ, oracle.θ])).max() > 1e-5


def test_unrolling_changes_what_g_wants(backend):
    """The same point, the same batch: with and without the imagined steps the gradients differ."""
    arrays = next(batches(1, (1, 1), 1, 0.0))
    batch = {name: constant(backend.array(a[0])) for name, a in arrays.items()}
    gradients = []
    for unrolled in (0, 1, 5):
        game, _ = both_games(backend, unrolled=unrolled, unrolled_rate=0.3)
        loss = game.generator_loss(batch["latent_g"], batch["real"])
        gradients.append(np.concatenate([g.numpy().ravel() for g in grad(loss, game.generator.parameters)]))
    sizes = [
        np.abs(a - b).max() / np.abs(a).max() for a, b in zip(gradients[:-1], gradients[1:], strict=True)
    ]
    assert min(sizes) > 1e-2

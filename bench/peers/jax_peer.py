"""JAX: one compiled call per step, and many steps in one by lax.scan."""

from bench.peers.common import BETA1, BETA2, EPSILON, MEAN, RATE, SD, Variant, split, width_of

DISTRIBUTION = "jax"
DRAWN = 2**14  # samples drawn for one compiled scan of up to 64 steps


def variants(batch, width, threads):
    """Each step a call; scans that draw all their numbers first, or in every step."""
    return {
        "jit per step": Variant(lambda *given: Jax(*given, scan=1)),
        "lax.scan, drawn ahead": Variant(Jax),
        "lax.scan, drawn in the step": Variant(lambda *given: Jax(*given, ahead=False)),
    }


def ensembles(batch, width, threads, replicas):
    """vmap over R GANs, scanned."""
    return {"vmap, lax.scan": Variant(Jax)}


def on_gpu(batch, width, replicas=0):
    """The same on a GPU, where float32 products are told to be that; and with products in TF32."""
    many = "vmap, " if replicas else ""
    found = {
        f"{many}lax.scan": Variant(lambda *given: Jax(*given, products="float32")),
        f"{many}lax.scan, TF32": Variant(lambda *given: Jax(*given, products="tensorfloat32")),
    }
    if not replicas:
        found["jit per step, GPU"] = Variant(lambda *given: Jax(*given, scan=1, products="float32"))
    return found


class Jax:
    """State is a tuple that every call takes and returns; its memory is reused.

    products: their precision on a GPU; None on the CPU, where there is one only.
    """

    def __init__(self, weights, batch, seed=0, *, scan=None, ahead=True, products=None):
        import jax
        import jax.numpy as jnp

        if products is not None:
            if jax.default_backend() != "gpu":
                raise RuntimeError(f"JAX would run on {jax.default_backend()} here, not on a GPU")
            jax.config.update("jax_default_matmul_precision", products)

        width, lead = width_of(weights["G"]), weights["G"].shape[:-1]
        count = batch * (lead[0] if lead else 1)
        self.block = steps = scan or max(1, min(64, 2 ** (DRAWN // count).bit_length() // 2))
        softplus = jax.nn.softplus

        def network(θ, x):
            W1, b1, W2, b2, W3, b3 = split(θ, width)
            return jnp.tanh(jnp.tanh(x @ W1 + b1) @ W2 + b2) @ W3 + b3

        def loss_d(θ, x, fake):
            logits = network(θ, jnp.concatenate([x, fake]))
            return (softplus(-logits[:batch]).sum() + softplus(logits[batch:]).sum()) / batch

        def loss_g(θ, D, z):
            return softplus(-network(D, network(θ, z))).mean()

        def adam(θ, m, v, powers, g):
            m, v = BETA1 * m + (1.0 - BETA1) * g, BETA2 * v + (1.0 - BETA2) * g * g
            return θ - RATE * (m / (1.0 - powers[0])) / (jnp.sqrt(v / (1.0 - powers[1])) + EPSILON), m, v

        def step(state, data):
            (G, *of_G), (D, *of_D), powers = state
            x, z_d, z_g = data
            powers = powers * jnp.array([BETA1, BETA2], "float32")
            g_d = jax.grad(loss_d)(D, x, network(G, z_d))
            D, *of_D = adam(D, *of_D, powers, g_d)
            g_g = jax.grad(loss_g)(G, D, z_g)
            G, *of_G = adam(G, *of_G, powers, g_g)
            return ((G, *of_G), (D, *of_D), powers), (g_g, g_d)

        def draw(key, *front):
            normal = jax.random.normal(key, (*front, 3, *lead, batch, 1), "float32")
            return normal * shift_and_scale[0] + shift_and_scale[1]

        shape = (3, *[1] * len(lead), 1, 1)
        shift_and_scale = jnp.array([[SD, 1.0, 1.0], [MEAN, 0.0, 0.0]], "float32").reshape(2, *shape)
        everywhere = jax.vmap(step, in_axes=((0, 0, None), 0), out_axes=((0, 0, None), 0)) if lead else step

        def scanned(state, data):
            return everywhere(state, (data[0], data[1], data[2]))[0], None

        def run(state, key):
            key, own = jax.random.split(key)
            if steps == 1:
                return scanned(state, draw(own))[0], key
            if ahead:
                return jax.lax.scan(scanned, state, draw(own, steps))[0], key
            keys = jax.random.split(own, steps)
            return jax.lax.scan(lambda state, k: scanned(state, draw(k)), state, keys)[0], key

        def moments(flat):
            return (
                jnp.array(flat, "float32"),
                jnp.zeros(flat.shape, "float32"),
                jnp.zeros(flat.shape, "float32"),
            )

        self.jax, self._gradients = jax, None
        self._run, self._follow = jax.jit(run, donate_argnums=0), jax.jit(everywhere)
        self._state = moments(weights["G"]), moments(weights["D"]), jnp.ones(2, "float32")
        self._key = jax.random.key(seed, impl="unsafe_rbg")

    def advance(self, steps):
        """Rounded up to whole scans."""
        for _ in range(-(-steps // self.block)):
            self._state, self._key = self._run(self._state, self._key)
        self.jax.block_until_ready(self._state)

    def follow(self, x, z_d, z_g):
        for batches in zip(x, z_d, z_g, strict=True):
            self._state, self._gradients = self._follow(self._state, batches)

    def parameters(self):
        import numpy as np

        (G, *_), (D, *_), _ = self._state
        return {"G": np.array(G), "D": np.array(D)}

    def gradients(self):
        import numpy as np

        g_g, g_d = self._gradients
        return {"G": np.array(g_g), "D": np.array(g_d)}

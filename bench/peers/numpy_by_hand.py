"""The limit: the step written by hand in NumPy, with every trick that is worth its line.

Feature-major activations (H + 1, N) carry a row of ones, so that a bias is a row of its W and both gradients
are one product. The parameters of a player are one vector, its [g; g²] and [m; v] two rows each, so Adam is 8
calls. Gradients are kept 2B times too large: the mean's 1/B and the ½ of σ(a) = ½ + ½ tanh(a/2) go into the ε
of Adam, and the factors 1 − β into its step. No call allocates.
"""

import math
import threading
from queue import SimpleQueue

import numpy as np

from bench.peers.common import BETA1, BETA2, MEAN, SD, Variant, schedule, width_of

DISTRIBUTION = "numpy"
AHEAD = 4096  # samples drawn at once
CHUNK = 256  # columns whose activations stay in the cache
LINE = 64  # bytes of a line of the cache
PATIENCE = 60.0  # seconds
GROUP = 2**21  # bytes of the activations of GANs that are trained together
HALF, ONE = np.array(0.5, "float32"), np.array(1.0, "float32")  # a Python number is converted at each call


def variants(batch, width, threads):
    """Whole batches; chunks of columns where they do not fit the cache; Python threads that share them."""
    found = {"whole batch" if threads == 1 else "whole batch, BLAS threads": Variant(WholeBatch)}
    if batch > CHUNK:
        found["chunks of columns"] = Variant(Columns)
    if threads > 1 and batch >= 64 * threads and batch % threads == 0:
        found["Python threads × chunks"] = Variant(_with(Columns, workers=threads), blas_threads=1)
    return found


def ensembles(batch, width, threads, replicas):
    """Groups of GANs by batched products, also dealt to Python threads; and what they have to beat."""
    found = {"one by one": Variant(OneByOne, blas_threads=1), "groups": Variant(Ensemble, blas_threads=1)}
    if threads > 1 and replicas > 1:
        found["groups, Python threads"] = Variant(_with(Ensemble, workers=threads), blas_threads=1)
    return found


def _with(cls, **options):
    return lambda weights, batch, seed=0: cls(weights, batch, seed, **options)


def filled(value, *shape):
    """A float32 array that starts with a line of the cache, as vector instructions like it."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + LINE, "uint8")
    start = -memory.ctypes.data % LINE
    array = memory[start : start + size].view("float32").reshape(shape)
    array[...] = value
    return array


class Normals:
    """Normal numbers by Box and Muller: three times as fast as the ziggurat, which NumPy draws one by one."""

    def __init__(self, seed, *shape):
        self.rng, size = np.random.default_rng(np.random.SFC64(seed)), math.prod(shape)
        self._u, self._out = filled(0.0, 2, 2, -(-size // 2))
        self.values = self._out.reshape(-1)[:size].reshape(shape)

    def draw(self):
        """Fill ``values`` anew, and return them."""
        self.rng.random(out=self._u, dtype="float32")
        r, angle = self._u
        np.subtract(1.0, r, r)  # in (0, 1]
        np.log(r, r)
        np.multiply(r, -2.0, r)
        np.sqrt(r, r)
        np.multiply(angle, 2.0 * np.pi, angle)
        np.cos(angle, self._out[0])
        np.sin(angle, self._out[1])
        np.multiply(self._out, r, self._out)
        return self.values


class Player:
    """The numbers of one network, or of R: parameters, gradients and moments, in one block each."""

    def __init__(self, flat):
        self.θ, self.width, shape = filled(flat, *flat.shape), width_of(flat), flat.shape
        self.gradient = filled(0.0, 2, *shape)  # [g; g²], 2B times too large
        self.moments = filled(0.0, 2, *shape)  # [m; v], without their factors 1 − β
        self.decay = filled(0.0, 2, *shape)  # in full: a broadcast operand is slower
        self.decay[0], self.decay[1] = BETA1, BETA2
        self.scratch = filled(0.0, *shape)
        self.W, self.dW = self.layers(self.θ), self.layers(self.gradient[0])

    def layers(self, flat):
        """[W; b] of the three layers.    Shapes:  (…, P) → (…, 2, H), (…, H + 1, H), (…, H + 1, 1)"""
        H, lead = self.width, flat.shape[:-1]
        cuts = 0, 2 * H, 2 * H + (H + 1) * H, flat.shape[-1]
        rows = 2, H + 1, H + 1
        return [flat[..., a:b].reshape(*lead, n, -1) for a, b, n in zip(cuts, cuts[1:], rows, strict=False)]

    def adam(self, part=slice(None)):
        """A function of step and ε that moves these parameters."""
        (g, g2), (m, v) = self.gradient[..., part], self.moments[..., part]
        both, moments, decay = self.gradient[..., part], self.moments[..., part], self.decay[..., part]
        θ, s = self.θ[..., part], self.scratch[..., part]
        add, multiply, sqrt, divide, subtract = np.add, np.multiply, np.sqrt, np.divide, np.subtract

        def move(step, epsilon):
            multiply(g, g, g2)
            multiply(moments, decay, moments)
            add(moments, both, moments)
            sqrt(v, s)
            add(s, epsilon, s)
            divide(m, s, s)
            multiply(s, step, s)
            subtract(θ, s, θ)

        return move


class Peer:
    """What all three ways answer; ``players`` are G and D, or lists of them that follow one another."""

    def __init__(self, weights, batch):
        self.G, self.D = (Player(weights[player]) for player in "GD")
        self.batch, self.time = batch, 0

    def parameters(self):
        return {"G": self.G.θ.copy(), "D": self.D.θ.copy()}

    def gradients(self):
        return {p: player.gradient[0] / (2.0 * self.batch) for p, player in (("G", self.G), ("D", self.D))}


class WholeBatch(Peer):
    """All columns at once: 64 calls a step, which is what there is to pay at the sizes of toys."""

    def __init__(self, weights, batch, seed=0):
        super().__init__(weights, batch)
        B, K = batch, max(1, min(64, AHEAD // batch))
        self._draws = Normals(seed, 3, K, B)
        # What a step reads or makes of its batch, K steps in one block, in the order that saves copies: G's
        # output for z_g and z_d ends where the real data start, and [G(z_d) | x] over ones is D's input.
        both, latent, data = (filled(1.0, K, n * B) for n in (4, 2, 5))
        self._z = both[:, : 2 * B], latent[:, :B]
        self._x = data[:, 2 * B : 3 * B]
        self._steps, self._epsilons = np.empty((2, K), "float32")
        self._slots = [
            (
                both[k].reshape(2, 2 * B),
                latent[k].reshape(2, B),
                data[k, : 2 * B].reshape(1, 2 * B),
                data[k, :B],
                data[k, B:].reshape(2, 2 * B),
                self._steps[k : k + 1].reshape(()),
                self._epsilons[k : k + 1].reshape(()),
            )
            for k in range(K)
        ]
        self._next = self.block = K
        self._run = self._program()

    def _load(self, x, z_d, z_g, scale=1.0, shift=0.0):
        """The batches of the next steps.    Shapes:  (k, B) each"""
        k, B = len(x), self.batch
        (both, latent), real = (z[:k] for z in self._z), self._x[:k]
        both[:, :B], both[:, B:], latent[...] = z_g, z_d, z_g
        np.multiply(x, scale, real)
        np.add(real, shift, real)
        self._steps[:k], self._epsilons[:k] = schedule(self.time + 1, k, 2.0 * B)
        self._next = 0

    def _go(self, count):
        self._run(self._slots[self._next : self._next + count])
        self._next += count
        self.time += count

    def advance(self, steps):
        while steps:
            if self._next == len(self._slots):
                self._load(*self._draws.draw(), SD, MEAN)
            count = min(steps, len(self._slots) - self._next)
            self._go(count)
            steps -= count

    def follow(self, x, z_d, z_g):
        for a in range(0, len(x), len(self._slots)):
            part = [batch[a : a + len(self._slots), :, 0] for batch in (x, z_d, z_g)]
            self._load(*part)
            self._go(len(part[0]))
        self._next = len(self._slots)

    def _program(self):
        H, B, G, D = self.G.width, self.batch, self.G, self.D
        dot, tanh, add, subtract, multiply = np.dot, np.tanh, np.add, np.subtract, np.multiply
        copyto, half, one = np.copyto, HALF, ONE

        def hidden(N):
            """Both layers of h over N columns with their rows of ones; what is written of each; 1 − h²."""
            h, slope = filled(1.0, 2, H + 1, N), filled(0.0, 2, H + 1, N)
            return h, h[0], h[1], h[0, :H], h[1, :H], slope, slope[0, :H], slope[1, :H]

        def transposed(W):
            return [w.T for w in W]

        gh, gh1, gh2, gs1, gs2, *_ = hidden(2 * B)  # G on z_g and z_d
        kh, kh1, kh2, _, _, kd, kd1, kd2 = hidden(B)  # G on z_g, for the way back
        h, h1, h2, s1, s2, d, d1, d2 = hidden(2 * B)  # D on G(z_d) and x
        fh, fh1, fh2, fs1, fs2, fd, fd1, fd2 = hidden(B)  # D on G(z_g)
        gh_of_g = gh[:, :, :B]
        G1T, G2T, G3T = transposed(G.W)
        D1T, D2T, D3T = transposed(D.W)
        D1x, D2h, D3h, G2h, G3h = D.W[0][:1], D.W[1][:H], D.W[2][:H], G.W[1][:H], G.W[2][:H]
        (dD1, dD2, dD3), (dG1, dG2, dG3) = D.dW, G.dW
        e1, e2, e1T, e2T = _with_transposes(H, 2 * B)
        f1, f2, f1T, f2T = _with_transposes(H, B)
        a = filled(0.0, 1, 2 * B)  # D's logits, then 2B ∂V/∂logit
        b = filled(0.0, 1, B)
        δ = filled(0.0, 1, B)  # 2B ∂/∂G(z_g)
        aT, δT = a.T, δ.T
        sign = np.repeat(np.array([[1.0, -1.0]], "float32"), B, axis=1)
        judged = filled(1.0, 2, B)
        fake_row = judged[0]
        move_D, move_G = D.adam(), G.adam()

        def run(slots):
            for z, z_g, made, fake, x, step, epsilon in slots:
                dot(G1T, z, gs1)
                tanh(gs1, gs1)
                dot(G2T, gh1, gs2)
                tanh(gs2, gs2)
                dot(G3T, gh2, made)  # G(z_g), then G(z_d), which stands in x before the real data

                dot(D1T, x, s1)
                tanh(s1, s1)
                dot(D2T, h1, s2)
                tanh(s2, s2)
                dot(D3T, h2, a)
                multiply(a, half, a)
                tanh(a, a)
                add(a, sign, a)
                dot(h2, aT, dD3)
                dot(D3h, a, e2)
                multiply(h, h, d)
                subtract(one, d, d)
                multiply(e2, d2, e2)
                dot(h1, e2T, dD2)
                dot(D2h, e2, e1)
                multiply(e1, d1, e1)
                dot(x, e1T, dD1)
                move_D(step, epsilon)

                copyto(fake_row, fake)
                dot(D1T, judged, fs1)
                tanh(fs1, fs1)
                dot(D2T, fh1, fs2)
                tanh(fs2, fs2)
                dot(D3T, fh2, b)
                multiply(b, half, b)
                tanh(b, b)
                subtract(b, one, b)
                dot(D3h, b, f2)
                multiply(fh, fh, fd)
                subtract(one, fd, fd)
                multiply(f2, fd2, f2)
                dot(D2h, f2, f1)
                multiply(f1, fd1, f1)
                dot(D1x, f1, δ)
                copyto(kh, gh_of_g)
                dot(kh2, δT, dG3)
                dot(G3h, δ, f2)
                multiply(kh, kh, kd)
                subtract(one, kd, kd)
                multiply(f2, kd2, f2)
                dot(kh1, f2T, dG2)
                dot(G2h, f2, f1)
                multiply(f1, kd1, f1)
                dot(z_g, f1T, dG1)
                move_G(step, epsilon)

        return run


def _network(scratch, lead, width, columns):
    """One network over so many columns, as two functions that share its activations: forward and backward.

    The way back works in ``scratch``, which networks share that take turns: so it stays in the cache. A lead
    of (R,) makes each product R products by np.matmul, which takes outer products out of BLAS: there a
    broadcast multiplication is faster.
    """
    H, N = width, columns
    h = filled(1.0, 2, *lead, H + 1, N)
    slope, e = (buffer[: rows * h[0, ..., 0, :].size].reshape(2, *lead, -1, N)
                for buffer, rows in zip(scratch, (2 * H + 2, 2 * H), strict=True))  # fmt: skip
    (h1, h2), (d1, d2), (e1, e2) = h, slope[..., :H, :], e
    s1, s2 = h[..., :H, :]
    tanh, subtract, multiply = np.tanh, np.subtract, np.multiply
    product, outer = (np.matmul, np.multiply) if lead else (np.dot, np.dot)

    def forward(W, x, out):
        product(W[0].mT, x, s1)
        tanh(s1, s1)
        product(W[1].mT, h1, s2)
        tanh(s2, s2)
        product(W[2].mT, h2, out)

    def backward(W, δ, x=None, dW=None, dx=None):
        """From δ = ∂loss/∂out to dW, the gradients in the parameters, and to dx, that in x, where asked."""
        multiply(h, h, slope)
        subtract(ONE, slope, slope)
        outer(W[2][..., :H, :], δ, e2)
        multiply(e2, d2, e2)
        product(W[1][..., :H, :], e2, e1)
        multiply(e1, d1, e1)
        if dW is not None:
            product(h2, δ.mT, dW[2])
            product(h1, e2.mT, dW[1])
            product(x, e1.mT, dW[0])
        if dx is not None:
            product(W[0][..., :1, :], e1, dx)

    return forward, backward


class Part:
    """Some columns of the batch, in chunks whose activations stay in the cache; or all columns of some GANs.

    Gradients of the chunks are added up in a vector of this part's own.
    """

    def __init__(self, G, D, columns, chunk, seed):
        lead = G.θ.shape[:-1]
        self.G, self.D, self.chunk, count = G, D, chunk, columns // chunk
        self._draws = Normals(seed, 3, count, *lead, chunk)
        self._latents = filled(1.0, 2, count, *lead, 2, chunk)  # z_d and z_g over ones
        self._judged = filled(1.0, count, *lead, 2, 2 * chunk)  # [G(z_d) | x] over ones
        self._fake = filled(1.0, *lead, 2, chunk)
        scratch = filled(0.0, 2, self._judged[0].size * (G.width + 1))
        self._of_G, self._of_D, self._of_D_on_fake = (
            _network(scratch, lead, G.width, n) for n in (chunk, 2 * chunk, chunk)
        )
        self.gradients, self._more = filled(0.0, 2, 2, *G.θ.shape)  # of G and of D; of one more chunk
        self._layers = [[G.layers(g) for g in own] for own in (self.gradients, self._more)]
        self._logits = filled(0.0, *lead, 1, 2 * chunk)
        self._δ = filled(0.0, 2, *lead, 1, chunk)
        self._sign = np.repeat(np.array([[1.0, -1.0]], "float32"), chunk, axis=1)

    def load(self, x, z_d, z_g):
        """The batch of the next step.    Shapes:  (chunks, …, chunk) each"""
        self._latents[0, ..., 0, :], self._latents[1, ..., 0, :] = z_d, z_g
        self._judged[..., 0, self.chunk :] = x

    def draw(self):
        """Load a batch of one's own."""
        x, z_d, z_g = self._draws.draw()
        np.multiply(x, SD, x)
        np.add(x, MEAN, x)
        self.load(x, z_d, z_g)

    def _add(self, k, player):
        if k:
            np.add(self.gradients[player], self._more[player], self.gradients[player])

    def discriminator(self):
        """2B times the gradient of D's loss, over these columns."""
        (make, _), (judge, back), a = self._of_G, self._of_D, self._logits
        for k, (z, x) in enumerate(zip(self._latents[0], self._judged, strict=True)):
            fake = x[..., :1, : self.chunk]
            make(self.G.W, z, fake)
            judge(self.D.W, x, a)
            np.multiply(a, HALF, a)
            np.tanh(a, a)
            np.add(a, self._sign, a)
            back(self.D.W, a, x, self._layers[k > 0][1])
            self._add(k, 1)

    def generator(self):
        """2B times the gradient of G's loss, over these columns."""
        (make, back), (judge, through), (b, δ) = self._of_G, self._of_D_on_fake, self._δ
        for k, z in enumerate(self._latents[1]):
            make(self.G.W, z, self._fake[..., :1, :])
            judge(self.D.W, self._fake, b)
            np.multiply(b, HALF, b)
            np.tanh(b, b)
            np.subtract(b, ONE, b)
            through(self.D.W, b, dx=δ)
            back(self.G.W, δ, z, self._layers[k > 0][0])
            self._add(k, 0)


class Columns(Peer):
    """The batch in chunks of columns, dealt to Python threads; each also moves its part of the parameters."""

    def __init__(self, weights, batch, seed=0, workers=1, chunk=CHUNK):
        super().__init__(weights, batch)
        own = batch // workers
        self.chunk = next(c for c in range(min(chunk, own), 0, -1) if own % c == 0)
        self._parts = [Part(self.G, self.D, own, self.chunk, (seed, k)) for k in range(workers)]
        cuts = np.linspace(0, self.G.θ.size, workers + 1).astype(int)
        slices = [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]
        self._moves = [
            [(player.gradient[0, s], s, player.adam(s)) for player in (self.G, self.D)] for s in slices
        ]
        self._meet = _rendezvous(workers)

    def advance(self, steps):
        self._follow([None] * steps)

    def follow(self, x, z_d, z_g):
        own = [batch.reshape(len(x), len(self._parts), -1, self.chunk) for batch in (x, z_d, z_g)]
        self._follow(list(zip(*own, strict=True)))

    def _follow(self, batches):
        steps, epsilons = np.array(schedule(self.time + 1, len(batches), 2.0 * self.batch), "float32")
        _together(self._work, len(self._parts), batches, steps, epsilons)
        self.time += len(batches)

    def _work(self, k, batches, steps, epsilons):
        part, meet = self._parts[k], self._meet[k]
        for batch, step, epsilon in zip(batches, steps, epsilons, strict=True):
            part.draw() if batch is None else part.load(*(own[k] for own in batch))
            for player, gradients in ((1, part.discriminator), (0, part.generator)):
                gradients()
                meet()
                total, mine, move = self._moves[k][player]
                np.copyto(total, self._parts[0].gradients[player][mine])
                for other in self._parts[1:]:
                    np.add(total, other.gradients[player][mine], total)
                move(step, epsilon)
                meet()


class Ensemble:
    """R GANs in groups whose activations fit the cache; the groups are dealt to Python threads."""

    def __init__(self, weights, batch, seed=0, workers=1, group=None):
        replicas, width = len(weights["G"]), width_of(weights["G"])
        group = group or max(1, GROUP // (4 * 8 * (width + 1) * batch))
        count = min(replicas, workers * -(-replicas // (group * workers)))
        cuts = np.linspace(0, replicas, count + 1).astype(int)
        self._parts, self.batch, self.time = [], batch, 0
        self._slices = [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]
        for k, s in enumerate(self._slices):
            G, D = (Player(weights[player][s]) for player in "GD")
            part = Part(G, D, batch, batch, (seed, k))
            self._parts.append((part, [(G, G.adam()), (D, D.adam())]))
        self._workers = min(workers, count)

    def advance(self, steps):
        self._follow(steps)

    def follow(self, x, z_d, z_g):
        self._follow(len(x), [batch[:, None, :, :, 0] for batch in (x, z_d, z_g)])

    def _follow(self, count, batches=None):
        steps, epsilons = np.array(schedule(self.time + 1, count, 2.0 * self.batch), "float32")
        _together(self._work, self._workers, steps, epsilons, batches)
        self.time += count

    def _work(self, k, steps, epsilons, batches):
        mine = slice(k, None, self._workers)
        for (part, players), own in zip(self._parts[mine], self._slices[mine], strict=True):
            for t, (step, epsilon) in enumerate(zip(steps, epsilons, strict=True)):
                part.draw() if batches is None else part.load(*(batch[t, :, own] for batch in batches))
                for index, gradients in ((1, part.discriminator), (0, part.generator)):
                    gradients()
                    player, move = players[index]
                    np.copyto(player.gradient[0], part.gradients[index])
                    move(step, epsilon)

    def parameters(self):
        return self._gather(lambda player: player.θ)

    def gradients(self):
        return self._gather(lambda player: player.gradient[0] / (2.0 * self.batch))

    def _gather(self, of):
        return {
            name: np.concatenate([of(players[k][0]) for _, players in self._parts])
            for k, name in enumerate("GD")
        }


class OneByOne:
    """R GANs, each alone for all its steps."""

    def __init__(self, weights, batch, seed=0):
        self._all = [
            WholeBatch({"G": G, "D": D}, batch, (seed, k))
            for k, (G, D) in enumerate(zip(weights["G"], weights["D"], strict=True))
        ]
        self.block = self._all[0].block

    def advance(self, steps):
        for gan in self._all:
            gan.advance(steps)

    def follow(self, x, z_d, z_g):
        for k, gan in enumerate(self._all):
            gan.follow(*(batch[:, k] for batch in (x, z_d, z_g)))

    def parameters(self):
        return {p: np.stack([gan.parameters()[p] for gan in self._all]) for p in "GD"}

    def gradients(self):
        return {p: np.stack([gan.gradients()[p] for gan in self._all]) for p in "GD"}


def _together(work, workers, *arguments):
    """work(k, …) in so many threads, this one among them."""
    errors = []

    def guarded(k):
        try:
            work(k, *arguments)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(k,), daemon=True) for k in range(1, workers)]
    for thread in threads:
        thread.start()
    guarded(0)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _rendezvous(workers):
    """One function per thread, which returns when all have called theirs."""
    inboxes = [SimpleQueue() for _ in range(workers)]

    def meeting(k):
        others, own = [inboxes[j] for j in range(workers) if j != k], inboxes[k]

        def meet():
            for inbox in others:
                inbox.put(k)
            for _ in others:
                own.get(timeout=PATIENCE)  # one that failed never comes

        return meet

    return [meeting(k) for k in range(workers)]


def _with_transposes(H, N):
    e1, e2 = filled(0.0, 2, H, N)
    return e1, e2, e1.T, e2.T

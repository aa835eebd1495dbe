"""PyTorch: the usual script, the fastest eager one, and the whole step compiled; on a GPU also as a graph."""

from bench.peers.common import BETA1, BETA2, EPSILON, MEAN, RATE, SD, Variant, split, width_of

DISTRIBUTION = "torch"
AHEAD = 4096  # samples drawn at once


def variants(batch, width, threads):
    """The usual script; one vector under a fused Adam; torch.compile, also with its C++ wrapper."""
    options = {"torch.compile": {}, "torch.compile, C++ wrapper": {"cpp_wrapper": True}}
    compiled = {name: Variant(_compiled(threads, option)) for name, option in options.items()}
    return {
        "eager, Adam(foreach=True)": Variant(lambda *given: Eager(*given, threads=threads, flat=False)),
        "eager, flat Adam(fused=True)": Variant(lambda *given: Eager(*given, threads=threads)),
        **compiled,
    }


def ensembles(batch, width, threads, replicas):
    """R GANs by batched products, the whole step compiled."""
    return {"torch.compile": Variant(_compiled(threads, {}))}


def on_gpu(batch, width, replicas=0):
    """The same on a GPU: eager, and the compiled step as one CUDA graph; also with products in TF32."""
    graphs = {
        "CUDA graph": {"options": None},
        "torch.compile, CUDA graph": {},
        "torch.compile, CUDA graph, TF32": {"tf32": True},
    }
    found = {name: Variant(_graphed(option)) for name, option in graphs.items()}
    if not replicas:
        found["eager, flat Adam(fused=True)"] = Variant(lambda *given: Eager(*given, device="cuda"))
    return found


def _compiled(threads, options):
    return lambda *given: Compiled(*given, threads=threads, options=options)


def _graphed(option):
    return lambda *given: Graphed(*given, device="cuda", **option)


class Torch:
    """Draws ahead, and the conversions."""

    def __init__(self, weights, batch, seed=0, *, threads=1, device="cpu"):
        import torch

        self.torch, self.width, self.device = torch, width_of(weights["G"]), device
        torch.set_num_threads(threads)
        lead = weights["G"].shape[:-1]
        self._random = torch.Generator(device).manual_seed(seed)
        self.block = max(1, min(64, AHEAD // (batch * (lead[0] if lead else 1))))
        self._draws = torch.empty((3, self.block, *lead, batch, 1), device=device)
        self._slots = list(zip(*self._draws.unbind(0), strict=True))
        self._next = self.block
        self.flat = {p: torch.tensor(weights[p], dtype=torch.float32, device=device) for p in "GD"}
        self.g = {p: torch.zeros_like(flat) for p, flat in self.flat.items()}

    def advance(self, steps):
        while steps:
            if self._next == self.block:
                self.torch.randn(self._draws.shape, generator=self._random, out=self._draws)
                self._draws[0].mul_(SD).add_(MEAN)
                self._next = 0
            slots = self._slots[self._next : self._next + steps]
            for batches in slots:
                self._step(*batches)
            self._next += len(slots)
            steps -= len(slots)
        if self.device != "cpu":
            self.torch.cuda.synchronize()

    def follow(self, x, z_d, z_g):
        for batches in zip(x, z_d, z_g, strict=True):
            self._step(*(self.torch.tensor(batch, device=self.device) for batch in batches))

    def parameters(self):
        return {p: flat.detach().cpu().numpy().copy() for p, flat in self.flat.items()}

    def gradients(self):
        return {p: g.detach().cpu().numpy().copy() for p, g in self.g.items()}


class Eager(Torch):
    """flat: one vector per player for Adam, data and generated data in one pass of D."""

    def __init__(self, weights, batch, seed=0, *, threads=1, flat=True, device="cpu"):
        super().__init__(weights, batch, seed, threads=threads, device=device)
        torch = self.torch
        self.weights, self._optimizers = {}, {}
        for player, θ in self.flat.items():
            self.weights[player] = [view.requires_grad_() for view in split(θ, self.width)]
            for weight, g in zip(self.weights[player], split(self.g[player], self.width), strict=True):
                weight.grad = g  # backward adds to it in place, so it stays a view
            θ.grad = self.g[player]
            self._optimizers[player] = torch.optim.Adam(
                [θ] if flat else self.weights[player],
                RATE,
                (BETA1, BETA2),
                EPSILON,
                fused=flat,
                foreach=not flat,
            )
        self._bce = torch.nn.functional.binary_cross_entropy_with_logits
        self._flat = flat
        self._real, self._fake = torch.ones(batch, 1, device=device), torch.zeros(batch, 1, device=device)
        self._labels = torch.cat([self._real, self._fake])

    def _network(self, player, x):
        W1, b1, W2, b2, W3, b3 = self.weights[player]
        addmm = self.torch.addmm
        return addmm(b3, addmm(b2, addmm(b1, x, W1).tanh(), W2).tanh(), W3)

    def _move(self, player, loss):
        self.g[player].zero_()
        loss.backward(inputs=self.weights[player])
        self._optimizers[player].step()

    def _step(self, x, z_d, z_g):
        with self.torch.no_grad():
            fake = self._network("G", z_d)
        if self._flat:
            loss = 2.0 * self._bce(self._network("D", self.torch.cat([x, fake])), self._labels)
        else:
            loss = self._bce(self._network("D", x), self._real) + self._bce(
                self._network("D", fake), self._fake
            )
        self._move("D", loss)
        self._move("G", self._bce(self._network("D", self._network("G", z_g)), self._real))


class Compiled(Torch):
    """Both gradients and both Adams in one graph; in front, if there are replicas, one axis more.

    options: of torch.compile; None to leave the step as Python runs it.
    """

    def __init__(self, weights, batch, seed=0, *, threads=1, options=None, device="cpu"):
        super().__init__(weights, batch, seed, threads=threads, device=device)
        torch, width = self.torch, self.width
        softplus = torch.nn.functional.softplus

        def network(θ, x):
            W1, b1, W2, b2, W3, b3 = split(θ, width)
            return torch.tanh(torch.tanh(x @ W1 + b1) @ W2 + b2) @ W3 + b3

        def loss_d(θ, both):
            real, fake = network(θ, both).chunk(2, dim=-2)
            return (softplus(-real).sum() + softplus(fake).sum()) / batch

        def loss_g(θ, D, z):
            return softplus(-network(D, network(θ, z))).sum() / batch

        def adam(player, g, powers):
            θ, (m, v) = self.flat[player], self._moments[player]
            m.mul_(BETA1).add_(g, alpha=1.0 - BETA1)
            v.mul_(BETA2).addcmul_(g, g, value=1.0 - BETA2)
            first, second = 1.0 - powers
            θ.sub_(RATE * (m / first) / ((v / second).sqrt() + EPSILON))

        def step(x, z_d, z_g):
            self._powers.mul_(self._betas)
            G, D = self.flat["G"], self.flat["D"]
            both = torch.cat([x, network(G, z_d)], dim=-2)
            g = torch.func.grad(loss_d)(D, both)
            self.g["D"].copy_(g)
            adam("D", g, self._powers)
            g = torch.func.grad(loss_g)(G, D, z_g)
            self.g["G"].copy_(g)
            adam("G", g, self._powers)

        self._moments = {p: (torch.zeros_like(flat), torch.zeros_like(flat)) for p, flat in self.flat.items()}
        self._betas, self._powers = torch.tensor([BETA1, BETA2], device=device), torch.ones(2, device=device)
        self._step = torch.no_grad()(step)
        if options is not None:
            self._step = torch.compile(self._step, fullgraph=True, dynamic=False, options=options)

    def state(self):
        """All tensors that a step writes."""
        moments = [m for both in self._moments.values() for m in both]
        return [*self.flat.values(), *self.g.values(), *moments, self._powers]


class Graphed(Compiled):
    """The step as one CUDA graph, which reads its batch from fixed buffers."""

    def __init__(self, weights, batch, seed=0, *, options=(), tf32=False, device="cuda"):
        super().__init__(
            weights, batch, seed, options=None if options is None else dict(options), device=device
        )
        torch = self.torch
        torch.backends.cuda.matmul.allow_tf32 = tf32
        self._batches, eager = [torch.zeros_like(slot) for slot in self._slots[0]], self._step
        before, aside = [tensor.clone() for tensor in self.state()], torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # compiles, and makes the memory as large as it has to be
                eager(*self._batches)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            eager(*self._batches)
        for tensor, content in zip(self.state(), before, strict=True):
            tensor.copy_(content)
        self._step = self._replay

    def _replay(self, *batches):
        for buffer, batch in zip(self._batches, batches, strict=True):
            buffer.copy_(batch)
        self._graph.replay()

"""A whole GAN by hand, every derivative written out in plain NumPy; minigan is not imported.

    real data   x ~ N(4, 1.25)             noise  z ~ N(0, 1)
    generator   x̃ = G(z)                   discriminator  a = D(x), a logit: P(x is real) = σ(a) = 1/(1 + e⁻ᵃ)
    D minimises V   = mean softplus(−a(x)) + mean softplus(a(x̃)),   as −ln σ(a) = softplus(−a) = ln(1 + e⁻ᵃ)
    G minimises L_G = mean softplus(−a(x̃))   (non-saturating),   or   −mean softplus(a(x̃))   (minimax)

Both are networks 1-H-H-1 with tanh. δ always stands for ∂loss/∂(the quantity that the line names), in that
quantity's shape. The engine finds the same numbers without our calculus: the tests compare them all.

Takes three seconds.

Draws backprop_by_hand.png into the directory in which it is started.
"""

import argparse

import numpy as np


def softplus(a):
    return np.logaddexp(0.0, a)  # ln(1 + eᵃ), without overflow


def sigmoid(a):
    return np.exp(-softplus(-a))  # 1/(1 + e⁻ᵃ), without overflow and exact in both tails; softplus′ = σ


def initial(rng, hidden):
    """θ = [W₁, b₁, W₂, b₂, W₃, b₃]: Glorot's uniform weights W (n, m), and biases b (1, m) of 0."""
    layers = ((1, hidden), (hidden, hidden), (hidden, 1))
    return [array for n, m in layers for array in
            (rng.uniform(-np.sqrt(6.0 / (n + m)), np.sqrt(6.0 / (n + m)), (n, m)), np.zeros((1, m)))]


def forward(θ, x):
    """y = h₂ W₃ + b₃, with h₂ = tanh(h₁ W₂ + b₂) and h₁ = tanh(x W₁ + b₁); and what the way back needs."""
    W1, b1, W2, b2, W3, b3 = θ
    h1 = np.tanh(x @ W1 + b1)                           # (B, 1)(1, H) + (1, H) → (B, H): b joins every row
    h2 = np.tanh(h1 @ W2 + b2)                          # (B, H)(H, H) + (1, H) → (B, H)
    return h2 @ W3 + b3, (x, h1, h2)                    # (B, H)(H, 1) + (1, 1) → (B, 1)


def backward(θ, cache, δ):
    """From δ = ∂loss/∂y (B, 1) to ∂loss/∂θ, in the order of θ, and ∂loss/∂x. Three rules, used three times:

    s = h W    ∂/∂W = hᵀ δ,  ∂/∂h = δ Wᵀ     (with indices: s_bj = Σᵢ h_bi W_ij, so ∂s_bj/∂W_ij = h_bi)
    s + b      ∂/∂b = Σ_rows δ               (one b serves all rows, so their shares add up)
    tanh s     ∂/∂s = δ (1 − h²)             (h = tanh s, tanh′ = 1 − tanh²)
    """
    (W1, _, W2, _, W3, _), (x, h1, h2) = θ, cache
    dW3, db3 = h2.T @ δ, δ.sum(axis=0, keepdims=True)   # (H, B)(B, 1) → (H, 1);  (1, 1)
    δ = (δ @ W3.T) * (1.0 - h2**2)                      # (B, 1)(1, H) → (B, H):  δ is now ∂loss/∂(h₁ W₂ + b₂)
    dW2, db2 = h1.T @ δ, δ.sum(axis=0, keepdims=True)   # (H, B)(B, H) → (H, H);  (1, H)
    δ = (δ @ W2.T) * (1.0 - h1**2)                      # (B, H)(H, H) → (B, H):  and now ∂loss/∂(x W₁ + b₁)
    dW1, db1 = x.T @ δ, δ.sum(axis=0, keepdims=True)    # (1, B)(B, H) → (1, H);  (1, H)
    return [dW1, db1, dW2, db2, dW3, db3], δ @ W1.T     # (B, H)(H, 1) → (B, 1):  ∂loss/∂x


def discriminator_gradients(D, real, fake):
    """V and ∂V/∂D. ``fake`` is data here: D's step does not ask how it was made."""
    (a, cache_real), (b, cache_fake) = forward(D, real), forward(D, fake)
    loss = softplus(-a).mean() + softplus(b).mean()
    δ_real = -sigmoid(-a) / len(a)                      # (B, 1): softplus(−a)′ = −σ(−a) = σ(a) − 1; mean: 1/B
    δ_fake = sigmoid(b) / len(b)                        # (B, 1): softplus(b)′ = σ(b) − 0: probability − label
    from_real, _ = backward(D, cache_real, δ_real)
    from_fake, _ = backward(D, cache_fake, δ_fake)
    return loss, [r + f for r, f in zip(from_real, from_fake, strict=True)]  # V is a sum: so is its gradient


def generator_gradients(G, D, z, minimax=False):
    """L_G and ∂L_G/∂G: the chain rule runs through D, whose own weights stay as they are."""
    fake, cache_G = forward(G, z)
    b, cache_D = forward(D, fake)
    if minimax:                                         # where D is sure, b → −∞, this δ dies: −σ(b) → 0 …
        loss, δ = -softplus(b).mean(), -sigmoid(b) / len(b)
    else:                                               # … and this one is at its strongest: −σ(−b) → −1
        loss, δ = softplus(-b).mean(), -sigmoid(-b) / len(b)
    _, δ_fake = backward(D, cache_D, δ)                 # (B, 1): ∂L_G/∂x̃, where D would rather have each fake
    gradients, _ = backward(G, cache_G, δ_fake)
    return loss, gradients


def adam(θ, gradients, memory, rate, beta2=0.99, epsilon=1e-8):
    """Adam with β₁ = 0, in place: v ← β₂ v + (1−β₂) g², θ ← θ − rate · g / (√v̂ + ε), v̂ = v/(1 − β₂ᵗ)."""
    memory["t"] = memory.get("t", 0) + 1
    for k, (p, g) in enumerate(zip(θ, gradients, strict=True)):
        memory[k] = v = beta2 * memory.get(k, 0.0) + (1.0 - beta2) * g**2
        p -= rate * g / (np.sqrt(v / (1.0 - beta2 ** memory["t"])) + epsilon)


def main(arguments=None):
    """Train, print, draw; returns 10 000 generated values."""
    parser = argparse.ArgumentParser(description="Train a GAN on N(4, 1.25), derivatives by hand.")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", default="backprop_by_hand.png", help="where the picture goes")
    parser.add_argument("--no-figure", action="store_true")
    options = parser.parse_args(arguments)

    rng, B, losses, memory_G, memory_D = np.random.default_rng(options.seed), 128, [], {}, {}
    G, D = initial(rng, hidden=16), initial(rng, hidden=16)
    for t in range(options.steps):
        rate = 1e-3 * (1.0 - t / options.steps)         # steps that shrink let the two players settle
        fake, _ = forward(G, rng.standard_normal((B, 1)))
        V, gradients = discriminator_gradients(D, rng.normal(4.0, 1.25, (B, 1)), fake)
        adam(D, gradients, memory_D, 5.0 * rate)        # first D, in larger steps: a judge must keep up …
        L_G, gradients = generator_gradients(G, D, rng.standard_normal((B, 1)))
        adam(G, gradients, memory_G, rate)              # … then G, against the D that has just moved
        losses.append((V, L_G))
        if (t + 1) % max(options.steps // 8, 1) == 0:
            print(f"step {t + 1:5d}:  V {V:.3f} (ln 4 = 1.386)  L_G {L_G:.3f} (ln 2 = 0.693)  "
                  f"generated mean {fake.mean():.2f}, sd {fake.std():.2f}")
    generated, _ = forward(G, rng.standard_normal((10_000, 1)))
    print(f"10 000 generated: mean {generated.mean():.3f} (4), sd {generated.std():.3f} (1.25)")
    if not options.no_figure:
        from matplotlib.figure import Figure

        figure, x = Figure(figsize=(9, 3), layout="constrained"), np.linspace(-1.0, 9.0, 200)[:, None]
        left, right = figure.subplots(1, 2)
        left.hist(generated[:, 0], bins=60, density=True, color="#D55E00", alpha=0.35, label="generated")
        density = np.exp(-0.5 * ((x - 4.0) / 1.25) ** 2) / (1.25 * np.sqrt(2.0 * np.pi))
        left.plot(x, density, color="#0072B2", label="N(4, 1.25)")
        left.plot(x, sigmoid(forward(D, x)[0]), color="#009E73", label="σ(D(x))")
        for values, colour, name, level in zip(
            zip(*losses, strict=True), ("#009E73", "#D55E00"), ("V → ln 4", "L_G → ln 2"), (4, 2), strict=True
        ):  # green is D and orange G, as on every page
            right.plot(values, color=colour, linewidth=0.5, label=name)
            right.axhline(np.log(level), color="black", linestyle="--", linewidth=1)
        left.set(xlabel="x", ylabel="density, probability")
        right.set(xlabel="step", ylabel="loss [nats]")
        for axes in (left, right):
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        figure.savefig(options.figure)
    return generated


if __name__ == "__main__":
    main()

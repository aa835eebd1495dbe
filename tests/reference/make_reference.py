"""Makes small_gan.npz: ten rounds of a small GAN, and trajectories of optimisers, by PyTorch in float64.

Run by hand, never by the tests:  python make_reference.py  (README.md says with which versions).
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

ROUNDS, BATCH, SIZES = 10, 16, (1, 8, 8, 1)
GAMMA, RATE, BETAS, EPSILON = 0.5, 1e-2, (0.5, 0.9), 1e-8
STEPS, COUNT = 20, 6  # of the optimisers' trajectories
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.99, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8),
    "adam_gan": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.0, 0.99), eps=1e-8),
}


def tanh_network():
    layers = []
    for n, m in zip(SIZES[:-1], SIZES[1:], strict=True):
        linear = nn.Linear(n, m, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.mul_(2.0)  # else the penalties are lost beside the cross-entropy
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def named(network):
    """{"0.W": …}: PyTorch keeps weights as (outputs, inputs), minigan as (inputs, outputs)."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    return {
        f"{i}.{key}": p
        for i, layer in enumerate(linear)
        for key, p in (("W", layer.weight), ("b", layer.bias))
    }


def as_stored(name, tensor):
    array = tensor.detach().numpy()
    return (array.T if name.endswith("W") else array[None, :]).copy()


def penalty(logits, x):
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return 0.5 * GAMMA * slope.square().sum(dim=1).mean()


def discriminator_loss(D, real, fake):
    real, fake = real.clone().requires_grad_(), fake.detach().clone().requires_grad_()
    a_real, a_fake = D(real), D(fake)
    loss = binary_cross_entropy_with_logits(a_real, torch.ones_like(a_real))
    loss = loss + binary_cross_entropy_with_logits(a_fake, torch.zeros_like(a_fake))
    return loss + penalty(a_real, real) + penalty(a_fake, fake)


def generator_loss(D, fake):
    a = D(fake)
    return binary_cross_entropy_with_logits(a, torch.ones_like(a))  # labels "real": non-saturating


def gan(out):
    networks = {"generator": tanh_network(), "discriminator": tanh_network()}
    G, D = networks.values()
    optimizers = {
        player: torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, eps=EPSILON)
        for player, network in networks.items()
    }
    batches = {
        "real": 1.0 + 0.5 * torch.randn(ROUNDS, BATCH, 1, dtype=torch.float64),
        "latent_d": torch.randn(ROUNDS, BATCH, 1, dtype=torch.float64),
        "latent_g": torch.randn(ROUNDS, BATCH, 1, dtype=torch.float64),
    }
    out |= {name: batch.numpy() for name, batch in batches.items()}
    history = {}

    def keep(key, value):
        history.setdefault(key, []).append(value)

    def weights(when):
        for player, network in networks.items():
            out.update({f"{when}.{player}.{name}": as_stored(name, p) for name, p in named(network).items()})

    def move(player, loss):
        parameters = named(networks[player])
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        keep(f"loss.{player}", loss.item())
        for (name, p), g in zip(parameters.items(), gradients, strict=True):
            p.grad = g
            keep(f"gradient.{player}.{name}", as_stored(name, g))
        optimizers[player].step()

    weights("initial")
    for real, latent_d, latent_g in zip(*batches.values(), strict=True):
        move("discriminator", discriminator_loss(D, real, G(latent_d)))
        move("generator", generator_loss(D, G(latent_g)))
    weights("final")
    out.update({key: np.array(values) for key, values in history.items()})


def trajectories(out):
    """Gradients of very different sizes, the same for every optimiser; θ after every step."""
    start = torch.randn(COUNT, dtype=torch.float64)
    gradients = torch.randn(STEPS, COUNT, dtype=torch.float64) * 10.0 ** torch.linspace(
        -3, 2, COUNT, dtype=torch.float64
    )
    out |= {"optimizer.start": start.numpy(), "optimizer.gradients": gradients.numpy()}
    for name, build in OPTIMIZERS.items():
        θ = nn.Parameter(start.clone())
        optimizer, path = build([θ]), []
        for g in gradients:
            θ.grad = g.clone()
            optimizer.step()
            path.append(θ.detach().numpy().copy())
        out[f"optimizer.{name}"] = np.array(path)


def main():
    torch.manual_seed(20240101)
    torch.set_num_threads(1)
    out = {}
    gan(out)
    trajectories(out)
    np.savez_compressed(Path(__file__).with_name("small_gan.npz"), **out)


if __name__ == "__main__":
    main()

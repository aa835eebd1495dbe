"""A checkpoint opened in PyTorch: G and D by name, with the same outputs.

The run that leaves it is trained in a temporary directory, which is removed at the end.
Takes about ten seconds.
"""

import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open

from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve
from minigan.training.trainer import train


def trained(folder, *sets):
    """A run, as `minigan train` leaves it; its experiment and the path of its newest checkpoint."""
    config = resolve(environ={}, sets=sets)
    experiment = Experiment(config)
    with RunDirectory.create(folder, config.name, to_json(config)) as run:
        train(experiment, run)
        return experiment, checkpoint.latest(run).path


def networks(path, activations):
    """{name: torch module} of generator, discriminator and averaged generator in a checkpoint."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    curves = {
        "tanh": torch.tanh,
        "silu": F.silu,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
        "none": lambda x: x,
    }

    class Dense(nn.Module):
        """y = φ(x W + b), with our names and shapes; nn.Linear has W transposed."""

        def __init__(self, W, b, activation):
            super().__init__()
            self.W, self.b = (nn.Parameter(torch.empty_like(array)) for array in (W, b))
            self.curve = curves[activation]

        def forward(self, x):
            return self.curve(x @ self.W + self.b)

    with safe_open(path, framework="pt") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    made = {}
    for player, activation in activations.items():
        own = {k.removeprefix(f"{player}."): v for k, v in arrays.items() if k.startswith(f"{player}.")}
        depth = len(own) // 2
        layers = [
            Dense(own[f"{i}.W"], own[f"{i}.b"], activation if i < depth - 1 else "none") for i in range(depth)
        ]
        made[player] = nn.Sequential(*layers)
        made[player].load_state_dict(own)  # strict: each name, once
    return made


def main(steps=400, dtype="float32"):
    """Train, open, compare; returns the largest difference of each network's outputs."""
    try:
        import torch
    except ModuleNotFoundError:
        print("PyTorch is not installed; with pip install torch this opens a checkpoint in it")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        experiment, path = trained(Path(folder), f"steps={steps}", f"dtype={dtype}")
        c = experiment.config
        curves = {"generator": c.generator.activation, "average": c.generator.activation}
        theirs = networks(path, curves | {"discriminator": c.discriminator.activation})
    x = np.linspace(-3, 3, 1000)[:, None]
    ours = {
        "generator": experiment.generate(x, averaged=False),
        "average": experiment.generate(x),
        "discriminator": experiment.logits(x * experiment.scale + experiment.shift),
    }
    found = {}
    for name, module in theirs.items():
        with torch.no_grad():
            y = module(torch.tensor(x, dtype=getattr(torch, dtype))).numpy().astype("float64")
        if name != "discriminator":
            y = y * experiment.scale + experiment.shift  # from the network's units to the user's
        found[name] = float(abs(y - ours[name]).max())
        count = sum(p.numel() for p in module.parameters())
        print(f"{name:14} {count} parameters, outputs differ by {found[name]:.1g}")
    return found


if __name__ == "__main__":
    main()

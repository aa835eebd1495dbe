"""A run as TensorBoard shows it: metrics as scalars, the page as an image, distributions as histograms."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import UnavailableError
from minigan.front.run import Run
from minigan.storage.files import storage_error

GROUPS = {  # what of the metrics stands under one heading
    "loss": ("d_loss", "g_loss", "value_fn", "implied", "value_optimal"),
    "discriminator": ("d_real", "d_fake", "d_auc"),
    "distance": ("ks", "ks_p", "w1", "js"),
    "generated": ("mean", "sd", "spread", "modes", "hq", "reverse_kl"),
}
TAGS = {name: f"{group}/{name}" for group, names in GROUPS.items() for name in names}


class TensorBoard:
    """What ``on_evaluation`` of ``mg.fit`` may be: it writes into a directory for ``tensorboard --logdir``.

        mg.fit("normal(4, 1.25)", on_evaluation=mg.TensorBoard("logs/first"))

    Each row becomes scalars at once. At the end come the page, where matplotlib is installed, the verdict's
    text, and histograms: what was generated along the way, of one feature, and in the end, and all weights.

    Raises:  UnavailableError – where tensorboardX is not installed

    >>> mg.fit("normal(4, 1.25)", on_evaluation=mg.TensorBoard("logs/first"))  # doctest: +SKIP
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        if find_spec("tensorboardX") is None:
            raise UnavailableError(
                "logs for TensorBoard need tensorboardX; install it with: pip install 'minigan[tensorboard]'"
            )
        self._directory = os.fspath(directory)
        self._writer: Any = None

    def __call__(self, row: dict[str, Any]) -> None:
        """Write a row of metrics."""
        for name, value in row.items():
            if name != "step" and value is not None:
                self._open().add_scalar(TAGS.get(name, f"training/{name}"), float(value), row["step"])
        self._open().flush()

    def write(self, run: Run) -> None:
        """All of a run that was trained before, as it would be had this been its ``on_evaluation``."""
        for row in run.directory.read_metrics().rows:
            self(row)
        self.finish(run)

    def finish(self, run: Run) -> None:
        """Write what is known at the end, and close the file."""
        from minigan.front.figures import page_in_pixels

        writer, step = self._open(), run.step
        try:
            writer.add_image("page", page_in_pixels(run), step, dataformats="HWC")
        except UnavailableError as error:
            writer.add_text("page", str(error), step)
        writer.add_text("verdict", f"{run.verdict.headline}. {run.verdict.sentence}", step)
        for at, limits, counts in run.densities():
            middles = 0.5 * (limits[1:] + limits[:-1])
            sums = float(counts @ middles), float(counts @ middles**2)
            ends = float(limits[0]), float(limits[-1])
            writer.add_histogram_raw(
                "generated/density",
                *ends,
                float(counts.sum()),
                *sums,
                limits[1:].tolist(),
                counts.tolist(),
                at,
            )
        rows = run.sample(run.config.eval_samples)
        for name, column in zip(run.names, rows.T, strict=True):
            writer.add_histogram(f"sample/{name}", column, step)
        for name, array in run.weights().items():
            writer.add_histogram(name.replace(".", "/", 1), np.ravel(array), step)
        writer.close()
        self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            from tensorboardX import SummaryWriter

            try:
                self._writer = SummaryWriter(self._directory)
            except OSError as error:
                raise storage_error(error, Path(self._directory)) from None
        return self._writer

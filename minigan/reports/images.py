"""Panels of a run whose rows are images: a grid of them, real beside generated, and statistics of them."""

import math
import re

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from minigan.probability.galaxies import GalaxyImages
from minigan.reports.finished_run import Columns, FinishedRun
from minigan.reports.style import GENERATED, TARGET
from minigan.training.units import read_distribution

SIDE = 6  # images a side of a grid
MEASURED = 2000  # images on which statistics are taken
LEAST = 8  # pixels a side from which on numbered features of a data set are taken for an image
GAP = 1  # pixels between images


def is_images(run: FinishedRun) -> bool:
    """Whether each row is an image: of galaxies, or a square number of numbered features."""
    if run.config.data is None:
        return isinstance(read_distribution(run.config.target), GalaxyImages)
    side, prefix = math.isqrt(len(run.names)), re.sub(r"\d+$", "", run.names[0])
    numbered = (f"{prefix}{j + 1}" for j in range(len(run.names)))
    return side >= LEAST and side**2 == len(run.names) and run.names == tuple(numbered)


def statistics_of(run: FinishedRun) -> Columns:
    """What is measured on the images, in place of their pixels."""
    galaxies = run.config.data is None
    parts = [_measure(rows[:MEASURED], galaxies) for rows in (run.sample, run.real)]
    return Columns(tuple(parts[0]), *(np.stack(list(part.values()), axis=1) for part in parts))


def draw_images(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """As many real images as generated ones, in one scale of grey."""
    grid = cell.subgridspec(1, 2, wspace=0.06)
    side = math.isqrt(len(run.names))
    grey = np.quantile(run.real[: SIDE**2], (0.02, 0.995))
    for k, (name, rows, colour) in enumerate(
        ((run.target, run.real, TARGET), ("generated", run.sample, GENERATED))
    ):
        ax = figure.add_subplot(grid[k])
        ax.imshow(_mosaic(rows, side, float(grey[0])), cmap="gray", vmin=grey[0], vmax=grey[1])
        ax.set(xticks=(), yticks=())
        ax.set_xlabel(name, color=colour, fontweight="bold")
        for spine in ax.spines.values():
            spine.set_visible(False)
        if k == 0:
            ax.set_title(f"Images of {side} × {side} pixels, drawn at random")


def _mosaic(rows: np.ndarray, side: int, dark: float) -> np.ndarray:
    step = side + GAP
    picture = np.full((SIDE * step - GAP, SIDE * step - GAP), dark)
    for k, row in enumerate(rows[: SIDE**2]):
        y, x = (k // SIDE) * step, (k % SIDE) * step
        picture[y : y + side, x : x + side] = row.reshape(side, side)
    return picture


def _measure(rows: np.ndarray, galaxies: bool) -> dict[str, np.ndarray]:
    """Statistics of each image, by name."""
    side = math.isqrt(rows.shape[1])
    images = rows.reshape(len(rows), side, side)
    across, down = np.diff(images, axis=2), np.diff(images, axis=1)
    rough = np.sqrt(0.5 * ((across**2).mean(axis=(1, 2)) + (down**2).mean(axis=(1, 2))))
    found = {"brightest pixel": rows.max(axis=1), "roughness": rough}
    if not galaxies:
        return {"mean of the pixels": rows.mean(axis=1), "sd of the pixels": rows.std(axis=1), **found}
    from minigan.evaluation.morphology import measure

    seen = measure(images)
    morphology = {"half-light radius": seen.radius, "ellipticity": seen.ellipticity}
    return {"flux": seen.flux, **morphology, **found}

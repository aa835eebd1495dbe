"""What an experiment learns, and what it is judged by: the target, or rows of data that are parted in two."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.errors import DataError, quoted
from minigan.probability.empirical import Empirical
from minigan.training.config import Config
from minigan.training.data import Data
from minigan.training.draws import stream
from minigan.training.labels import Labels, describe, kept_out, of_mixture, of_rows
from minigan.training.units import names_of, notes_on_spread, read_distribution, refuse_extremes

LARGE = 500  # from so many rows on a share is always held out


@dataclass(frozen=True)
class Material:
    """What an experiment learns.

    distribution       what real data are drawn from: the target, or the training rows
    names              of its features
    labels             of a conditional run: its classes, and p(x | C_k) of each
    held_out           the rows that judge (all of them, where they are too few to split); of a target of
                       several features as many as are generated to be judged, of one feature None: the
                       distribution itself judges
    held_classes       the numbers of their classes
    digest             of the data set, if there is one
    judged_on_learned  whether the rows that train judge as well
    """

    distribution: Any
    names: tuple[str, ...] = ("x",)
    notes: tuple[str, ...] = ()
    labels: Labels | None = None
    held_out: np.ndarray | None = None
    held_classes: np.ndarray | None = None
    digest: str | None = None
    judged_on_learned: bool = False


def read_material(config: Config, data: Data | None) -> Material:
    """What a configuration has its run learn; ``data`` is the data set that it names.

    Raises:  ConfigError – for a target without the label asked for;  DataError – for data of no spread
    """
    return _of_target(config) if data is None else _of_data(config, data)


def _of_target(config: Config) -> Material:
    distribution: Any = read_distribution(config.target)  # of one feature or of several
    notes, labels = notes_on_spread(distribution), None
    if config.label is not None:
        labels = of_mixture(config.label, distribution)
        notes = (*notes, describe(labels))
    if distribution.features == 1:
        return Material(distribution, notes=notes, labels=labels)
    rng, count = stream(config.seed, "held"), config.eval_samples
    codes = None if labels is None else labels.codes(rng, count)
    rows = distribution.sample(rng, (count,)) if labels is None or codes is None else labels.rows(rng, codes)
    return Material(distribution, names_of(distribution), notes, labels, rows, codes)


def _of_data(config: Config, data: Data) -> Material:
    rows, features = data.values, data.values.shape[1]
    refuse_extremes(data)
    codes = None if data.marks is None else data.marks.codes
    kept = np.zeros(len(rows), bool)  # from training, to judge by
    share, enough = int(config.holdout * len(rows)), config.holdout_least
    if len(rows) >= LARGE or share >= enough:
        kept = kept_out(stream(config.seed, "split"), config.holdout, codes, len(rows))
    held = int(kept.sum())
    train, held_out = rows[~kept], rows[kept] if held else rows
    for part, purpose in ((train, "learn"), (held_out, "judge by")):
        if (part == part[0]).all():  # an almost constant data set, after the split
            raise DataError(
                f"all of the {len(part)} rows of {quoted(data.source)} to {purpose} are "
                f"{quoted(part[0].tolist())}, a distribution without a density; give more varied data, "
                "or keep them together with --set holdout=0"
            )
    notes, labels, held_classes = [*data.notes], None, None
    if data.marks is not None and codes is not None:
        labels = of_rows(data.marks, train, codes[~kept])
        held_classes = codes[kept] if held else codes
        notes.append(describe(labels, np.bincount(codes).tolist()))
    note = f"{held} of {len(rows)} rows are held out to judge the generator"
    if not held:
        why = f"holdout is {config.holdout:g}"
        if config.holdout and len(rows) < LARGE:
            why = f"holdout_least is {enough}, and holdout={config.holdout:g} would keep {share}"
        note = (
            f"none of the {len(rows)} rows are held out ({why}): the same ones train and judge, "
            "and a generator that repeats them would pass"
        )
    return Material(
        Empirical(train[:, 0] if features == 1 else train),
        data.names,
        (*notes, note),
        labels,
        held_out,
        held_classes,
        _digest(data),
        judged_on_learned=not held,
    )


def _digest(data: Data) -> str:
    """What tells data sets apart: their numbers, and their labels."""
    found = hashlib.blake2b(np.ascontiguousarray(data.values).tobytes(), digest_size=16)
    if data.marks is not None:
        found.update(repr((data.marks.classes, data.marks.codes.tolist())).encode())
    return found.hexdigest()

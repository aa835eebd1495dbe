"""The classes of a conditional run: their names, how likely each is, and how rows of each are drawn.

A label comes from a column of the data, or is the component of a mixture that a row was drawn from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.errors import ConfigError, nearest, quoted
from minigan.probability.empirical import Empirical
from minigan.probability.mixture import Mixture
from minigan.probability.multivariate import MultivariateMixture
from minigan.training.marks import MOST, Marks, text_of

COMPONENT = "component"  # the label of a mixture


@dataclass(frozen=True, eq=False)
class Labels:
    """The classes that a generator is told, p(C_k), and what is known of each p(x | C_k).

    name          of the label
    conditionals  a distribution for each; empty where only a generator was read, without its data

    Shapes:  priors (K,)
    """

    name: str
    classes: tuple[str, ...]
    priors: np.ndarray
    conditionals: tuple[Any, ...] = ()

    @property
    def count(self) -> int:
        """K."""
        return len(self.classes)

    def code(self, name: object) -> int:
        """The number of the class called so.    Raises:  ConfigError – for another name"""
        text = text_of(name)
        if text not in self.classes:
            shown = quoted(name if text is None else text)
            raise ConfigError(f"there is no class {shown}; {nearest(str(text), self.classes[:20])}")
        return self.classes.index(text)

    def one_hot(self, codes: np.ndarray, dtype: str) -> np.ndarray:
        """What networks are told.    Shapes:  (…) → (…, K)"""
        return np.eye(self.count, dtype=dtype)[codes]

    def codes(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Classes drawn by their priors; of more the first are the same.    Shapes:  → (count,)"""
        return self._of_levels(rng.random(count))

    def batches(
        self, rng: np.random.Generator, shape: tuple[int, ...], packing: int, even: bool
    ) -> np.ndarray:
        """Classes of batches along the last axis; ``even`` has each as often as its prior asks, but for one.

        Shapes:  → shape
        """
        u = rng.random(shape)
        if even:
            n = shape[-1] // packing
            keys = rng.random((*shape[:-1], n, packing))
            u = ((keys.argsort(axis=-2) + u.reshape(keys.shape)) / n).reshape(shape)
        return self._of_levels(u)

    def _of_levels(self, u: np.ndarray) -> np.ndarray:
        ends = np.cumsum(self.priors)
        return np.minimum(np.searchsorted(ends, u * ends[-1], side="right"), self.count - 1)

    def rows(
        self, rng: np.random.Generator, codes: np.ndarray, packing: int = 1, even: bool = False
    ) -> np.ndarray:
        """A row of p(x | C_k) for each code, in batches along the last axis.

        ``even`` has those of a class in a batch from slices of equal probability, where one feature has them.

        Shapes:  (…) → (…, p)
        """
        features = self.conditionals[0].features
        rows = np.empty((*codes.shape, features))
        levels = ranks(rng, codes, packing) if even and features == 1 else None
        for k, distribution in enumerate(self.conditionals):
            own = codes == k
            if levels is not None:
                found = distribution.quantile(levels[own])
            else:
                found = distribution.sample(rng, (int(own.sum()),))
            rows[own] = found.reshape(-1, features)
        return rows


def ranks(rng: np.random.Generator, codes: np.ndarray, packing: int = 1) -> np.ndarray:
    """Levels in (0, 1) of which the n that rows of one class have in a batch are one from each of n slices.

    In packs, a slice is of the rows at one place of a pack, which are then independent of each other.

    Shapes:  codes (…, B) → (…, B)
    """
    shape, n = codes.shape, codes.shape[-1] // packing
    codes = codes.reshape(*shape[:-1], n, packing)
    order = np.argsort(codes + rng.random(codes.shape), axis=-2)
    sorted_codes = np.take_along_axis(codes, order, axis=-2)
    begins = np.ones(codes.shape, bool)  # of a class
    begins[..., 1:, :] = np.diff(sorted_codes, axis=-2) != 0
    places = np.arange(n)[:, None]
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=-2)
    ends = np.ones(codes.shape, bool)
    ends[..., :-1, :] = begins[..., 1:, :]
    last = np.minimum.accumulate(np.where(ends, places, n)[..., ::-1, :], axis=-2)[..., ::-1, :]
    level = (places - first + rng.random(codes.shape)) / (last - first + 1)
    found = np.empty(codes.shape)
    np.put_along_axis(found, order, level, axis=-2)
    tiny = 2.0**-53
    return np.clip(found, tiny, 1 - tiny).reshape(shape)


def of_mixture(name: int | str, distribution: Any) -> Labels:
    """The components of a target as classes 0, 1 …    Raises:  ConfigError – for a target that has none"""
    if name != COMPONENT:
        raise ConfigError(
            f"label names a column of data, received {quoted(name)} with a target, whose only label is "
            f"{quoted(COMPONENT)}"
        )
    if not isinstance(distribution, (Mixture, MultivariateMixture)):
        raise ConfigError(
            f"label={COMPONENT} makes a class of each component of a mixture, and {distribution} is none; "
            "write one, as 0.5*normal(-1, 1) + 0.5*normal(1, 1)"
        )
    parts = [(w, c) for w, c in zip(distribution.weights, distribution.components, strict=True) if w > 0]
    if not 2 <= len(parts) <= MOST:
        raise ConfigError(f"a label has 2 to {MOST} classes, received a mixture of {len(parts)} components")
    weights = np.array([w for w, _ in parts])
    classes = tuple(str(k) for k in range(len(parts)))
    return Labels(COMPONENT, classes, weights / weights.sum(), tuple(c for _, c in parts))


def of_rows(marks: Marks, rows: np.ndarray, codes: np.ndarray) -> Labels:
    """The classes of training rows, each the distribution of its own.    Shapes:  rows (n, p), codes (n,)"""
    counts = np.bincount(codes, minlength=len(marks.classes))
    groups = [rows[codes == k] for k in range(len(marks.classes))]
    conditionals = tuple(Empirical(group[:, 0] if rows.shape[1] == 1 else group) for group in groups)
    return Labels(marks.name, marks.classes, counts / counts.sum(), conditionals)


def kept_out(rng: np.random.Generator, share: float, codes: np.ndarray | None, rows: int) -> np.ndarray:
    """Which rows are kept from training: a share of all, or of each class, of which two train at least.

    Shapes:  → (rows,), truth values
    """
    kept, order = np.zeros(rows, bool), rng.permutation(rows)
    groups = [order] if codes is None else [order[codes[order] == k] for k in range(int(codes.max()) + 1)]
    for group in groups:
        held = int(share * len(group))
        kept[group[: held if held > 1 else 0]] = True
    return kept


def stored(labels: Labels | None) -> dict[str, Any]:
    """What a checkpoint says of the classes; nothing without labels."""
    if labels is None:
        return {}
    return {"label": labels.name, "classes": labels.classes, "priors": labels.priors.tolist()}


def restored(state: Mapping[str, Any]) -> Labels | None:
    """The classes that a checkpoint tells of; None where there are none.

    Raises:  ValueError – for what are no classes
    """
    match state.get("label"), state.get("classes"), state.get("priors"):
        case None, None, None:
            return None
        case str(name), [*classes], [*priors]:
            names, shares = tuple(map(str, classes)), np.array(priors, float)
            alike = len({*names}) == len(names) == len(shares) >= 2
            if alike and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-6:
                return Labels(name, names, shares)
    raise ValueError("the classes in it do not fit each other")


def one_by_one(
    labels: Labels | None, condition: Any, count: int, drawn: Callable[[Labels], np.ndarray]
) -> np.ndarray | None:
    """The classes of ``count`` rows: those that a caller asks for, or ``drawn``; None without labels.

    Raises:  ConfigError – for a condition of a run without labels, an unknown class, or another number
    """
    if labels is None:
        if condition is not None:
            raise ConfigError("this run learned no label, so its rows have no class; leave the class out")
        return None
    if condition is None:
        return drawn(labels)
    one = isinstance(condition, (str, bytes)) or not hasattr(condition, "__len__") or np.ndim(condition) == 0
    condition = condition[()] if isinstance(condition, np.ndarray) and one else condition
    asked = [condition] * count if one else list(condition)
    if len(asked) != count:
        raise ConfigError(
            f"of {count} rows as many classes are needed, received {len(asked)}; give one for all, or one "
            "for each"
        )
    try:
        codes = {name: labels.code(name) for name in set(asked)}
    except TypeError:  # what cannot be in a set, as rows of an array
        raise ConfigError(
            f"a class is a text, a number or a truth value, received {quoted(asked[0])}"
        ) from None
    return np.array([codes[name] for name in asked])


def describe(labels: Labels, counts: Sequence[int] | None = None) -> str:
    """The classes in a note: "3 classes by species: setosa 50, …"."""
    shown = [
        f"{name} {f'{prior:.3g}' if counts is None else counts[k]}"
        for k, (name, prior) in enumerate(zip(labels.classes, labels.priors.tolist(), strict=True))
    ]
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return f"{labels.count} classes by {quoted(labels.name)}: {', '.join(shown[:6])}{more}"

"""What the generator and the discriminator of a run make and say, without the data that they learned."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigan.errors import ConfigError, DataError, quoted
from minigan.front.configuration import whole_of
from minigan.front.frames import as_frame, with_column
from minigan.front.wording import for_scripts
from minigan.training.labels import Labels
from minigan.training.saved import Trained

DRAW = 2**32  # of ``sample``: neither a step's nor the verdict's has this index


class Making:
    """The part of a Run that needs its checkpoint alone."""

    names: Any

    def _trained(self) -> Trained:
        raise NotImplementedError

    def _frames(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    @for_scripts
    def sample(self, n: int = 1000, *, seed: int = 0, condition: Any = None) -> np.ndarray:
        """``n`` generated rows: those of ``minigan sample RUN -n n --index seed``; a seed, the same rows.

        condition  of a conditional run: the class of all rows, or one for each; None for classes by their
                   priors, which ``labels`` then names

        Shapes:  → (n, p)
        Raises:  ConfigError – for what is no whole number, a class that is none, or rows that the memory does
                 not hold;  DivergedError – if the generator's rows are not finite
        """
        return self.draw(whole_of("n", n, 1), whole_of("seed", seed, 0), condition=condition)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that the run learned, in order; () without labels."""
        labels = self._trained().sampler.labels
        return () if labels is None else labels.classes

    @for_scripts
    def labels(self, n: int = 1000, *, seed: int = 0) -> np.ndarray:
        """The classes of the rows of ``sample(n, seed=seed)``, drawn by their priors.

        Shapes:  → (n,), texts
        Raises:  ConfigError – of a run without labels
        """
        self._labels()
        return np.array(self.told(whole_of("n", n, 1), whole_of("seed", seed, 0))[1])

    def told(self, count: int, index: int, condition: Any = None) -> tuple[tuple[str, ...], list[str]]:
        """The name of the label, and the class of each row of ``draw``; two empty ones without labels."""
        sampler = self._trained().sampler
        codes = sampler.codes(count, DRAW + index, condition)
        if sampler.labels is None or codes is None:
            return (), []
        return (sampler.labels.name,), [sampler.labels.classes[k] for k in codes.tolist()]

    def frame(self, n: int = 1000, *, seed: int = 0, condition: Any = None, library: str = "pandas") -> Any:
        """The rows of ``sample`` as a data frame with the names of the features, and a column of the classes.

        condition  as ``sample`` has it
        library    "pandas" or "polars"

        Raises:  as ``sample``, and UnavailableError – where the library is not installed
        """
        made = as_frame(library, self.sample(n, seed=seed, condition=condition), self.names)
        name, told = self.told(n, seed, condition)
        return with_column(library, made, name[0], told) if name else made

    def draw(self, count: int, index: int, *, condition: Any = None, beside: int = 0) -> np.ndarray:
        """As ``sample``, where so many bytes beside the rows are needed.    Shapes:  → (count, p)"""
        from minigan.machine import available_memory, require_memory
        from minigan.training.sampler import BLOCK

        trained = self._trained()
        # Latent vectors, rows and copies in float64.
        width = trained.sampler.latent_size + len(trained.names) + len(self.classes)
        size = count * 24 * width + beside
        advice = "draw fewer at a time, each with another --index"
        require_memory(size, f"drawing {count} rows", advice, available_memory())
        return trained.sample(count, DRAW + index, BLOCK, condition)

    @for_scripts
    def density(self, x: Any, *, condition: Any = None) -> np.ndarray:
        """The density of what the generator makes, at x: of one feature, made of one latent number.

        Exact but for the generator's 2000 pieces, and 0 beyond what it makes. Of a conditional run
        q(x | C_k) of the class that is the ``condition``, or without one Σ p(C_k) q(x | C_k).

        Shapes:  x (…) → (…)
        Raises:  ConfigError – where the generator has no density in a formula; its ``sample`` can be used
        """
        from minigan.front.density import pushed
        from minigan.gan.theory.diagnostics import pushforward_density

        return pushed(self._trained(), pushforward_density, x, condition)

    @for_scripts
    def cdf(self, x: Any, *, condition: Any = None) -> np.ndarray:
        """The distribution function of what the generator makes, at x, as ``density``.

        Shapes:  x (…) → (…)
        Raises:  ConfigError – as ``density``
        """
        from minigan.front.density import pushed
        from minigan.gan.theory.diagnostics import pushforward_cdf

        return pushed(self._trained(), pushforward_cdf, x, condition)

    def densities(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(step, edges, share in each bin) of the generator in training, along a finished run of one feature.

        Shapes:  edges (m + 1,), shares (m,)
        """
        frames = self._frames()
        if "q" in frames:
            edges = frames["edges"]
            for step, q in zip(frames["step"].tolist(), frames["q"], strict=True):
                yield step, edges, q * np.diff(edges)

    def weights(self) -> dict[str, np.ndarray]:
        """The parameters of generator, average and discriminator, as ``minigan export`` names them."""
        return {name: array for name, array in self._trained().arrays.items() if "." in name}

    @for_scripts
    def posterior(self, x: Any) -> np.ndarray:
        """p(C_k | x) by Bayes' rule from what the generator makes of each class: a classifier.

        Of one feature made of one latent number from q(x | C_k) as ``density`` has it; of others from a
        Gaussian kernel estimate on 5000 rows of each class, as wide as Scott's rule has it for a hundred,
        which has a say of its own in many features.

        Shapes:  x (n, p), or a table with the run's names → (n, K), in the order of ``classes``
        Raises:  ConfigError – of a run without labels;  DataError – for what are no such rows
        Source:  [T9]; Scott 1992, equation 6.42
        """
        from minigan.front.density import posterior_of
        from minigan.training.frames import read_rows

        return posterior_of(self._trained(), self._labels(), read_rows(x, self.names))

    @for_scripts
    def discriminator(self, x: Any, *, condition: Any = None) -> np.ndarray:
        """D(x), the share that D gives to real at x, in rows of the user's units; 1/2 where it cannot tell.

        condition  of a conditional run, whose D judges a row as one of a class: that of all, or of each

        Of a Wasserstein critic and a relativistic D, whose outputs are no probability and mean as much with
        any constant added, σ of it: 1/2 says nothing there.

        Shapes:  x (n, p), or (n,) of one feature, or a table with the run's names → (n,)
        Raises:  DataError – for what are no such rows
        """
        from minigan.training.frames import read_rows

        with np.errstate(all="ignore"):
            found = self._trained().judge(rows := read_rows(x, self.names), condition)
        if not (finite := np.isfinite(found)).all():
            k = int(finite.argmin())
            where = f"row {k + 1} of {len(rows)}, {quoted(rows[k].tolist())}"
            raise DataError(f"D has no finite value at {where}; leave out what is that far away")
        return found

    def _labels(self) -> Labels:
        """The classes.    Raises:  ConfigError – of a run without labels"""
        labels = self._trained().sampler.labels
        if labels is None:
            raise ConfigError("this run learned no label, so it knows no classes; fit with y or label")
        return labels

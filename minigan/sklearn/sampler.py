"""GANSampler: a GAN as an estimator of scikit-learn, whose parameters are the settings of a run.

Names, defaults, rules and descriptions of the parameters are read off ``minigan.training.config``.
"""

import importlib
import inspect
import re
from typing import Any, Self

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from minigan.arguments import whole
from minigan.errors import ConfigError, DataError, DivergedError, nearest
from minigan.evaluation.two_sample import energy_test
from minigan.machine import pinned
from minigan.sklearn.inputs import checked
from minigan.training.config import Config, fields
from minigan.training.data import Data
from minigan.training.draws import stream
from minigan.training.experiment import Experiment
from minigan.training.limits import check
from minigan.training.sampler import BLOCK, Sampler
from minigan.training.settings import build
from minigan.training.table_form import default_names

LEFT_OUT = frozenset((  # what fit is given, what random_state says, what others judge, what files keep
    "name", "target", "data", "columns", "header", "drop_nonfinite", "seed", "holdout", "eval_every",
    "eval_samples", "checkpoint_seconds", "checkpoint_keep",
))  # fmt: skip
SETTINGS = {  # the setting of a run that each parameter is
    name.replace(".", "__"): name for name in fields() if name not in LEFT_OUT
}
DRAWS = 2**32  # the first draw of ``minigan sample``, whose --index is the random_state
SCORED = 2000  # rows a side between which all distances are taken
FRAMES = {  # how a library makes a data frame of rows and names
    "pandas": lambda library, rows, names: library.DataFrame(rows, columns=names),
    "polars": lambda library, rows, names: library.DataFrame(rows, schema=list(names), orient="row"),
}


class GANSampler(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """A generative adversarial network that learns the distribution of the rows of X, and draws new ones.

    It is the run of ``minigan train --data`` with the same settings and seed, and ``holdout=0``: all rows
    train, and what they are worth is said by ``score`` on others.
    """

    def __init__(self, *, random_state: Any = None, **settings: Any) -> None:
        for parameter, name in SETTINGS.items():
            setattr(self, parameter, settings.pop(parameter, fields()[name].default))
        self.random_state = random_state
        if settings:
            unknown = next(iter(settings))
            raise TypeError(
                f"GANSampler has no parameter {unknown!r}; {nearest(unknown, (*SETTINGS, 'random_state'))}"
            )

    def set_params(self, **params: Any) -> Self:
        """Change parameters by name; they count from the next fit on.

        Raises:  ValueError – for an unknown name
        """
        known = self.get_params(
            deep=False
        )  # whose __ part a group from its setting, no estimator from its own
        if unknown := [name for name in params if name not in known]:
            raise ValueError(f"GANSampler has no parameter {unknown[0]!r}; {nearest(unknown[0], known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: object = None) -> Self:
        """Train on the rows of X, ``steps`` rounds of the game.

        Shapes:  X (n, p), an array or a data frame
        Raises:  ValueError – for X that is no table of finite numbers, or a parameter that is refused;
                 DivergedError – where numbers stop being finite
        """
        X = checked(self, X, least=2)
        names = tuple(getattr(self, "feature_names_in_", default_names(X.shape[1])))
        seed = _whole(self.random_state)
        try:
            config = self._config(seed)
            check(config, features=X.shape[1])
            experiment = Experiment(config, data=Data(X, names, (), "X"))
        except (ConfigError, DataError) as refused:
            raise ValueError(_with_our_names(str(refused))) from None
        with pinned(config.threads), np.errstate(all="ignore"):
            experiment.advance(config.steps)
        if not np.isfinite(experiment.averaged.parameters.flat.numpy()).all():
            raise DivergedError(
                "the parameters of G stopped being finite; lower generator_optimizer__rate and "
                "discriminator_optimizer__rate"
            )
        self.seed_, self._sampler = seed, experiment.sampler()
        return self

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """New rows, drawn from the generator.

        random_state  which rows: a number for the same ones each time, those of ``minigan sample --index``;
                      None for that of the estimator

        Shapes:  → (n_samples, p); a data frame with the names of X after ``set_output``
        """
        index = _whole(self.random_state if random_state is None else random_state)
        return self._framed(self._draw(n_samples, index))

    def score(self, X: Any, y: object = None) -> float:
        """Minus the energy distance between X and 2000 new rows: near 0 at best, and higher is better.

        Each feature is measured in standard deviations of the rows that trained, of more than 2000 rows of X
        so many are drawn at random, and two calls give one number.

        Shapes:  X (n, p)
        Source:  Székely & Rizzo 2004
        """
        check_is_fitted(self, "seed_")
        X = checked(self, X, reset=False, least=2)
        units, rng = self._sampler.units, stream(self.seed_, "verdict")
        real, made = units.to_network(X), units.to_network(self._draw(max(len(X), SCORED), 0))
        found = energy_test(real, made, rng, permutations=1, rows=SCORED)
        return -float(found.statistic)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """The names of the columns of a sample: those of X, or x0, x1 … where it had none."""
        check_is_fitted(self, "seed_")
        names = getattr(self, "feature_names_in_", default_names(self.n_features_in_))
        return np.asarray(names, dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Have ``sample`` give "pandas" or "polars" data frames, or arrays, "default"; None: as before.

        Raises:  ValueError – for another name
        """
        if transform not in (None, "default", *FRAMES):
            raise ValueError(f"transform is one of default, {', '.join(FRAMES)}; received {transform!r}")
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}  # where clone looks for it
        return self

    def _config(self, seed: int) -> Config:
        given: dict[str, Any] = {"name": "GANSampler", "data": "X", "holdout": 0.0, "seed": seed}
        for parameter, name in SETTINGS.items():
            value = getattr(self, parameter)
            value = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
            given[name] = list(value) if isinstance(value, tuple) else value
        return build({name: (value, "GANSampler") for name, value in given.items()})

    def _draw(self, count: int, index: int) -> np.ndarray:
        check_is_fitted(self, "seed_")
        sampler: Sampler = self._sampler
        with np.errstate(all="ignore"):
            return sampler.sample(whole("n_samples", count), DRAWS + index, BLOCK)

    def _framed(self, rows: np.ndarray) -> Any:
        """Rows as what ``set_output`` asks for."""
        own = getattr(self, "_sklearn_output_config", {})
        chosen = own.get("transform", get_config()["transform_output"])
        if chosen not in FRAMES:
            return rows
        return FRAMES[chosen](importlib.import_module(chosen), rows, self.get_feature_names_out())


def _whole(random_state: Any) -> int:
    """The number that a random_state is, or gives."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _with_our_names(text: str) -> str:
    """A refusal of settings with the names that they have as parameters."""
    ours = {name: parameter for parameter, name in SETTINGS.items()} | {"seed": "random_state"}
    return re.sub(r"[a-z_]+(\.[a-z0-9_]+)?", lambda found: ours.get(found[0], found[0]), text)


def _describe_parameters() -> str:
    """The parameters as numpydoc has them, which scikit-learn's tools read."""
    about = "root of all randomness: the same number, the same generator and the same samples"
    lines = ["random_state : int, RandomState or None, default=None", f"    {about}"]
    for parameter, name in SETTINGS.items():
        field = fields()[name]
        lines += [f"{parameter} : {field.rule}, default={field.default!r}", f"    {field.description}"]
    return "\n".join(["Parameters", "----------", *lines])


_signed: Any = GANSampler.__init__
_signed.__signature__ = inspect.Signature([
    inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
    inspect.Parameter("random_state", inspect.Parameter.KEYWORD_ONLY, default=None),
    *(
        inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY, default=fields()[name].default)
        for parameter, name in SETTINGS.items()
    ),
])  # fmt: skip
GANSampler.__doc__ = f"{inspect.getdoc(GANSampler)}\n\n{_describe_parameters()}"

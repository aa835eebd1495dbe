"""GANSampler: a run as an estimator of scikit-learn, whose parameters are the settings of the run.

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
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from minigan.errors import ConfigError, DataError, nearest, quoted
from minigan.evaluation.two_sample import energy_test
from minigan.front.fitting import fit
from minigan.front.run import SCORED, SCORING, Run
from minigan.sklearn.inputs import checked
from minigan.training.config import fields
from minigan.training.data import Data
from minigan.training.draws import stream
from minigan.training.frames import named_label
from minigan.training.marks import Marks, marks_of, refuse_missed
from minigan.training.table_form import default_names

LEFT_OUT = frozenset((  # what fit is given, what random_state says, what files keep
    "name", "target", "data", "columns", "header", "label", "drop_nonfinite", "seed", "checkpoint_seconds",
    "checkpoint_keep",
))  # fmt: skip
SETTINGS = {  # the setting of a run that each parameter is
    name.replace(".", "__"): name for name in fields() if name not in LEFT_OUT
}
OWN = {  # all rows train, only the end is looked at, and every parameter is a setting of its own
    "holdout": 0.0,
    "eval_every": 10**9,
    "method": "plain",
}
DEFAULTS = {parameter: OWN.get(name, fields()[name].default) for parameter, name in SETTINGS.items()}
FRAMES = {  # how a library makes a data frame of rows and names
    "pandas": lambda library, rows, names: library.DataFrame(rows, columns=names),
    "polars": lambda library, rows, names: library.DataFrame(rows, schema=list(names), orient="row"),
}


def _has_one_feature(sampler: Any) -> bool:
    return getattr(sampler, "n_features_in_", 1) == 1


class GANSampler(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """A generative adversarial network that learns the distribution of the rows of X, and draws new ones.

    It is ``mg.fit(X, method="plain")`` with these settings, since each of them is a parameter, but that all
    rows train and that only the end is looked at: ``holdout=0.2, eval_every=200`` makes it the same.
    ``score`` says what it is worth on other rows. Labels y make it conditional, ``mg.fit(X, y=y)``: it draws
    rows of the classes that it is asked for.

    After ``fit``: run_, the Run of ``mg.fit``, with its verdict, metrics and pages; seed_, n_features_in_,
    and feature_names_in_ of a data frame; with labels classes_, and class_prior_, their shares. A pickle has
    the run without the rows that it learned.

    >>> from minigan.sklearn import GANSampler
    >>> X = np.random.default_rng(0).normal(4, 1.25, (200, 1))
    >>> sampler = GANSampler(steps=20, random_state=0).fit(X)
    >>> sampler.sample(3).shape
    (3, 1)
    >>> y = np.where(X[:, 0] > 4, "high", "low")
    >>> GANSampler(steps=20, random_state=0).fit(X, y).sample(5, y="low").shape
    (5, 1)
    """

    def __init__(self, *, random_state: Any = None, **settings: Any) -> None:
        for parameter, default in DEFAULTS.items():
            setattr(self, parameter, settings.pop(parameter, default))
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on the rows of X, ``steps`` rounds of the game.

        y  the class of each row, whole numbers, texts or truth values, two rows of each at least: p(x | y) is
           learned; None for p(x)

        Shapes:  X (n, p), an array or a data frame, y (n,)
        Raises:  ValueError – for X that is no table of finite numbers, y that are no labels of its rows, or a
                 parameter that is refused;  DivergedError – where numbers stop being finite
        """
        if y is None:
            rows, codes = checked(self, X, least=2), None
        else:
            rows, codes = checked(self, X, y, least=2)
        names, seed = tuple(self._names()), _whole(self.random_state)
        settings = {parameter: getattr(self, parameter) for parameter in SETTINGS}
        settings |= {"name": "GANSampler", "columns": None, "header": None}  # whatever the environment says
        try:
            marks = None if codes is None else _marks(named_label(y), codes)
            settings["label"] = None if marks is None else marks.name
            self.run_ = fit(Data(rows, names, (), "X", marks), seed=seed, progress=False, **settings)
        except (ConfigError, DataError) as refused:
            raise ValueError(_with_our_names(str(refused))) from None
        self._learn_classes(marks, codes)
        self.seed_, sd = seed, rows.std(axis=0)
        self._sd = np.where(sd > 0, sd, 1.0)
        return self

    def _learn_classes(self, marks: Marks | None, y: Any) -> None:
        """The classes as y has them, in the order of those of the run; none of a fit without y."""
        for name in ("classes_", "class_prior_"):
            if hasattr(self, name):
                delattr(self, name)
        if marks is not None:
            first = [int(np.argmax(marks.codes == k)) for k in range(len(marks.classes))]
            self.classes_ = np.asarray(y)[first]
            self.class_prior_ = np.bincount(marks.codes) / len(marks.codes)

    def sample(
        self, n_samples: int = 1, random_state: Any = None, *, y: Any = None, return_y: bool = False
    ) -> Any:
        """New rows, drawn from the generator.

        random_state  which rows: a number for the same ones each time, those of ``run_.sample(n, seed=…)``;
                      None for that of the estimator
        y             of a sampler that learned labels: the class of all rows, or of each; None for classes
                      drawn by class_prior_
        return_y      whether to return the classes too, (rows, y)

        Shapes:  → (n_samples, p); a data frame with the names of X after ``set_output``
        Raises:  ValueError – for what is no whole number above 0, a class that was not learned, or rows that
                 the memory does not hold
        """
        check_is_fitted(self, "seed_")
        draw = _whole(self.random_state if random_state is None else random_state)
        try:
            if (y is not None or return_y) and not self.run_.classes:
                raise ConfigError("fit was given no y, so no row has a class; fit(X, y), or leave y out here")
            rows = self.run_.sample(n_samples, seed=draw, condition=y)
            told = self._told(n_samples, draw, y) if return_y else None
        except ConfigError as refused:
            raise ValueError(_with_our_names(str(refused))) from None
        own = getattr(self, "_sklearn_output_config", {})
        chosen = own.get("transform", get_config()["transform_output"])
        if chosen in FRAMES:
            rows = FRAMES[chosen](importlib.import_module(chosen), rows, self.get_feature_names_out())
        return (rows, told) if return_y else rows

    def _told(self, count: int, draw: int, y: Any = None) -> np.ndarray:
        """The classes of the rows of a draw, as y of ``fit`` has them."""
        place = {name: k for k, name in enumerate(self.run_.classes)}
        told: np.ndarray = self.classes_[[place[name] for name in self.run_.told(count, draw, y)[1]]]
        return told

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the energy distance between X and 2000 new rows: near 0 at best, and higher is better.

        Each feature is measured in standard deviations of the rows that trained, of more than 2000 rows of X
        so many are drawn at random, and two calls give one number. Of a sampler that learned labels and with
        y it is that of rows beside their classes, of which two are √2 apart.

        Shapes:  X (n, p), y (n,)
        Raises:  ValueError – for a class that was not learned
        Source:  Székely & Rizzo 2004
        """
        check_is_fitted(self, "seed_")
        made = self.run_.draw(SCORED, SCORING) / self._sd
        if y is None or not self.run_.classes:
            X = checked(self, X, reset=False, least=2) / self._sd
        else:
            X, y = checked(self, X, y, reset=False, least=2)
            X = self._beside(X / self._sd, y)
            made = self._beside(made, self._told(SCORED, SCORING))
        rng = stream(self.seed_, "verdict")
        return -float(energy_test(X, made, rng, permutations=1, rows=SCORED).statistic)

    def _beside(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Rows with their classes as columns.    Raises:  ValueError – for a class that was not learned"""
        told = np.asarray(y)[:, None] == self.classes_
        if not (known := told.any(axis=1)).all():
            raise ValueError(
                f"y has the class {quoted(np.asarray(y)[~known][0].item())}, which was not learned; "
                f"{nearest('', [str(name) for name in self.classes_[:20]])}"
            )
        return np.column_stack([rows, told])

    @available_if(_has_one_feature)  # type: ignore[untyped-decorator]
    def score_samples(self, X: Any) -> np.ndarray:
        """ln q(x) of one feature that is made of one latent number; −∞ where the generator makes nothing.

        Of a sampler that learned labels q is that of all classes, each with its prior.

        Shapes:  X (n, 1) → (n,)
        Units:   nats
        Raises:  ValueError – where the generator has no density in a formula
        """
        check_is_fitted(self, "seed_")
        X = checked(self, X, reset=False)
        try:
            with np.errstate(divide="ignore"):
                logs: np.ndarray = np.log(self.run_.density(X[:, 0]))
        except ConfigError as refused:
            raise ValueError(str(refused)) from None
        return logs

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """The names of the columns of a sample: those of X, or x0, x1 … where it had none."""
        check_is_fitted(self, "seed_")
        return np.asarray(self._names(), dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Have ``sample`` give "pandas" or "polars" data frames, or arrays, "default"; None: as before.

        Raises:  ValueError – for another name
        """
        if transform not in (None, "default", *FRAMES):
            raise ValueError(f"transform is one of default, {', '.join(FRAMES)}; received {transform!r}")
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}  # where clone looks for it
        return self

    def _names(self) -> Any:
        return getattr(self, "feature_names_in_", default_names(self.n_features_in_))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | ({"run_": RunWithoutRows(self.run_)} if "run_" in state else {})


class RunWithoutRows(Run):
    """A run that came out of a pickle: all of it but the rows that it learned, and what needs these."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.directory)
        self._judged = run.verdict

    def _refuse(self, *_: object, **__: object) -> Any:
        raise DataError(
            "this run came out of a pickle, without the rows that it learned: it samples, and has its "
            "verdict and metrics; ask the run that was fitted, or fit again"
        )

    _opened = go_on = save = _refuse


def _marks(name: str, y: np.ndarray) -> Marks:
    """Labels as a run has them.    Raises:  ValueError, DataError – for what are no classes"""
    numbers = y.dtype.kind in "fc"
    if numbers and (part := y != np.floor(y.real)).any():
        raise ValueError(
            f"y are classes: whole numbers, texts or truth values; received {quoted(y[part][0].item())}; "
            "leave y out to learn X alone"
        )
    marks = marks_of(name, values := y.tolist(), "y")
    refuse_missed(marks, values, "y", "leave the rows out")
    return marks


def _whole(random_state: Any) -> int:
    """The number that a random_state is, or gives."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _with_our_names(text: str) -> str:
    """A refusal with the names that settings and arguments have here."""
    ours = {name: parameter for parameter, name in SETTINGS.items()} | {
        "seed": "random_state",
        "n": "n_samples",
    }
    return re.sub(r"[a-z_]+(\.[a-z0-9_]+)?", lambda found: ours.get(found[0], found[0]), text)


def _describe_parameters() -> str:
    """The parameters as numpydoc has them, which scikit-learn's tools read."""
    about = "root of all randomness: the same number, the same generator and the same samples"
    lines = ["random_state : int, RandomState or None, default=None", f"    {about}"]
    for parameter, name in SETTINGS.items():
        lines += [f"{parameter} : {fields()[name].rule}, default={DEFAULTS[parameter]!r}"]
        lines += [f"    {fields()[name].description}"]
    return "\n".join(["Parameters", "----------", *lines])


_signed: Any = GANSampler.__init__
_signed.__signature__ = inspect.Signature([
    inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
    *(
        inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY, default=default)
        for parameter, default in ({"random_state": None} | DEFAULTS).items()
    ),
])  # fmt: skip
GANSampler.__doc__ = f"{inspect.getdoc(GANSampler)}\n\n{_describe_parameters()}"

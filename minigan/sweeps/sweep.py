"""Many runs from one file: every combination of the values that it varies, each a run directory of its own.

Runs that differ in numbers alone (seed, rates, penalty weights) train together as one program; groups of
other structure are jobs (job.py). Each run has the bits that it would have alone. Here are the plan, its
directory and the table that comes out.
"""

import csv
import io
import itertools
import json
import math
import os
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from minigan.errors import (
    ConfigError,
    DataError,
    MiniganError,
    nearest,
    quoted,
)
from minigan.evaluation.verdict import wilson
from minigan.probability.text_form import parse
from minigan.sweeps.compare import RENAMED, RESULTS, summarise, unknown_column
from minigan.sweeps.processes import RANGE
from minigan.training.config import Config, fields, indented, replace, to_json
from minigan.training.limits import check
from minigan.training.methods import are_even, is_even
from minigan.training.settings import RENAMED as RENAMED_SETTINGS
from minigan.training.settings import build, from_json, named, read_file, with_method
from minigan.training.spellings import meant

SCHEMA = 1  # of sweep.json
MAX_RUNS = 10_000
DONE = ("finished", "diverged")  # what a restart leaves alone: it would come out the same
SUCCESS = "ks_p >= 0.05"
CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|<|>|==)\s*([-+.\de]+)\s*")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "==": lambda a, b: a == b,
}
COLUMN = re.compile(r"[a-z]\w*(?=\s*[<>=])")  # of a condition
KEYS = ("name", "preset", "success", "set", "vary")


@dataclass(frozen=True)
class Sweep:
    """A plan: the configurations in order, what varies between them, and what counts as success.

    settings  of each run, the varied ones alone, by dotted name
    success   conditions on columns of the results, joined by "and"
    """

    name: str
    configs: tuple[Config, ...]
    settings: tuple[dict[str, Any], ...]
    success: str = SUCCESS

    @property
    def varied(self) -> tuple[str, ...]:
        """The names of the settings that vary."""
        return tuple(self.settings[0])

    def to_json(self) -> bytes:
        """What sweep.json holds."""
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "success": self.success,
            "runs": [
                {"settings": settings, "config": json.loads(to_json(config))}
                for settings, config in zip(self.settings, self.configs, strict=True)
            ],
        }
        return indented(content, 1)


class Rate(NamedTuple):
    """How often runs of the same settings, but for the seed, succeeded: with Wilson's 95 % interval."""

    settings: dict[str, Any]
    runs: int
    successes: int
    share: float
    low: float
    high: float
    median_ks: float | None


@dataclass(frozen=True)
class Results:
    """The table of a sweep: a row per run, a rate per setting, and what is missing.

    rows     {"run", "path", "status", "step", the varied settings, RESULTS of compare, "success"}
    missing  numbers of the runs that have not ended
    """

    rows: tuple[dict[str, Any], ...]
    rates: tuple[Rate, ...]
    missing: tuple[int, ...]


# ── the plan


def read_sweep(path: str | Path, sets: Sequence[str] = ()) -> Sweep:
    """The sweep that a TOML or JSON file describes, with ``key=value`` texts on top.

    Keys: name; preset, the experiment to begin with; set, a table of settings as in a configuration; vary, a
    table of lists, or "0:64" for the integers from 0 to 63; success, as "ks_p >= 0.05".

    Raises:  ConfigError – if it is not that, or a configuration is refused
    """
    from minigan.training.settings import layers

    content = read_file(Path(path))
    for key in content:
        if key not in KEYS:
            advice = nearest(str(key), KEYS)
            if key in fields() or meant(str(key))[0]:
                advice = "settings stand in its tables set, for all runs, and vary"
            raise ConfigError(f"a sweep has no {quoted(key)}; {advice}")
    name, success = content.get("name", Path(path).stem), content.get("success", SUCCESS)
    if not isinstance(name, str) or not isinstance(success, str):
        raise ConfigError(
            f"name and success of a sweep are text, received {quoted(name)} and {quoted(success)}"
        )
    conditions(success)
    base = {"name": (name, "the sweep")}
    tables = {key: _table(content.get(key, {}), key) for key in ("set", "vary")}
    preset = content.get("preset")
    if preset is not None and not isinstance(preset, str):
        raise ConfigError(f"preset of a sweep is a name, received {quoted(preset)}")
    for source, layer in layers(preset=preset):
        base |= {key: (value, source) for key, value in named(layer) if key != "name"}
    base |= {key: (value, "set") for key, value in named(tables["set"])}
    for source, layer in layers(sets=sets):
        base |= {key: (value, source) for key, value in named(layer)}
    varied = {key: _values(key, value) for key, value in named(tables["vary"])}
    count = math.prod(map(len, varied.values()))
    if not varied or count > MAX_RUNS:
        raise ConfigError(
            f"a sweep varies at least one setting and has at most {MAX_RUNS} runs, received {len(varied)} "
            f'settings and {count} runs; write for example vary = {{seed = "0:10"}}'
        )
    configs, settings, checked = [], [], set[Config]()
    alike, between = dict[str, Config](), _between(varied.get("seed", []))
    digits = max(4, len(str(count - 1)))
    for number, values in enumerate(itertools.product(*varied.values())):
        own = dict(zip(varied, values, strict=True))
        label = f"{base['name'][0]}-{number:0{digits}}"
        settings.append(own)
        kind = json.dumps([value for key, value in own.items() if key != "seed"])
        if kind in alike and between(own.get("seed")):  # of many seeds the rest is the same
            configs.append(replace(alike[kind], seed=own["seed"], name=label))
            continue
        given = base | {"name": (label, "the sweep")} | {key: (value, "vary") for key, value in own.items()}
        config = build(given)
        origins = {key: given[key][1] if key in given else "default" for key in fields()}
        config, _ = with_method(config, origins, *_shape(config))
        if replace(config, seed=0, name="") not in checked:  # once for all seeds
            checked.add(_checked(config))
        configs.append(config)
        alike[kind] = config
    return Sweep(str(base["name"][0]), tuple(configs), tuple(settings), success)


def _between(seeds: Sequence[Any]) -> Callable[[Any], bool]:
    """Whether a seed lies between the ends of these, and so is allowed where both ends are."""
    if not seeds or not all(type(seed) is int for seed in seeds):
        return lambda seed: False
    low, high = min(seeds), max(seeds)
    return lambda seed: low < seed < high


def _table(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} of a sweep is a table of settings, received {quoted(value)}")
    return value


def _values(name: str, given: Any) -> list[Any]:
    """The values that a setting takes in turn."""
    if (
        isinstance(given, str)
        and (span := RANGE.fullmatch(given))
        and isinstance(fields()[name].default, int)
    ):
        first, end = int(span[1]), int(span[2])
        if not first < end <= first + MAX_RUNS:
            raise ConfigError(f"vary.{name} goes from a number to a larger one, received {quoted(given)}")
        return list(range(first, end))
    if not isinstance(given, list) or not given:
        raise ConfigError(
            f'vary.{name} is a list of values, or for integers "from:end"; received {quoted(given)}'
        )
    if len({json.dumps(value) for value in given}) < len(given):
        raise ConfigError(f"vary.{name} has a value twice: {quoted(given)}; give each once")
    return given


def _shape(config: Config) -> tuple[int, bool]:
    """Features, and whether they are even, also of a target that was not read yet.

    Raises:  ConfigError – if it names none
    """
    if config.data is not None:
        return features_of(config), _even(*_file_of(config))
    from minigan.training.units import read_distribution

    distribution = read_distribution(config.target)
    return distribution.features, is_even(distribution)


def _checked(config: Config) -> Config:
    """What was checked: all but seed and name."""
    check(config, features=None if config.data is None else features_of(config))
    return replace(config, seed=0, name="")


@lru_cache(maxsize=4)
def _read(path: str, version: tuple[int, int], *selection: Any) -> Any:
    from minigan.training.data import read_data

    columns, drop_nonfinite, header, label = selection
    return read_data(path, columns=columns, drop_nonfinite=drop_nonfinite, header=header, label=label)


def data_of(config: Config) -> Any:
    """The data set of a configuration, read once for all runs of it; None where it names none.

    Raises:  DataError – if it is refused
    """
    if config.data is None:
        return None
    return _read(*_file_of(config))


@lru_cache(maxsize=4)
def _even(*file: Any) -> bool:
    return are_even(_read(*file).values)


def _file_of(config: Config) -> Any:
    """What ``_read`` takes."""
    selection = config.columns, config.drop_nonfinite, config.header, config.label
    return config.data, _version_of(str(config.data)), *selection


def _version_of(file: str | Path) -> tuple[int, int]:
    """What changes when a file does: a worker lives long."""
    try:
        status = os.stat(file)
        return status.st_mtime_ns, status.st_size
    except (OSError, ValueError):
        return 0, 0  # the reader says why


def features_of(config: Config) -> int:
    """How many features a row of a configuration's target or data has.    Raises:  DataError – as data_of"""
    data = data_of(config)
    return parse(config.target).features if data is None else data.values.shape[1]


def conditions(success: str) -> list[tuple[str, str, float]]:
    """The (column, relation, bound) of "ks_p >= 0.05 and modes == 8".

    Raises:  ConfigError – if it is not that
    """
    found = []
    for part in success.split(" and "):
        match = CONDITION.fullmatch(part)
        try:
            found.append((match[1], match[2], float(match[3])))  # type: ignore[index]
        except (TypeError, ValueError):
            raise ConfigError(
                f"success is one or more of COLUMN RELATION NUMBER joined by and, as {SUCCESS!r}; "
                f"received {quoted(success)}"
            ) from None
        if found[-1][0] not in RESULTS:
            raise unknown_column(found[-1][0], RESULTS)
    return found


# ── the directory


def create(root: str | Path, sweep: Sweep) -> Path:
    """A new directory for ``sweep``; returns its path.

    Raises:  StorageError – if it cannot be made
    """
    from minigan.storage.directory import unique_path
    from minigan.storage.files import storage_error, write_atomic

    path = unique_path(root, sweep.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        (path / "runs").mkdir()
    except (OSError, ValueError) as error:
        raise storage_error(error, path) from None
    write_atomic(path / "sweep.json", sweep.to_json())
    return path


def load(path: str | Path) -> Sweep:
    """The sweep whose directory is ``path``; its configurations are vetted as those from any file.

    Raises:  DataError – if it is not a sweep's directory;  ConfigError – if a configuration is refused
    """
    file = Path(path) / "sweep.json"
    return _load(file, _version_of(file))


@lru_cache(maxsize=2)  # each of the jobs of a large sweep needs all of it
def _load(file: Path, version: tuple[int, int]) -> Sweep:
    from minigan.storage.files import read_bounded, read_object

    content = read_object(read_bounded(file, MAX_RUNS * 2**14)) or {}
    match content:
        case {"schema": 1, "name": str(name), "success": str(success), "runs": [_, *_] as runs}:
            success = COLUMN.sub(lambda name: RENAMED.get(name[0], name[0]), success)
            conditions(success)
        case _:
            raise DataError(f"{quoted(str(file))} is damaged: it is no sweep; begin a new one")
    configs, settings = list[Config](), list[dict[str, Any]]()
    known = {*fields(), *RENAMED_SETTINGS}
    for entry in runs[:MAX_RUNS]:
        match entry:
            case {"settings": dict(own), "config": dict(config)} if own and own.keys() <= known:
                stored = named(config, stored=True)
                configs.append(build({key: (value, "the sweep") for key, value in stored}))
                settings.append(dict(named(own, stored=True)))
            case _:
                raise DataError(f"{quoted(str(file))} is damaged: {quoted(entry)} is no run; begin a new one")
    return Sweep(name, tuple(configs), tuple(settings), success)


def run_path(path: str | Path, number: int) -> Path:
    """The directory of a run of the sweep in ``path``."""
    return Path(path) / "runs" / f"{number:04d}"


def is_done(path: str | Path, number: int) -> bool:
    """Whether a run has ended, well or badly."""
    from minigan.storage.directory import RunDirectory

    try:
        return RunDirectory.open(run_path(path, number)).read_status().get("status") in DONE
    except MiniganError:
        return False


def refuse_others(path: str | Path, sweep: Sweep) -> None:
    """Refuse a directory in the place of a run that holds another one, as after it was moved or copied there.

    Raises:  DataError – with its name
    """
    from minigan.storage.files import read_bounded

    for number, config in enumerate(sweep.configs):
        file = run_path(path, number) / "config.json"
        try:
            text = read_bounded(file)
            if text == to_json(config) or from_json(text) == config:
                continue
        except MiniganError:  # it is missing or damaged, and written anew when the run is opened
            continue
        raise DataError(
            f"{quoted(str(file.parent))} holds another run than run {number} of the sweep; move it away, and "
            "the run is trained anew"
        )


# ── the results


def results(path: str | Path, sweep: Sweep) -> Results:
    """What the run directories hold by now."""
    from minigan.storage.directory import RunDirectory

    rows, missing = [], []
    bounds = conditions(sweep.success)
    for number, own in enumerate(sweep.settings):
        found = None
        with suppress(MiniganError):  # it was not begun
            found = summarise(RunDirectory.open(run_path(path, number)), own, [])
        status = None if found is None else found.status
        if status not in DONE:
            missing.append(number)
        values = dict.fromkeys(RESULTS) if found is None else found.results
        success = status == "finished" and all(
            (value := values[column]) is not None and COMPARE[relation](value, bound)
            for column, relation, bound in bounds
        )
        rows.append({
            "run": number, "path": str(run_path("", number)), "status": status or "missing",
            "step": None if found is None else found.step, **own, **values, "success": success,
        })  # fmt: skip
    return Results(tuple(rows), tuple(_rates(rows, sweep.varied)), tuple(missing))


def _rates(rows: Sequence[dict[str, Any]], varied: Sequence[str]) -> Iterator[Rate]:
    names = [name for name in varied if name != "seed"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["status"] in DONE:
            groups.setdefault(json.dumps([row[name] for name in names]), []).append(row)
    for group in groups.values():
        successes = sum(row["success"] for row in group)
        ks = [row["ks"] for row in group if row["ks"] is not None]
        yield Rate(
            {name: group[0][name] for name in names}, len(group), successes, successes / len(group),
            *wilson(successes, len(group)), statistics.median(ks) if ks else None,
        )  # fmt: skip


def write_results(path: str | Path, sweep: Sweep) -> Results:
    """Write results.jsonl, results.csv and rates.json; the results."""
    from minigan.storage.files import write_atomic

    found = results(path, sweep)
    lines = "".join(json.dumps(row) + "\n" for row in found.rows)
    write_atomic(Path(path) / "results.jsonl", lines.encode())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found.rows[0])
    for row in found.rows:
        writer.writerow(json.dumps(v) if isinstance(v, (list, dict)) else v for v in row.values())
    write_atomic(Path(path) / "results.csv", text.getvalue().encode())
    rates = {"success": sweep.success, "rates": [rate._asdict() for rate in found.rates]}
    write_atomic(Path(path) / "rates.json", indented(rates, 1))
    return found

"""fit and load: a run that is trained now, or was before."""

import os
from collections.abc import Callable
from typing import Any

from minigan.front.configuration import Request, path_of, request_of, whole_of
from minigan.front.keeping import with_data_in, write_data
from minigan.front.progress import person, refuse_deaf
from minigan.front.run import Run
from minigan.front.wording import for_scripts
from minigan.storage.directory import RunDirectory, unique_path
from minigan.storage.memory import MemoryRun
from minigan.training.config import to_json
from minigan.training.experiment import Experiment


@for_scripts
def fit(
    target_or_data: Any = None,
    /,
    *,
    y: Any = None,
    preset: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    on_evaluation: Callable[[dict[str, Any]], object] | None = None,
    progress: bool | None = None,
    detect_anomaly: bool = False,
    **settings: Any,
) -> Run:
    """Train a GAN on a distribution or on data, and judge it: what ``minigan train`` does, with its bits.

        run = mg.fit("normal(4, 1.25)", seed=1, steps=2000)
        run = mg.fit(frame, generator={"widths": [64, 64]}, lr=0.002)
        print(run.verdict.sentence, run.sample(1000))

    target_or_data   one of: the text of a distribution, as "0.3*normal(-1, 0.5) + 0.7*laplace(2, 1)"; the
                     name of a preset, as "ring8"; a path of data (CSV, NPY) or of a configuration (.toml,
                     .json); a distribution; an array, list or data frame, whose rows are samples. Of a text
                     that could be several the first of preset, configuration, file and distribution; without
                     it the default, normal(4, 1.25)
    y                labels of the rows of an array, list or data frame, text, whole numbers or truth values:
                     the generator is then told which class to make, ``run.sample(n, condition="a")``. A
                     column of the data itself is named by label=…, and of a mixture label="component" makes
                     a class of each component
    preset           a preset or a configuration file to begin with, under what else is given
    seed             root of all randomness, 0 by default: the same call makes the same bits
    directory        where a directory is made for the run, as --out; None leaves no file behind: native code
                     that no other run has compiled is compiled for this process alone
    on_evaluation    is given each row of metrics, a dictionary, with None for what is not finite; returning
                     "stop" ends the run with it. A method finish of it is given the Run at the end
    progress         whether to show how it goes; None: in a terminal and in a notebook
    detect_anomaly   check every operation, and name the first whose result is not finite; slow
    settings         every setting that `minigan train --print-config` lists: batch=256, objective="hinge",
                     a group as a dictionary or by two lines, generator={"widths": [64]} or
                     generator__widths=[64]; and lr, device as the options of these names. Variables
                     MINIGAN_… of the environment come before them, as on the command line

    Returns the Run, trained and judged.

    Raises:  ConfigError – for a target or a setting that is refused, with what to write
             DataError – for data that are
             UnavailableError – for a device that is not there
             DivergedError – where numbers stop being finite; its ``run`` has what was good
             Interrupted – after Ctrl-C; its ``run`` has what was trained, and ``run.resume()`` goes on

    >>> run = mg.fit("laplace(0, 1)", seed=1, steps=20, eval_samples=100)
    >>> run.status, run.config.target, run.sample(3).shape
    ('finished', 'laplace(0, 1)', (3, 1))
    """
    refuse_deaf(on_evaluation)
    console = person(progress)
    directory = None if directory is None else path_of("directory", directory)
    given = settings if seed is None else {"seed": seed, **settings}
    run = begin(request_of(target_or_data, preset, given, y=y), directory, detect_anomaly=detect_anomaly)
    return run.train(console=console, on_evaluation=on_evaluation)


def begin(request: Request, directory: str | os.PathLike[str] | None, *, detect_anomaly: bool = False) -> Run:
    """The run of a request before its first step; with a directory its own is made there.

    Raises:  as ``fit``, and StorageError – where the directory cannot be written
    """
    config, data = request.config, request.data
    path = None if directory is None else unique_path(directory, config.name)
    if path is not None and data is not None and request.ours:
        config = with_data_in(path, config, data)
    experiment = Experiment(config, data=data)
    experiment.watched = detect_anomaly
    record = MemoryRun(to_json(config)) if path is None else RunDirectory.create_at(path, to_json(config))
    if path is not None and data is not None and request.ours:
        write_data(path, data)
    return Run(record, experiment=experiment, data=data, ours=request.ours)


@for_scripts
def load(path: str | os.PathLike[str], *, at: str | int = "latest") -> Run:
    """The run in a directory, of ``minigan train``, of ``mg.fit`` or of ``Run.save``.

    at  which checkpoint: "latest", "best" by KS, or a step

    Sampling needs nothing else; judging and going on read the data again, where it learned data.

    Raises:  DataError – if it is no run directory, or damaged; CheckpointError – for checkpoints that are

    >>> mg.load("no/such/run")
    Traceback (most recent call last):
        ...
    minigan.errors.DataError: 'no/such/run' is not a run directory (No such file or directory: ...
    """
    if not isinstance(at, str):
        at = whole_of("at, where it is neither latest nor best,", at, 0)
    run = read_run(path_of("path", path), at=str(at))
    if str(at) != "latest":  # a run may have none yet; one that is named is there
        run.weights()
    return run


def read_run(path: str, *, at: str = "latest") -> Run:
    """As ``load``; what it refuses, and what it is asked, is worded as on the command line."""
    return Run(RunDirectory.open(path), at=at)

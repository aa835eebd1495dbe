"""Where the runs of a sweep train: in this process, in several, or on a Dask cluster.

What is missing of one whose process was killed is tried again, from the checkpoints.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import ConfigError, UnavailableError, quoted
from minigan.sweeps.job import DRIVER, STOPPED, driver_of, run_job
from minigan.sweeps.processes import MANY, Processes
from minigan.sweeps.sweep import (
    Results,
    Sweep,
    data_of,
    features_of,
    is_done,
    load,
    refuse_others,
    write_results,
)  # fmt: skip
from minigan.training.config import Config
from minigan.training.limits import memory_estimate

# They train the jobs of the sweep in a directory, with or without drift allowed; it gives what each returned.
Workers = Callable[[str, list[list[int]], bool], Iterator[str | None]]

TOGETHER = 64  # runs of one program: more do not get cheaper
ROOM = 2**28  # bytes that they take: larger programs are slower to record, and no faster
BUSY_SECONDS = 300.0  # a worker that was cut off trains on for a while
CONNECT_SECONDS = 20.0  # to find a scheduler, also again
ALONE_SECONDS = 60.0  # without a worker, one that was killed is started again meanwhile
END_SECONDS = 30.0  # for what runs elsewhere to write checkpoints
SAME = ("minigan", "numpy", "scipy")  # versions that all processes of a sweep share


def jobs(sweep: Sweep, missing: Sequence[int], count: int = 1) -> list[list[int]]:
    """The missing runs in groups that train together, large ones split among so many workers."""
    from minigan.machine import available_memory
    from minigan.training.experiment import structure

    groups: dict[bytes, list[int]] = {}
    for number in missing:
        groups.setdefault(structure(sweep.configs[number]), []).append(number)
    found = []
    for group in groups.values():
        config = sweep.configs[group[0]]
        each = memory_of(config)
        most = max(1, int(0.5 * (available_memory() or 2**30) / count / each))
        if config.threads > 1:  # which share the rows of a run alone, and the replicas of several: other bits
            most = 1
        if _on_cpu(config):
            most = min(most, max(1, ROOM // each))
        size = _even(len(group), min(TOGETHER, most, -(-len(group) // count)))
        found += [group[k : k + size] for k in range(0, len(group), size)]
    return found


def _even(runs: int, most: int) -> int:
    """So many runs at a time at most that no few are left over, for which another step would be recorded."""
    return next((size for size in range(most, most // 2, -1) if runs % size == 0), most)


def memory_of(config: Config) -> int:
    """The bytes that a run takes at most while it trains among others."""
    from minigan.training.draws import block_length, step_numbers

    features, data = features_of(config), data_of(config)
    numbers = block_length(config, features) * step_numbers(config, features)
    rows = config.eval_samples if data is None else 2 * len(data.values)  # as they are, and sorted
    # The recorded first step holds what all of its updates compute, as measured; each number is there twice,
    # of this run and among those of the others.
    updates = config.discriminator_steps + config.generator_steps + 2 * config.unrolled
    step = updates * (1 + (config.order == "extragradient")) * memory_estimate(config, features)
    slices = 8 * numbers * (config.draws == "stratified")  # their order, as integers, while they are drawn
    return step + 2 * numbers * np.dtype(config.dtype).itemsize + slices + 8 * rows * features


# ── elsewhere


def run_job_elsewhere(
    path: str, numbers: Sequence[int], allow_drift: bool, versions: Mapping[str, str]
) -> str | None:
    """``run_job`` for another process or machine: a signal to that is a sentence as well."""
    from minigan.machine import environment
    from minigan.training.signals import Interrupted

    if not (Path(path) / "sweep.json").exists():
        return f"a worker does not see {quoted(path)}; share the directory under the same path"
    here = environment()
    others = [
        f"{name} {here[name]}, not {versions[name]}" for name in versions if here[name] != versions[name]
    ]
    if others and not allow_drift:
        return f"a worker has {', '.join(others)}; install the same there, or add --allow-drift"
    try:
        return run_job(path, numbers, allow_drift, BUSY_SECONDS)
    except Interrupted as error:
        return f"runs {numbers[0]} to {numbers[-1]}: {error}"


def run_sweep(
    path: str | Path,
    workers: Workers,
    count: int = 1,
    *,
    allow_drift: bool = False,
    attempts: int = 3,
    plan: Sweep | None = None,
) -> tuple[Results, list[str]]:
    """Run what is missing of the sweep in ``path``; its results, written beside it, and what failed.

    workers   run jobs, each by ``run_job``, and give what each returned: ``local`` or ``dask``
    count     how many they are: large groups of runs are split among them
    attempts  how often runs are tried whose process was killed, without any of them coming to its end
    plan      what the directory was just made of, else it is read there

    Raises:  BusyError – if another process runs the sweep;  Interrupted – after a signal
    """
    from minigan.storage.files import acquire
    from minigan.training.signals import Interrupted

    sweep, failures = plan or load(path), list[str]()
    refuse_others(path, sweep)
    lock = acquire(Path(path))
    try:
        left, fruitless = len(sweep.configs) + 1, 0
        while True:
            missing = [number for number in range(len(sweep.configs)) if not is_done(path, number)]
            fruitless = 0 if len(missing) < left else fruitless + 1
            if not missing or failures or fruitless == attempts:
                break
            left = len(missing)
            with _driven(path) as caught:
                returned = workers(str(path), jobs(sweep, missing, count), allow_drift)
                failures += [failure for failure in returned if failure is not None]
            if caught:
                write_results(path, sweep)
                raise Interrupted(caught[0], str(path))
        return write_results(path, sweep), failures
    finally:
        lock.release()


@contextmanager
def _driven(path: str | Path) -> Iterator[list[int]]:
    """Jobs go on while this is entered, and until a signal, which is noted in the list that is given.

    Those of an earlier driver, which was killed or cut off, end.
    """
    from minigan.storage.files import write_atomic
    from minigan.training.signals import Interrupted, noted

    file = Path(path) / DRIVER
    with noted(lambda number: write_atomic(file, STOPPED)) as caught:
        write_atomic(file, secrets.token_hex(8).encode())
        try:
            yield caught
        except Interrupted as error:  # a job of this process has noted it
            if not caught:
                caught.append(error.number)
        finally:
            write_atomic(file, STOPPED)


def local(count: int = 1) -> Workers:
    """This process, or several."""
    if count == 1:
        return lambda path, jobs, drift: (run_job(path, job, drift) for job in jobs)
    return Processes(count)


def usual_count(sweep: Sweep) -> int:
    """How many processes are best where nobody says: one for each processor if there are many runs of one
    thread on the CPU; else this one.
    """
    from minigan.machine import cores

    alone = len(sweep.configs) < MANY or any(config.threads > 1 for config in sweep.configs)
    if alone:
        return 1
    kinds = {config.backend: config for config in sweep.configs}
    return cores() if all(map(_on_cpu, kinds.values())) else 1


def _on_cpu(config: Config) -> bool:
    """Whether this machine would train it on the CPU."""
    from minigan.training.experiment import get_backend

    try:
        return get_backend(config.backend).xp is np
    except UnavailableError:  # of a GPU, which the workers may have
        return False


def _versions() -> dict[str, str]:
    from minigan.machine import environment

    here = environment()
    return {name: here[name] for name in SAME}


def dask(scheduler: str, tls: Mapping[str, str | None]) -> "Cluster":
    """The workers of a Dask cluster, which see the sweep's directory under the same path.

    tls  {"ca", "cert", "key"}: files; where all are None Dask's own configuration counts

    Raises:  ConfigError – for a scheduler beyond this machine without TLS, or for files that are none;
             UnavailableError – if dask.distributed is missing, or the scheduler does not answer
    """
    scheme, _ = _require_trust(scheduler)
    distributed = _imported("distributed", "cluster")
    names = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    files = {names[key]: value for key, value in tls.items() if value is not None}
    if files and scheme != "tls":
        raise ConfigError(f"certificates are for tls://HOST:PORT, received {quoted(scheduler)}")
    try:
        security = distributed.Security(**files, require_encryption=scheme == "tls")
        security.get_connection_args("client")
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the TLS files are refused: {getattr(error, 'strerror', None) or error}; give --tls-ca, "
            "--tls-cert and --tls-key, each a PEM file"
        ) from None
    return Cluster(scheduler, security)


def _require_trust(scheduler: str) -> tuple[str, str]:
    """The scheme and host of a scheduler that may be talked to."""
    import ipaddress

    match = re.fullmatch(r"(tls|tcp)://(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})", scheduler)
    if match is None:
        raise ConfigError(
            f"a scheduler is tls://HOST:PORT or tcp://127.0.0.1:PORT, received {quoted(scheduler)}"
        )
    scheme, host = match[1], match[2] or match[3]
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if scheme != "tls" and not here:
        raise ConfigError(
            f"a scheduler runs code that it is sent, so beyond this machine it must be tls://HOST:PORT; "
            f"received {quoted(scheduler)}"
        )
    return scheme, host


class Cluster:
    """The workers of a scheduler of Dask, which run the jobs of a sweep.

    slots  jobs that it can run at a time, at least 1
    """

    def __init__(self, scheduler: str, security: Any) -> None:
        self._scheduler, self._security = scheduler, security
        with self._connected() as client:
            self.slots = max(1, sum(client.nthreads().values()))

    def __call__(self, path: str, jobs: list[list[int]], drift: bool) -> Iterator[str | None]:
        """What each job returned, as they end; nothing of those whose workers were killed again and again."""
        from distributed.scheduler import KilledWorker

        try:
            with self._connected() as client:
                versions = _versions()
                waiting = [
                    client.submit(run_job_elsewhere, path, job, drift, versions, pure=False) for job in jobs
                ]
                attended, deadline = time.monotonic(), None
                while waiting:
                    time.sleep(0.1)
                    for future in [future for future in waiting if future.status != "pending"]:
                        waiting.remove(future)
                        if future.status == "finished":
                            yield future.result(timeout=END_SECONDS)
                        elif future.status == "error" and not isinstance(
                            error := future.exception(timeout=END_SECONDS), KilledWorker
                        ):
                            yield f"{type(error).__name__}: {error}"
                    if client.status != "running":  # the scheduler is lost, and all that it knew
                        return
                    if driver_of(path) == STOPPED:
                        deadline = deadline or time.monotonic() + END_SECONDS
                        if time.monotonic() >= deadline:
                            return
                    attended = self._attended(client, attended)
                    if time.monotonic() - attended >= ALONE_SECONDS:
                        yield f"the scheduler {self._scheduler} has no workers; start some with dask worker"
                        return
        except UnavailableError as error:
            yield str(error)
        except (OSError, TimeoutError):
            return

    def _attended(self, client: Any, last: float) -> float:
        """When there last was a worker; they are counted every few seconds."""
        if time.monotonic() - last < ALONE_SECONDS / 10:
            return last
        with suppress(OSError, TimeoutError):
            if client.sync(client.scheduler.ncores, callback_timeout=CONNECT_SECONDS):
                return time.monotonic()
        return last

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """A client.    Raises:  UnavailableError – if the scheduler does not answer"""
        import asyncio
        import logging
        import warnings

        import distributed

        async def greet() -> None:
            arguments = self._security.get_connection_args("client")
            comm = await distributed.comm.connect(self._scheduler, timeout=CONNECT_SECONDS, **arguments)
            comm.abort()

        # What goes wrong is said in a sentence, by whoever calls this.
        loggers = [logging.getLogger(name) for name in ("distributed", *_children("distributed"), "tornado")]
        before = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            try:
                # A client waits forever for what listens there and is silent.
                asyncio.run(asyncio.wait_for(greet(), CONNECT_SECONDS))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of other versions, which jobs compare
                    client = distributed.Client(
                        self._scheduler, security=self._security, timeout=CONNECT_SECONDS,
                        set_as_default=False,
                    )  # fmt: skip
            except (OSError, TimeoutError) as error:
                raise UnavailableError(
                    f"the scheduler {quoted(self._scheduler)} does not answer: {_first_sentence(error)}; "
                    "start it, or check its address and the TLS files"
                ) from None
            with client:
                yield client
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def _children(name: str) -> list[str]:
    """The loggers below one."""
    import logging

    return [other for other in logging.root.manager.loggerDict if other.startswith(f"{name}.")]


def _first_sentence(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0].split(". ")[0]


def _imported(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        install = f"pip install 'minigan[{extra}]'"
        raise UnavailableError(f"this needs {module}; install it with: {install}") from None

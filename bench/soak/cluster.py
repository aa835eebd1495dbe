"""A sweep on a Dask cluster whose worker is killed: every result, each with the bits of the run alone.

The long form has two network namespaces as two machines, joined by a cable, with TLS on every link and
certificates made on the spot. As an ordinary user, or without ip, all of it is on the loopback.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.soak.harness import ROOT, TIMEOUT, Tally
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.sweeps.sweep import load, run_path
from minigan.training.experiment import Experiment
from minigan.training.trainer import train

KINDS = (
    "missing result", "other bits than alone", "no worker was killed while it trained", "another exit code",
    "noise on stderr", "plain TCP accepted", "another authority accepted", "listens elsewhere",
)  # fmt: skip
SWEEP = """
preset = "gaussian"
[set]
steps = {steps}
batch = 16
eval_every = {evaluation}
eval_samples = 500
checkpoint_seconds = 0.02
generator.widths = [8]
discriminator.widths = [8]
[vary]
seed = "0:{runs}"
"""
CUT_RUNS, CUT_STEPS, CUT_SECONDS = 2, 1800, 2.0
NO_PAGE = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")  # some of its pages stay, for all to see
PLAIN = """
import asyncio, sys
from distributed.comm import connect

async def accepted(address):
    try:
        await asyncio.wait_for(connect(address), 4)
    except (OSError, asyncio.TimeoutError):
        return None
    return address

async def main():
    return await asyncio.gather(*map(accepted, sys.argv[1:]))

print(*filter(None, asyncio.run(main())))
"""


def measure(count):
    """A sweep of ``count`` runs, in two namespaces where that is possible, there after one with a cut."""
    tally = Tally(*KINDS)
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
        namespaces = why_no_namespaces() is None
        network = stack.enter_context(Namespaces() if namespaces else Loopback())
        cluster = stack.enter_context(Cluster(Path(root), network, tls=True))
        workers = [cluster.worker(0), cluster.worker(1)]
        figures = {
            "network": "two network namespaces, TLS" if namespaces else "loopback, TLS",
            **(sweep_with_cut(cluster, tally) if namespaces else {}),
            **sweep_with_kill(cluster, workers, count, tally),
            "refused": refuse(cluster, workers[0], tally),
            "listening": listening(cluster, workers[0], tally),
        }
    return figures | tally.as_dict()


def write_sweep(path, runs, steps=300):
    """The file of a sweep of small runs that save often."""
    path.write_text(SWEEP.format(runs=runs, steps=steps, evaluation=steps // 6))
    return path


# ── machines


def why_no_namespaces():
    """Why this process cannot make network namespaces; None if it can."""
    if shutil.which("ip") is None:
        return "there is no ip command"
    name = f"minigan-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"ip netns add: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return None


class Loopback:
    """Two machines that are this one."""

    hosts, prefixes = ("127.0.0.1", "127.0.0.1"), ((), ())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Namespaces:
    """Two network namespaces, 10.213.0.1 and 10.213.0.2, with a cable between them that can be pulled."""

    hosts = ("10.213.0.1", "10.213.0.2")

    def __init__(self):
        tag = secrets.token_hex(3)
        self.names = tuple(f"minigan-{tag}-{k}" for k in range(2))
        self.ends = tuple(f"mg{tag}{k}" for k in range(2))
        self.prefixes = tuple(("ip", "netns", "exec", name) for name in self.names)

    def __enter__(self):
        try:
            for name in self.names:
                _ip("netns", "add", name)
            _ip("link", "add", self.ends[0], "type", "veth", "peer", "name", self.ends[1])
            for name, end, host in zip(self.names, self.ends, self.hosts, strict=True):
                _ip("link", "set", end, "netns", name)
                _ip("-n", name, "addr", "add", f"{host}/30", "dev", end)
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", end, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:  # with each goes its end of the cable
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def cable(self, state):
        """Pull the cable ("down"), or put it back ("up")."""
        _ip("-n", self.names[1], "link", "set", self.ends[1], state)


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


# ── certificates


def certificates(folder, name="minigan"):
    """An authority and one certificate that it signed, made by openssl: paths of {"ca", "cert", "key"}."""
    folder.mkdir()
    ca, ca_key, request, cert, key = (
        folder / f for f in ("ca.pem", "ca-key.pem", "request.pem", "cert.pem", "key.pem")
    )
    new = ("req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    _openssl(*new, "-x509", "-days", "2", "-subj", f"/CN={name} authority", "-keyout", ca_key, "-out", ca)
    _openssl(*new, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-days", "2", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
             "-out", cert)  # fmt: skip
    return {"ca": ca, "cert": cert, "key": key}


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=TIMEOUT)


# ── processes


class Cluster:
    """A Dask scheduler on the first machine of a network, and workers where they are asked for.

    A context manager that leaves no process behind.
    """

    def __init__(self, folder, network, *, tls=False):
        self.folder, self.network = folder, network
        self.files = certificates(folder / "tls") if tls else {}
        self.url = f"{'tls' if tls else 'tcp'}://{network.hosts[0]}:{free_port()}"
        self._processes = []

    def __enter__(self):
        host, port = self.url.partition("://")[2].split(":")
        self.scheduler = self.start(
            0, "dask", "scheduler", "--host", host, "--port", port, "--protocol", self.url.split(":")[0],
            *NO_PAGE, *self._dask_files(), log="scheduler",
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a nanny's worker is in its group
        for process in self._processes:
            process.wait(TIMEOUT)

    def _dask_files(self):
        names = {"ca": "--tls-ca-file", "cert": "--tls-cert", "key": "--tls-key"}
        return [part for key, file in self.files.items() for part in (names[key], str(file))]

    def start(self, machine, *arguments, log):
        """A process ``python -m …`` on a machine, which ends with the cluster."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        with open(self.folder / f"{log}.log", "ab") as file:
            process = subprocess.Popen(
                [*self.network.prefixes[machine], sys.executable, "-m", *map(str, arguments)],
                env=environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def worker(self, machine, threads=1):
        """A worker without a nanny, so that one which is killed stays dead; returns once it is ready."""
        number = len(self._processes)
        process = self.start(
            machine, "dask", "worker", self.url, "--host", self.network.hosts[machine], "--nthreads", threads,
            "--no-nanny", *NO_PAGE, "--local-directory", self.folder, "--death-timeout", TIMEOUT,
            *self._dask_files(), log=f"worker{number}",
        )  # fmt: skip
        log = self.folder / f"worker{number}.log"
        wait(lambda: "Registered to" in log.read_text(), f"a worker: {log}")
        return process

    def sweep(self, *arguments, machine=1, files=None, log="driver", url=None):
        """``minigan sweep`` with this cluster, started on a machine."""
        files = self.files if files is None else files
        options = [part for key, file in files.items() for part in (f"--tls-{key}", str(file))]
        command = ("minigan", "sweep", "--workers", "dask", "--scheduler", url or self.url)
        return self.start(machine, *command, *options, *arguments, log=log)


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait(condition, what, seconds=TIMEOUT):
    """Wait until something is so; its value."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


def trained_by(process, path):
    """The runs of a sweep whose locks a process holds, once it has saved a checkpoint of one."""
    found = set()
    with contextlib.suppress(OSError):
        for link in os.scandir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                target = Path(os.readlink(link))
                if target.name == ".lock" and target.parent.parent == path / "runs":
                    found.add(target.parent)
    return found if any(any((run / "checkpoints").glob("step-*")) for run in found) else set()


# ── the promises


def sweep_with_cut(cluster, tally):
    """The cable between scheduler and driver, and one of two workers, pulled while they train."""
    out, file = cluster.folder / "cut", write_sweep(cluster.folder / "cut.toml", CUT_RUNS, CUT_STEPS)
    driver = cluster.sweep(file, "--out", out, "--quiet", log="cut")
    path = wait(lambda: next(out.glob("*/runs"), None), "the sweep").parent
    wait(lambda: len(list(path.glob("runs/*/metrics.jsonl"))) == CUT_RUNS, "runs that train")
    cluster.network.cable("down")
    time.sleep(CUT_SECONDS)
    cluster.network.cable("up")
    _check_end(cluster, driver, "cut", tally)
    equal = sum(same_as_alone(path, number, tally) for number in range(CUT_RUNS))
    return {"cut_seconds": CUT_SECONDS, "runs_of_the_cut": CUT_RUNS, "of_them_equal_to_the_run_alone": equal}


def _check_end(cluster, driver, log, tally):
    """Count what is wrong with how a driver ends."""
    code, told = driver.wait(TIMEOUT), (cluster.folder / f"{log}.log").read_text()
    if code:
        tally.add("another exit code", f"{code}: {told}")
    if "Traceback" in told or "distributed" in told:
        tally.add("noise on stderr", told)


def sweep_with_kill(cluster, workers, count, tally):
    """One worker killed while it trains; the figures of the sweep."""
    out = cluster.folder / "sweeps"
    file = write_sweep(cluster.folder / "soak.toml", count)
    started = time.perf_counter()
    driver = cluster.sweep(file, "--out", out, "--quiet")
    killed = kill_one(workers[1:], wait(lambda: next(out.glob("*/runs"), None), "the sweep").parent, driver)
    _check_end(cluster, driver, "driver", tally)
    seconds = time.perf_counter() - started
    if not killed:
        tally.add("no worker was killed while it trained", cluster.folder)
    (path,) = out.iterdir()
    equal = sum(same_as_alone(path, number, tally) for number in range(count))
    return {
        "runs": count,
        "runs_of_the_killed_worker": len(killed),
        "results": len((path / "results.jsonl").read_text().splitlines()),
        "equal_to_the_run_alone": equal,
        "sweep_seconds": round(seconds, 1),
    }


def kill_one(workers, path, driver):
    """SIGKILL to the first worker that trains and has saved; the runs that it held."""
    while driver.poll() is None:
        for worker in workers:
            if found := trained_by(worker, path):
                worker.kill()
                worker.wait(TIMEOUT)
                return found
        time.sleep(0.01)
    return set()


def same_as_alone(path, number, tally):
    """Whether a run of a sweep has the bits of the same run alone."""
    here = run_path(path, number)
    config = load(path).configs[number]
    if not (here / "verdict.json").exists():
        tally.add("missing result", here)
        return False
    with tempfile.TemporaryDirectory() as folder:
        with RunDirectory.create(folder, config.name, (here / "config.json").read_bytes()) as run:
            train(Experiment(config), run)
        same = content(run.path) == content(here)
    if not same:
        tally.add("other bits than alone", here)
    return same


def content(path):
    """All that a run computed: the newest checkpoint, the metrics but for the time they took, the verdict."""
    newest = checkpoint.latest(RunDirectory.open(path))
    arrays = {
        name: (a.dtype.str, a.shape, a.tobytes())
        for name, a in newest.arrays.items()
        if not name.startswith("frames.best_")  # of the page of a single run, which a sweep does not draw
    }
    rows = [{**json.loads(line), "seconds": 0} for line in (path / "metrics.jsonl").read_text().splitlines()]
    return newest.path.name, arrays, rows, (path / "verdict.json").read_bytes()


def refuse(cluster, worker, tally):
    """Clients without our certificates, each of which must be refused."""
    refused = []
    addresses = {
        f"plain TCP to {what}": [f"tcp://{cluster.network.hosts[0]}:{port}" for _, port in sockets(process)]
        for what, process in (("the scheduler", cluster.scheduler), ("a worker", worker))
    }
    others = certificates(cluster.folder / "others", "another")
    file = write_sweep(cluster.folder / "foreign.toml", 1)
    driver = cluster.sweep(file, "--out", cluster.folder / "foreign", files=others, log="foreign")
    taken = accepted(cluster, sum(addresses.values(), []))  # both wait for an answer, at the same time
    for what, urls in addresses.items():
        if taken.intersection(urls):
            tally.add("plain TCP accepted", f"{what}: {sorted(taken)}")
        else:
            refused.append(what)
    code, told = driver.wait(TIMEOUT), (cluster.folder / "foreign.log").read_text()
    if code != 6 or told.count("\n") != 1 or (cluster.folder / "foreign").exists():
        tally.add("another authority accepted", f"{code}: {told}")
    else:
        refused.append("a certificate of another authority")
    return refused


def accepted(cluster, urls):
    """Those of the addresses that take a client without certificates, on the second machine."""
    command = [*cluster.network.prefixes[1], sys.executable, "-c", PLAIN, *urls]
    done = subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT, text=True)
    return set(done.stdout.split())


def listening(cluster, worker, tally):
    """The addresses on which scheduler and worker listen: the machine's own and its loopback, none beyond."""
    found = {}
    for name, process in (("scheduler", cluster.scheduler), ("worker", worker)):
        hosts = sorted({host for host, _ in sockets(process)})
        found[name] = hosts
        if not set(hosts) <= {cluster.network.hosts[0], "127.0.0.1"}:
            tally.add("listens elsewhere", f"{name}: {hosts}")
    return found


def sockets(process):
    """(address, port) of each socket on which a process listens, by /proc."""
    links = []
    for link in os.scandir(f"/proc/{process.pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(link))
    own = {target.removeprefix("socket:[")[:-1] for target in links if target.startswith("socket:[")}
    found = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{process.pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == "0A" and inode in own:
                    address, port = local.split(":")
                    words = bytes.fromhex(address)
                    raw = b"".join(words[k : k + 4][::-1] for k in range(0, len(words), 4))
                    found.append((socket.inet_ntop(family, raw), int(port, 16)))
    return found

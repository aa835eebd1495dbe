"""Each file operation of a save made to fail: by a kill, by an error, by a power cut, by a disk that is full.

A save here is a row of metrics, a checkpoint that replaces the only one there is, and the status. Whatever
happens to it, every file of the run directory must afterwards hold the previous state or the new one.
"""

import builtins
import errno
import io
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bench.soak.harness import Tally, finished, minigan
from minigan.errors import CheckpointError, MiniganError, StorageError
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training.saved import reopen

ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR)
KINDS = (
    "no checkpoint verifies", "acknowledged checkpoint lost", "altered checkpoint", "damaged status",
    "acknowledged status lost", "half row", "acknowledged row lost", "best lost", "stale temporary",
    "cannot go on",
    "another end", "another message", "descriptor left open",
)  # fmt: skip
CONFIG = b'{"name": "soak", "seed": 0, "dtype": "float32", "backend": "numpy"}'
KILL = "kill"
SMALL_DISK = 256  # KiB
MOST = 100  # disks looked at after one operation; only a build that does not sync leaves more


def measure(count):
    """Each operation killed, refused and cut off from power; each kind of full disk ``count`` times."""
    tally = Tally(*KINDS)
    with tempfile.TemporaryDirectory() as root:
        template = prepare(Path(root) / "template")
        work = Path(root) / "work"
        figures = {
            "operations": len(operations(template, work)),
            "kills": kill_each(template, work, tally),
            "errors": refuse_each(template, work, tally),
            "power_cuts": cut_each(template, work, tally),
            "full_disks": {
                "tmpfs": fill_small_disk(Path(root) / "small", count, tally),
                "file size limit": fill_to_limit(Path(root) / "limit", count, tally),
                "/dev/full": fill_output(Path(root), count, tally),
                "tmpfs, by training": fill_by_training(Path(root) / "small", count, tally),
            },
        }
    return figures | tally.as_dict()


# ── a layer below the writer that fails on demand


class Disk:
    """While entered, counts and records this process's writing file operations, and may break one.

    fault   is given the name and number (from 1) of each; returns None, an OSError to raise, or KILL
    events  what was done, as ``states`` replays it
    """

    def __init__(self, fault=lambda name, number: None):
        self.fault, self.events, self.number = fault, [], 0
        self._paths = {}  # of the descriptors that write, and of those of directories
        self._real = {name[3:]: getattr(os, name[3:]) for name in dir(Disk) if name.startswith("os_")}
        self._real_open = builtins.open

    def __enter__(self):
        for name in self._real:
            setattr(os, name, getattr(self, f"os_{name}"))
        builtins.open = io.open = self._open
        return self

    def __exit__(self, *_):
        for name, function in self._real.items():
            setattr(os, name, function)
        builtins.open = io.open = self._real_open

    def mark(self, text):
        """Record that something was acknowledged."""
        self.events.append(("mark", text))

    def do(self, name, act, *event, partly=None):
        """One operation; ``partly`` is what a failed one has done all the same."""
        self.number += 1
        try:
            fault = self.fault(name, self.number)
        except BaseException:  # of a signal, whose handler runs when the call returns
            if partly is not None:
                partly()
            raise
        if fault is None:
            result = act()
            self.events.append((name, *event))
            return result
        if partly is not None and not (name == "write" and getattr(fault, "errno", None) == errno.EINTR):
            partly()
        if fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        raise fault

    def os_open(self, path, flags, *mode, **options):
        """``os.open``; what is opened for reading is no operation."""
        real = self._real["open"]
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY) or options:
            return real(path, flags, *mode, **options)
        path = os.fspath(path)
        fresh, cut = not os.path.lexists(path), bool(flags & os.O_TRUNC)
        descriptor = self.do("open", lambda: real(path, flags, *mode), path, fresh, cut)
        self._paths[descriptor] = path
        return descriptor

    def os_write(self, descriptor, data):
        """``os.write``; a failed one has written half."""
        real, data = self._real["write"], bytes(data)
        if descriptor not in self._paths:
            return real(descriptor, data)
        event = (self._paths[descriptor], os.lseek(descriptor, 0, os.SEEK_CUR), data)
        half = data[: len(data) // 2]
        return self.do("write", lambda: real(descriptor, data), *event, partly=lambda: real(descriptor, half))

    def os_ftruncate(self, descriptor, size):
        """``os.ftruncate``."""
        real, path = self._real["ftruncate"], self._paths.get(descriptor)
        if path is None:
            return real(descriptor, size)
        return self.do("ftruncate", lambda: real(descriptor, size), path, size)

    def os_fsync(self, descriptor):
        """``os.fsync``, of a file or a directory."""
        real, path = self._real["fsync"], self._paths.get(descriptor)
        return real(descriptor) if path is None else self.do("fsync", lambda: real(descriptor), path)

    def os_close(self, descriptor):
        """``os.close``."""
        self._close(descriptor, lambda: self._real["close"](descriptor))

    def os_replace(self, source, target):
        """``os.replace``."""
        paths = os.fspath(source), os.fspath(target)
        return self.do("replace", lambda: self._real["replace"](*paths), *paths)

    def os_mkdir(self, path, *mode, **options):
        """``os.mkdir``; of one that is there already none."""
        real, path = self._real["mkdir"], os.fspath(path)
        if os.path.lexists(path):
            return real(path, *mode, **options)
        return self.do("mkdir", lambda: real(path, *mode, **options), path)

    def os_unlink(self, path, **options):
        """``os.unlink``."""
        return self.do("unlink", lambda: self._real["unlink"](path, **options), os.fspath(path))

    def _close(self, descriptor, close):
        path = self._paths.pop(descriptor, None)
        if path is None:
            close()
        else:
            self.do("close", close, path, partly=close)  # a close that reports an error has closed

    def _open(self, file, mode="r", *rest, **options):
        if not set(mode) & set("wax+"):
            return self._real_open(file, mode, *rest, **options)
        if not isinstance(file, int):
            start = os.O_APPEND if "a" in mode else os.O_EXCL if "x" in mode else os.O_TRUNC
            file = self.os_open(file, os.O_RDWR | os.O_CREAT | start, 0o666)
        whole = io.BufferedWriter(_File(file, self))
        return whole if "b" in mode else io.TextIOWrapper(whole, encoding=options.get("encoding"))


class _File(io.FileIO):
    """A file object whose writes and close are operations of a ``Disk``."""

    def __init__(self, descriptor, disk):
        super().__init__(descriptor, "w")
        self._disk = disk

    def write(self, data):
        return self._disk.os_write(self.fileno(), data)

    def close(self):
        if not self.closed:
            self._disk._close(self.fileno(), super().close)


# ── what is saved, and what must be there afterwards


def arrays(step):
    """The arrays of a step; more than a file object buffers, so that a write can end in their middle."""
    return {"w": np.random.default_rng(step).standard_normal((60, 50))}


def prepare(path):
    """A run directory with the state of step 1."""
    with RunDirectory.create(path.parent, "soak", CONFIG) as run:
        save(run, 1)
    return run.path.rename(path)


def save(run, step, done=lambda what: None):
    """The save that is broken; ``done`` is told what is acknowledged."""
    run.append_metrics({"step": step, "loss": 1 / step})
    run.sync_metrics()
    checkpoint.save_step(run, step, arrays(step), {}, keep=1, best=step)
    done("checkpoint")
    run.write_status("interrupted", step=step)
    done("status")


def check(path, acknowledged, tally, case, first=False):
    """Count what is wrong with a run directory after a fault in the save of step 2, the ``first`` or not."""
    try:
        run = RunDirectory.open(path)
    except MiniganError as error:
        if acknowledged or not first:
            tally.add("acknowledged checkpoint lost", f"{case}: {error}")
        return
    before = [] if first else [1]
    _check_checkpoint(run, acknowledged, tally, case, before)
    _check_status(run, acknowledged, tally, case, before)
    rows, skipped = run.read_metrics()
    steps = [row["step"] for row in rows]
    if skipped or steps not in (before, [*before, 2]):
        tally.add("half row", f"{case}: {rows}, {skipped} skipped")
    if 2 not in steps and "checkpoint" in acknowledged:
        tally.add("acknowledged row lost", f"{case}: {rows}")


def _check_checkpoint(run, acknowledged, tally, case, before):
    try:
        newest = checkpoint.latest(run)
    except CheckpointError as error:
        if before:
            tally.add("no checkpoint verifies", f"{case}: {error}")
        elif "checkpoint" in acknowledged:
            tally.add("acknowledged checkpoint lost", f"{case}: {error}")
    else:
        step = newest.state["step"]
        if step != 2 and "checkpoint" in acknowledged:
            tally.add("acknowledged checkpoint lost", f"{case}: {newest.warnings}")
        best = checkpoint.best_of(run, newest.state)
        if best != newest.path:  # each is the best so far
            tally.add("best lost", f"{case}: {best and best.name} instead of {newest.path.name}")
        if step not in (*before, 2) or newest.arrays["w"].tobytes() != arrays(step)["w"].tobytes():
            tally.add("altered checkpoint", case)


def _check_status(run, acknowledged, tally, case, before):
    try:
        step = run.read_status().get("step")
    except MiniganError as error:
        tally.add("damaged status", f"{case}: {error}")
    else:
        if before and step not in (*before, 2):
            tally.add("damaged status", f"{case}: step {step}")
        if step != 2 and "status" in acknowledged:
            tally.add("acknowledged status lost", case)


def check_restart(path, tally, case):
    """Count what keeps the run from being taken up again after a fault."""
    try:
        with RunDirectory.open(path, lock=True) as run:
            left = [entry.name for entry in path.rglob("*") if entry.name.endswith(".tmp")]
            if left:
                tally.add("stale temporary", f"{case}: {left}")
            save(run, 3)
            if checkpoint.latest(run).state["step"] != 3 or run.read_metrics().skipped:
                tally.add("cannot go on", case)
    except MiniganError as error:
        tally.add("cannot go on", f"{case}: {error}")


def fresh(template, work):
    """``work`` made a copy of ``template``."""
    shutil.rmtree(work, ignore_errors=True)
    return shutil.copytree(template, work)


def operations(template, work):
    """The events of a save that succeeds, marks left out."""
    with RunDirectory.open(fresh(template, work), lock=True) as run, Disk() as disk:
        save(run, 2)
    return disk.events


# ── kills and errors


def kill_each(template, work, tally):
    """A process killed at each operation in turn, a write after half of it; the number of kills."""
    for number in itertools.count(1):
        fresh(template, work)
        told = work.with_name("told")
        told.write_bytes(b"")
        code = finished(_save_and_die, work, number, output=told)
        case, acknowledged = f"killed at operation {number}", told.read_text().split()
        check(work, acknowledged, tally, case)
        check_restart(work, tally, case)
        if code == 0:
            return number - 1
        if code != -signal.SIGKILL:
            tally.add("another end", f"{case}: exit code {code}")
            return number


def _save_and_die(path, number):
    def tell(what):
        os.write(1, f"{what}\n".encode())

    run = RunDirectory.open(path, lock=True)
    with Disk(lambda name, now: KILL if now == number else None):
        save(run, 2, tell)


def refuse_each(template, work, tally):
    """Each operation in turn fails with each error, once or from then on; the number of failed saves."""
    count = 0
    for number in range(1, len(operations(template, work)) + 1):
        for code, lasting in itertools.product(ERRORS, (False, True)):
            if code == errno.EINTR and lasting:
                continue  # an interrupted call is tried again, for ever if need be
            case = f"{errno.errorcode[code]} at operation {number}{' and after' if lasting else ''}"
            refuse(fresh(template, work), number, code, lasting, tally, case)
            count += 1
    return count


def refuse(path, number, code, lasting, tally, case):
    """One save in which operation ``number`` fails, and with ``lasting`` all that follow."""

    def fault(name, now):
        nonlocal case
        if now == number:
            case += f" ({name})"
        if now == number or lasting and now > number:
            return OSError(code, os.strerror(code))
        return None

    acknowledged, descriptors, caught = [], _descriptors(), None
    with RunDirectory.open(path, lock=True) as run, Disk(fault):
        try:
            save(run, 2, acknowledged.append)
        except Exception as error:
            caught = error
    if code == errno.EINTR and caught is None and len(acknowledged) == 2:
        pass  # tried again, with success
    elif not isinstance(caught, StorageError) or caught.exit_code != 8:
        tally.add("another end", f"{case}: {caught!r}")
    elif "\n" in str(caught) or os.strerror(code) not in str(caught):
        tally.add("another message", f"{case}: {caught}")
    elif code == errno.ENOSPC and "MiB are free there" not in str(caught):
        tally.add("another message", f"{case}: {caught}")
    if _descriptors() != descriptors:
        tally.add("descriptor left open", case)
    check(path, acknowledged, tally, case)
    check_restart(path, tally, case)


def _descriptors():
    """The number of this process's open files, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


# ── power cuts


def cut_each(template, work, tally):
    """The power is cut after each operation; the number of different disks that may be found afterwards.

    The model is POSIX's, which promises less than any file system does: of what was written to a file since
    its last fsync all, nothing, half or zeros may be there, and of the changes of names in a directory since
    its last fsync any may be missing.
    """
    with RunDirectory.open(fresh(template, work), lock=True) as run, Disk() as disk:
        save(run, 2, disk.mark)
    before = {path: path.read_bytes() for path in template.rglob("*") if path.is_file()}
    before = {str(work / path.relative_to(template)): content for path, content in before.items()}
    return _cut(work, work, before, disk.events, tally) + cut_first(work, tally)


def cut_first(work, tally):
    """As ``cut_each``, of the first save of a new run."""
    shutil.rmtree(work)
    with Disk() as disk:
        run = RunDirectory.create(work, "soak", CONFIG)
        save(run, 2, disk.mark)
    run.close()
    return _cut(work, run.path, None, disk.events, tally)


def _cut(root, path, before, events, tally):
    seen = set()
    for length in range(len(events) + 1):
        done = events[:length]
        acknowledged = [what for name, what, *_ in done if name == "mark"]
        for tree in itertools.islice(states(before or {}, done), MOST):
            key = (frozenset(tree.items()), tuple(acknowledged))
            if key not in seen:
                seen.add(key)
                shutil.rmtree(root, ignore_errors=True)
                for name, content in tree.items():
                    Path(name).parent.mkdir(parents=True, exist_ok=True)
                    Path(name).write_bytes(content)
                case = f"power cut after operation {length} {done[-1][:2] if done else ''}"
                check(path, acknowledged, tally, case, first=before is None)
    return len(seen)


def states(before, events):
    """Each set of files, {path: content}, that a power cut after ``events`` may leave of those ``before``."""
    contents = list(before.values())  # of each file as the programs see it
    synced = list(contents)  # and as it surely lasts
    names = {path: index for index, path in enumerate(before)}
    durable, pending = dict(names), []  # names that last, and changes of names that may

    for event in events:
        match event:
            case ("open", path, True, _) | ("mkdir", path):
                names[path] = len(contents)
                pending.append((path, names[path], None))
                contents.append(None if event[0] == "mkdir" else b"")
                synced.append(contents[-1])
            case ("open", path, False, True):
                contents[names[path]] = b""
            case ("write", path, start, data):
                whole = contents[names[path]].ljust(start, b"\0")
                contents[names[path]] = whole[:start] + data + whole[start + len(data) :]
            case ("ftruncate", path, size):
                contents[names[path]] = contents[names[path]][:size].ljust(size, b"\0")
            case ("replace", source, target):
                names[target] = names.pop(source)
                pending.append((target, names[target], source))
            case ("unlink", path):
                del names[path]
                pending.append((None, None, path))
            case ("fsync", path) if path in names and contents[names[path]] is not None:
                synced[names[path]] = contents[names[path]]
            case ("fsync", folder):
                for change in pending:
                    if os.path.dirname(change[0] or change[2]) == folder:
                        _rename(durable, change)
                pending = [change for change in pending if os.path.dirname(change[0] or change[2]) != folder]

    for lasting in itertools.product((False, True), repeat=len(pending)):
        found = dict(durable)
        for change in itertools.compress(pending, lasting):
            _rename(found, change)
        folders = {path for path, index in names.items() if contents[index] is None}
        files = _files(found, folders - set(found), contents)
        choices = [_survivors(synced[index], contents[index]) for index in files.values()]
        for chosen in itertools.product(*choices):
            yield dict(zip(files, chosen, strict=True))


def _files(names, lost, contents):
    """Of the names that last, those of files in no folder that is ``lost``."""
    return {
        path: index
        for path, index in names.items()
        if contents[index] is not None and not lost.intersection(map(str, Path(path).parents))
    }


def _rename(names, change):
    to, index, gone = change
    names.pop(gone, None)
    if to is not None:
        names[to] = index


def _survivors(synced, content):
    """What may be left of a file that was ``synced`` and then became ``content``."""
    if synced == content:
        return (content,)
    half = content[: (len(synced) + len(content)) // 2 if content.startswith(synced) else len(content) // 2]
    zeros = content[: len(synced)].ljust(len(content), b"\0")
    return tuple(dict.fromkeys((synced, content, half, zeros)))


# ── disks that are really full


def fill_small_disk(place, count, tally):
    """Runs of growing checkpoints on a disk of 256 KiB; the number of runs, or why there is no such disk."""

    def fill(case, told):
        _check_full(place, told, finished(_fill, place, case, None, output=told, errors=told), tally)

    return _on_small_disk(place, count, fill)


def _on_small_disk(place, count, action):
    """action(case, told) so often, ``told`` being a file that is not there yet; the number, or why not."""
    with small_disk(place) as reason:
        if reason:
            return f"skipped: {reason}"
        for case in range(count):
            told = place.with_name("told")
            told.unlink(missing_ok=True)
            action(case, told)
        return count


def fill_to_limit(place, count, tally):
    """Runs of growing checkpoints under a limit on the size of a file (EFBIG); the number of runs."""
    for case in range(count):
        told = place.with_name("told")
        told.unlink(missing_ok=True)
        _check_full(place, told, finished(_fill, place, case, 100_000, output=told, errors=told), tally)
    return count


class small_disk:
    """A disk of 256 KiB mounted on ``place`` while entered; gives None, or the reason why there is none."""

    def __init__(self, place, size=SMALL_DISK):
        self.place, self.size, self.mounted = place, size, False

    def __enter__(self):
        self.place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.size}k", "tmpfs", str(self.place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except OSError as error:
            return f"a small disk cannot be mounted: {error.strerror}"
        self.mounted = done.returncode == 0
        return None if self.mounted else f"a small disk cannot be mounted: {done.stderr.strip()}"

    def __exit__(self, *_):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=True, timeout=60)
        self.place.rmdir()


def _fill(root, seed, limit):
    """Save until it fails: prints what was acknowledged, then the error, and leaves with its code."""
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    rng = np.random.default_rng(seed)
    size, growth = rng.integers(500, 8000), rng.uniform(1.01, 1.3)  # float64s
    try:
        with RunDirectory.create(root, "full", CONFIG) as run:
            for step in range(1000):
                run.append_metrics({"step": step})
                checkpoint.save_step(run, step, {"w": np.full(int(size * growth**step), 1.0 + step)}, {})
                os.write(1, f"{step}\n".encode())
                run.write_status("running", step=step)
    except MiniganError as error:
        os.write(2, f"error: {error}\n".encode())
        return error.exit_code
    return 0


def _check_full(root, told, code, tally):
    lines = told.read_text().splitlines() or [""]
    steps, message = [line for line in lines if line.isdecimal()], lines[-1]
    if code != 8:
        tally.add("another end", f"a full disk: exit code {code}, {message}")
    if "MiB are free there" not in message or len(steps) != len(lines) - 1:
        tally.add("another message", f"a full disk: {message}")
    for path in root.iterdir():
        run = RunDirectory.open(path)
        try:
            newest = checkpoint.latest(run)
        except CheckpointError as error:
            if steps:
                tally.add("no checkpoint verifies", f"a full disk: {error}")
        else:
            # One more than was acknowledged, if the disk was full when its pointer was to be written.
            step = newest.state["step"]
            if steps and step < int(steps[-1]):
                tally.add("acknowledged checkpoint lost", f"a full disk: {step} instead of {steps[-1]}")
            if not (newest.arrays["w"] == 1.0 + step).all():
                tally.add("altered checkpoint", "a full disk")
        if run.read_metrics().skipped:
            tally.add("half row", "a full disk")
        shutil.rmtree(path)


def fill_output(place, count, tally):
    """Commands whose output goes to a disk that is always full; the number of commands."""
    commands = (["presets"], ["presets", "--json"], ["train", "--print-config"], ["--help"])
    for case in range(count):
        told = place / "told"
        told.unlink(missing_ok=True)
        command = commands[case % len(commands)]
        code = finished(minigan, *command, output="/dev/full", errors=told)
        if code != 8:
            tally.add("another end", f"minigan {' '.join(command)} > /dev/full: exit code {code}")
        if not told.read_text().startswith("error: the output cannot be written"):
            tally.add("another message", f"minigan {' '.join(command)} > /dev/full: {told.read_text()}")
    return count


def fill_by_training(place, count, tally):
    """Whole trainings on a disk of 256 KiB; the number of trainings, or why there is no such disk."""

    def fill(case, told):
        fields = (f"seed={case}", f"generator.widths=[{24 + 4 * (case % 10)},48]", "batch=16",
                  "discriminator.widths=[48]", "checkpoint_seconds=0.005", "eval_samples=200",
                  "eval_every=100")  # fmt: skip
        sets = [part for field in fields for part in ("--set", field)]
        code = finished(minigan, "train", "--out", place, "--steps", 10**7, *sets, errors=told)
        text = told.read_text()
        if code != 8:
            tally.add("another end", f"a full disk while training: exit code {code}, {text}")
        *_, message = text.splitlines() or [""]
        if text.count("error: ") != 1 or "MiB are free there" not in message or "Traceback" in text:
            tally.add("another message", f"a full disk while training: {text[-400:]}")
        (path,) = place.iterdir()
        try:
            reopen(path)
        except MiniganError as error:
            tally.add("no checkpoint verifies", f"a full disk while training: {error}")
        shutil.rmtree(path)

    return _on_small_disk(place, count, fill)

"""The report prints what was measured, draws it, fills the pages, and says which measurement is missing."""

import importlib
import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "minigan": "0.1.0", "python": "3.11.7", "numpy": "2.4.6", "scipy": "1.17.1", "platform": "Linux x86_64",
    "cpu": "A processor", "cores": 2,
    "blas": {"name": "openblas", "version": "0.3.31", "architecture": "SkylakeX", "threads": 1},
}  # fmt: skip


def row(peer, variant, size, microseconds, ratio, interval, threads=1, replicas=0, disturbed=0):
    """One result as bench.peers writes it, as far as a report reads it."""
    low, high = 0.9 * microseconds, 1.1 * microseconds
    return {
        "peer": peer, "variant": variant, "batch": size[0], "width": size[1], "replicas": replicas,
        "threads": threads, "yardstick": interval == [1.0, 1.0], "microseconds": [low, microseconds, high],
        "ratio": ratio, "interval": interval, "bursts": [microseconds] * 25, "disturbed": disturbed,
    }  # fmt: skip


def record(threads, results, measured="2026-11-22T20:09Z", **more):
    """One file of bench.peers."""
    return {
        "measured": measured, "environment": ENVIRONMENT,
        "versions": {"numpy_by_hand": "2.4.6", "ours": "0.1.0", "jax_peer": "0.10.2"}, "threads": threads,
        "seconds_per_burst": 0.2, "results": results, "failures": [], **more,
    }  # fmt: skip


TOY, WIDE, BASE = (64, 16), (512, 128), [1.0, 1.0]
RECORDS = {
    "peers-1": record(1, [
        row("numpy_by_hand", "whole batch", WIDE, 1639.4, 1.02, [1.0, 1.04]),
        row("numpy_by_hand", "chunks of columns", WIDE, 1600.0, 1.0, BASE),
        row("ours", "captured", WIDE, 1500.0, 0.94, [0.92, 0.95], disturbed=2),
        row("numpy_by_hand", "whole batch", TOY, 34.31, 1.0, BASE),
        row("jax_peer", "jit per step", TOY, 93.72, 2.73, [2.7, 2.8]),
        row("jax_peer", "lax.scan", TOY, 28.1, 0.82, [0.8, 0.83]),
        row("ours", "captured", TOY, 35.0, 1.02, [1.01, 1.03]),
        row("ours", "eager", TOY, 300.0, 8.75, [8.6, 8.9]),
    ], failures=[["(512, 128)", "jax_peer", "jit per step", "its gradients are nan"]]),
    "peers-2": record(2, [
        row("numpy_by_hand", "Python threads × chunks", WIDE, 1000.0, 1.0, BASE, 2),
        row("ours", "captured", WIDE, 99.96, 0.1, [0.1, 0.1], 2),
    ]),
    "peers-replicas-1": record(1, [
        row("numpy_by_hand", "groups", TOY, 12.6, 1.0, BASE, 1, 64),
        row("ours", "replicas", TOY, 12.0, 0.95, [0.9, 1.0], 1, 64),
        row("ours", "replicas", TOY, 17.0, 0.99, [0.9, 1.0], 1, 8),
    ]),
    "peers-replicas-2": record(2, [
        row("numpy_by_hand", "groups, Python threads", TOY, 8.3, 1.0, BASE, 2, 64),
        row("ours", "replicas", TOY, 8.0, 0.96, [0.9, 1.0], 2, 64),
    ], measured="2026-11-23T01:00Z"),
    "peers-whole": record(1, [
        {"peer": "numpy_by_hand", "variant": "whole batch", "seconds": [0.4, 0.9, 0.38], "peak_mib": 34.2,
         "growth_mib": None},
        {"peer": "ours", "variant": "captured", "seconds": [0.5, 0.52, 0.51], "peak_mib": 37.6,
         "growth_mib": 0.004},
    ], runs=3, steps=5000, growth_steps=100_000, failures=[["dezero_peer", "eager", "exit code 1"]]),
}  # fmt: skip
EXPECTED = """\
| µs per step, 1 thread            | (64, 16)    | (512, 128)   |
|----------------------------------|-------------|--------------|
| NumPy by hand, whole batch       | 34.3 (1.00) | 1 639 (1.02) |
| NumPy by hand, chunks of columns | –           | 1 600 (1.00) |
| minigan, captured                | 35.0 (1.02) | 1 500 (0.94) |
| minigan, eager                   | 300 (8.75)  | –            |
| JAX, jit per step                | 93.7 (2.73) | –            |
| JAX, lax.scan                    | 28.1 (0.82) | –            |

In brackets the ratio to the best by hand at that size with as many threads, a median over 25 turns of 0.2 s; \
its 95 % interval reaches 2 % to either side (median), 3 % at worst; 2 of 200 bursts were disturbed by other \
work. Not timed, as bench.peers says why: JAX, jit per step at (512, 128).

| µs per step, 2 threads                 | (512, 128)   |
|----------------------------------------|--------------|
| NumPy by hand, Python threads × chunks | 1 000 (1.00) |
| minigan, captured                      | 100.0 (0.10) |

In brackets the ratio to the best by hand at that size with as many threads, a median over 25 turns of 0.2 s; \
its 95 % interval reaches 0 % to either side (median), 0 % at worst.

| µs per GAN and step                   | threads | (64, 16), R = 8 | (64, 16), R = 64 |
|---------------------------------------|---------|-----------------|------------------|
| NumPy by hand, groups                 | 1       | –               | 12.6 (1.00)      |
| NumPy by hand, groups, Python threads | 2       | –               | 8.3 (1.00)       |
| minigan, replicas                     | 1       | 17.0 (0.99)     | 12.0 (0.95)      |
| minigan, replicas                     | 2       | –               | 8.0 (0.96)       |

In brackets the ratio to the best by hand at that size with as many threads, a median over 25 turns of 0.2 s; \
its 95 % interval reaches 6 % to either side (median), 9 % at worst.

|                            | s, start to 5 000 steps at (64, 16) | peak MiB at (128, 32) | MiB more after 100 000 steps |
|----------------------------|-------------------------------------|-----------------------|------------------------------|
| NumPy by hand, whole batch | 0.40                                | 34                    |                              |
| minigan, captured          | 0.51                                | 38                    | 0.00                         |

Seconds are medians of 3 processes. Not timed, as bench.peers says why: DeZero, eager.

Measured on 2026-11-22 to 2026-11-23: A processor, 2 cores, Linux x86_64; Python 3.11.7, NumPy 2.4.6 with \
openblas 0.3.31 (SkylakeX kernels); minigan 0.1.0, JAX 0.10.2.
"""  # noqa: E501  a table: a row stays a row


def panels(records=RECORDS):
    """What the picture shows."""
    return [records["peers-1"], records["peers-2"]]


def copied():
    """The records, to change: no part of one is part of another."""
    return json.loads(json.dumps(RECORDS))


@pytest.fixture
def report(monkeypatch, tmp_path):
    """bench.report, which is not installed, on results of its own."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    for name, content in RECORDS.items():
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(content))
    return importlib.import_module("bench.report")


NAMES = ["peers-1", "peers-2", "peers-replicas", "peers-whole", "peers-machines"]


def test_the_tables_are_these(report, capsys):
    assert report.main(NAMES) == 0
    assert capsys.readouterr().out == EXPECTED


def test_the_pages_have_the_tables_of_the_results(monkeypatch):
    """The committed pages and results: mended by python -m bench.report --write."""
    monkeypatch.syspath_prepend(str(ROOT))
    report = importlib.import_module("bench.report")
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(report.PAGES.glob("*.md"))}
    for path, text in report.filled(pages).items():
        assert text == pages[path], path.name


def test_the_star_of_a_mixture_is_no_emphasis(report):
    assert report.starred("| 0.3*normal(0, 1) + 0.7*gamma(2) | `0.3*normal(0, 1)` | *of* 2 |") == (
        r"| 0.3\*normal(0, 1) + 0.7\*gamma(2) | `0.3*normal(0, 1)` | *of* 2 |"
    )


def test_a_table_without_a_place_is_refused(report, monkeypatch):
    monkeypatch.setattr(report, "TABLES", {"a": ((), lambda: "| 1 |"), "b": ((), lambda: "| 2 |")})
    page = "<!-- table: a -->\n\nold\n\n<!-- end -->\n"
    with pytest.raises(report.Refused, match="not the same: b"):
        report.filled({"page": page})
    with pytest.raises(report.Refused, match="not the same: one of them twice"):
        report.filled({"page": page, "another": page + page.replace(" a ", " b ")})
    both = report.filled({"page": page, "another": page.replace(" a ", " b ")})
    assert both == {
        "page": page.replace("old", "| 1 |"),
        "another": "<!-- table: b -->\n\n| 2 |\n\n<!-- end -->\n",
    }
    assert report.filled(both) == both


def test_the_pages_are_written(report, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "TABLES", {"a": ((), lambda: "| 1 |")})
    monkeypatch.setattr(report, "PAGES", tmp_path)
    (tmp_path / "page.md").write_text("# One\n\n<!-- table: a -->\n<!-- end -->\n\nText\n")
    assert report.main(["--write", "--figure", str(tmp_path / "speed.png")]) == 0
    assert (
        tmp_path / "page.md"
    ).read_text() == "# One\n\n<!-- table: a -->\n\n| 1 |\n\n<!-- end -->\n\nText\n"
    assert (tmp_path / "speed.png").is_file()


def test_the_picture_is_a_png_of_sane_size(report, capsys, tmp_path):
    path = tmp_path / "speed.png"
    report.main(["--figure", str(path)])
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and 10_000 < len(content) < 300_000
    width, height = struct.unpack(">II", content[16:24])
    assert 1000 <= width <= 2000 and 400 <= height <= 1200
    report.main(["--figure", str(tmp_path / "again.png")])
    assert (tmp_path / "again.png").read_bytes() == content


def test_the_lines_are_those_of_the_fastest(report):
    lines = report.fastest(RECORDS["peers-1"]["results"])
    assert lines == {
        ("numpy_by_hand", False): [(TOY, 1.0, (1.0, 1.0)), (WIDE, 1.0, (1.0, 1.0))],
        ("ours", False): [(TOY, 1.02, (1.01, 1.03)), (WIDE, 0.94, (0.92, 0.95))],
        ("ours", True): [(TOY, 8.75, (8.6, 8.9))],
        ("jax_peer", False): [(TOY, 0.82, (0.8, 0.83))],
    }
    panel = report.draw(panels()).axes[0]
    drawn = {(*line.get_xdata(), *line.get_ydata()): line for line in panel.lines}
    limit = drawn[0, 1, 1.0, 1.0]
    assert len(drawn) == 4 and limit.get_linestyle() == "--" and limit.get_color() == "black"
    assert panel.get_yscale() == "log"
    intervals = [tuple(piece[:, 1]) for lines in panel.collections for piece in lines.get_segments()]
    assert (0.92, 0.95) in intervals and (8.6, 8.9) in intervals
    labels = [label.get_text() for label in panel.get_xticklabels()]
    assert [label.split("\n")[0] for label in labels] == ["64 × 16", "512 × 128"]


def test_every_line_has_its_name_inside_the_picture_and_apart_from_the_others(report):
    """With every peer, all at nearly the same µs, which is where names would lie on one another."""
    from matplotlib.text import Text

    records = copied()
    variants = [(peer, "captured") for peer in report.PEERS]
    variants += [("ours", "eager"), ("torch_peer", "eager")]
    for k, name in enumerate(("peers-1", "peers-2")):
        records[name]["results"] = [
            row(*variant, size, microseconds * (1 + 0.01 * j), 1.0, BASE, k + 1)
            for j, variant in enumerate(variants)
            for size, microseconds in ((TOY, 30.0), (WIDE, 1500.0))
        ]
    figure = report.draw(panels(records))
    figure.draw_without_rendering()
    for ax in figure.axes:
        boxes = [Text.get_window_extent(name) for name in ax.texts]  # that of an annotation has its arrow
        assert len(boxes) == len(variants)
        assert all(figure.bbox.containsx(box.x1) and figure.bbox.containsy(box.y1) for box in boxes)
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
        assert not any(box.overlaps(ax.get_window_extent()) for box in boxes for ax in figure.axes)


def test_operations_of_a_step_are_those_of_its_program(report):
    """The products of (B, H) and (H, H) that minigan records in a round, counted one by one."""
    import numpy as np

    import minigan as mg

    batch, width = 40, 24
    rng = np.random.default_rng(0)
    players = [mg.mlp((1, width, width, 1), rngs=rng, activation="tanh") for _ in range(2)]
    game = mg.Game(*players, *(mg.Adam(player.parameters, 1e-3) for player in players))
    inputs = mg.Batch(*(rng.standard_normal((1, batch, 1), dtype="float32") for _ in range(3)))
    program = mg.capture(game.round, inputs, state=game.state)
    total = 0
    for i in program.instructions:
        if i.primitive.name == "matmul":
            (*lead, n, k), m = i.inputs[0].shape, i.output.shape[-1]
            if sorted((n, k, m)) == sorted((batch, width, width)):
                total += 2 * math.prod(lead) * n * k * m
    assert total == report.flops((batch, width))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.52, 0.5, 0.9], [0.56, 0.46, 0.9]),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6]),
        ([], []),
    ],
)
def test_names_move_no_more_than_they_must(report, places, expected):
    assert report.apart(places, 0.1) == pytest.approx(expected)


def test_names_move_to_where_least_squares_put_them(report):
    """The same problem for SciPy's solver of constrained least squares."""
    import numpy as np
    from scipy.optimize import minimize

    rng = np.random.default_rng(5)
    for _ in range(5):
        places = rng.random(6)
        moved = np.array(report.apart(list(places), 0.12))
        order = np.argsort(places)
        limits = {"type": "ineq", "fun": lambda x, order=order: np.diff(x[order]) - 0.12}
        start = np.empty(6)
        start[order] = np.linspace(0, 1, 6)
        best = minimize(lambda x, p=places: ((x - p) ** 2).sum(), start, constraints=limits, tol=1e-12).x
        np.testing.assert_allclose(moved, best, atol=1e-5)


@pytest.mark.parametrize("name", list(RECORDS))
def test_a_missing_result_is_named_with_the_command_that_makes_it(report, capsys, tmp_path, name):
    (tmp_path / "results" / f"{name}.json").unlink()
    assert report.main(NAMES) == 2
    out, error = capsys.readouterr()
    assert out == ""
    command = report.COMMANDS[name]
    assert error == f"{tmp_path / 'results' / name}.json is missing; make it by: {command} --write\n"


def test_the_commands_make_those_files(report, monkeypatch, tmp_path):
    """Each command line, run by the driver with its measurements replaced, writes the file it stands for."""
    driver, made = importlib.import_module("bench.peers.__main__"), []
    monkeypatch.setattr(driver, "write", lambda name, _: made.append(name))
    monkeypatch.setattr(driver, "measure", lambda peers, *size: ([], []))
    monkeypatch.setattr(driver, "tabulate", lambda results: "")
    monkeypatch.setattr(driver, "whole", lambda *_: ([], [], ""))
    for command in report.COMMANDS.values():
        assert command.startswith("python -m bench.peers")
        driver.main([*command.split()[3:], "--write"])
    assert made == list(report.COMMANDS)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"results": []}', "\xff"])
def test_a_file_of_something_else_is_refused(report, capsys, tmp_path, content):
    (tmp_path / "results" / "peers-2.json").write_bytes(content.encode("latin-1"))
    assert report.main(["peers-2"]) == 2
    assert "peers-2.json holds no results; make it anew by:" in capsys.readouterr().err


def test_two_machines_are_two_lines(report):
    records = copied()
    records["peers-2"]["environment"]["blas"]["architecture"] = "Haswell"
    lines = report.machines(records.values()).splitlines()
    assert len(lines) == 2 and "SkylakeX" in lines[0] and "Haswell" in lines[1]


def test_the_command_ends_with_2(tmp_path):
    """As a process: one sentence, no traceback; there is no such folder of results beside a copy of bench."""
    import shutil

    shutil.copytree(
        ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("results", "__pycache__")
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench.report", "peers-1"], cwd=tmp_path, env=environ,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.endswith(
        "make it by: python -m bench.peers --write\n"
    )

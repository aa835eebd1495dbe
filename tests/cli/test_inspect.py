"""inspect: checkpoints by their headers, damaged ones, and text from untrusted files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minigan.storage import checkpoint

NAME = "step-00000006.safetensors"  # the newest of a tiny run

EVIL = "normal(4, 1.25)\x1b[31m[red]\x07\r\n\x9b1m\u202e"


def table(out):
    """The lines of a table, split at its gaps."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


def test_a_checkpoint_is_shown_by_its_header(minigan_, trained, monkeypatch):
    path = trained / "checkpoints" / NAME
    monkeypatch.setattr(checkpoint, "load", None)  # no array is read
    code, out, err = minigan_("inspect", path)
    rows = table(out)
    assert code == 0 and err == "" and rows[0] == ["array", "dtype", "shape", "bytes"]
    assert ["generator.0.W", "float32", "1 × 4", "16"] in rows and "\n  step = 6\n" in out
    assert "agree with their digest" not in out and out.rstrip().endswith("schema 1")


def test_a_verified_checkpoint_says_so_and_a_damaged_one_is_refused(minigan_, place, trained):
    path = trained / "checkpoints" / NAME
    assert "agree with their digest" in minigan_("inspect", path, "--verify")[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    Path("flipped.safetensors").write_bytes(content)
    assert minigan_("inspect", "flipped.safetensors")[0] == 0  # its header is whole
    for name, damaged in {
        "flipped": content,
        "short": content[:-1],
        "empty": b"",
        "text": b"x" * 100,
    }.items():
        Path(f"{name}.safetensors").write_bytes(damaged)
        code, out, err = minigan_("inspect", f"{name}.safetensors", "--verify")
        assert code == 3 and out == "" and err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize(("flags", "said"), [((), "false"), (("--detect-anomaly",), "true")])
def test_a_checkpoint_says_whether_its_steps_were_watched(minigan_, place, tiny, flags, said):
    assert minigan_("train", *tiny, *flags, "--out", "runs", "-q")[0] == 0
    (file,) = place.glob(f"runs/*/checkpoints/{NAME}")
    code, out, _ = minigan_("inspect", file)
    assert code == 0 and f"  watched = {said}\n" in out


def test_a_run_lists_its_checkpoints_and_what_names_them(minigan_, place, trained):
    run = Path(shutil.copytree(trained, "run"))
    folder = run / "checkpoints"
    for old in folder.glob("step-0000000[0-5]*"):
        old.unlink()
    for pointer in ("latest", "best"):
        (folder / pointer).write_text(f"{NAME}\n")
    shutil.copy(folder / NAME, folder / "step-00000009.safetensors")
    code, out, err = minigan_("inspect", run)
    assert code == 0 and err == ""
    assert [row[:3] for row in table(out)[1:3]] == [
        [NAME, "header read", "best"], ["step-00000009.safetensors", "header read", "latest"],
    ]  # fmt: skip
    assert out.endswith("\nThe run is finished.\n")
    assert "verified" in minigan_("inspect", run, "--verify")[1]
    (folder / "step-00000009.safetensors").write_bytes(b"torn")
    code, out, err = minigan_("inspect", run)
    assert code == 3 and "damaged" in out and NAME in out and "step-00000009" in err
    code, out, _ = minigan_("inspect", run, "--json")
    assert code == 3 and json.loads(out)["checkpoints"][1]["error"]


@pytest.mark.parametrize("text", ["step-00000099.safetensors", "../../etc/passwd", "\x1b[31m", ""])
def test_a_name_that_leads_nowhere_is_damage(minigan_, place, trained, text):
    run = Path(shutil.copytree(trained, "run"))
    (run / "checkpoints" / "best").write_text(text)
    code, out, err = minigan_("inspect", run)
    assert code == 3 and "header read" in out and "names no checkpoint of this run" in err
    assert "\x1b" not in out + err


@pytest.mark.rows("subject", ["absent", "", "a\0b", ".", "x" * 5000, __file__])
def test_what_is_no_checkpoint_is_refused(minigan_, subject):
    code, out, err = minigan_("inspect", subject)
    assert code == 3 and out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert "damaged" not in err


def test_nothing_of_a_checkpoint_reaches_the_terminal_raw(minigan_, place):
    state = {"step": 3, EVIL: EVIL, "list": [EVIL], "long": EVIL * 1000}
    checkpoint.save("a.safetensors", {"w[red]": np.ones(3)}, state)
    for arguments in ((), ("--json",)):
        code, out, err = minigan_("inspect", "a.safetensors", *arguments)
        assert code == 0 and err == "" and "w[red]" in out
        assert all(character.isprintable() or character == "\n" for character in out)
    assert len(minigan_("inspect", "a.safetensors")[1]) < 5000

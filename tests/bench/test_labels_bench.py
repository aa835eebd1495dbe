"""The benchmark of conditional GANs in a tiny form: both tables, and what they count."""

import json

from bench import common, labels

TINY = ["--set", "steps=3", "--set", "generator.widths=[4]", "--set", "discriminator.widths=[4]"]
TINY += ["--set", "batch=16", "--jobs", "1", "--seeds", "1", "--first", "0"]


class Here:
    """What the pool of processes is, in this one."""

    def __init__(self, jobs):
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_it_prints_both_tables_and_keeps_what_was_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(labels, "RESULTS", tmp_path)
    monkeypatch.setattr(labels, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(labels, "COUNT", 200)
    judge = labels.classifier_two_sample_test
    monkeypatch.setattr(labels, "classifier_two_sample_test", lambda a, b, rng: judge(a, b, rng, steps=20))
    for name in ("two-classes", "iris"):
        labels.main(["--only", name, "--write", *TINY])
    record = json.loads((tmp_path / "labels.json").read_text())
    assert record["results"].keys() == {"two-classes", "iris"} and record["settings"]["count"] == 200
    (row,) = record["results"]["two-classes"]
    assert len(row["ks"]) == 2 and not row["within"] and 0.05 < row["perfect"] < 0.12
    (iris,) = record["results"]["iris"]
    assert iris["held"] == 48 and iris["right"]["Gaussian, shared covariance"] > 40
    printed = capsys.readouterr().out
    assert "| `two-classes` | 0 of 2 " in printed and "of 48" in printed

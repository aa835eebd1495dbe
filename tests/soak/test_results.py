"""The committed results of the long forms: every promise was held, as often as is claimed."""

import json
import re
from pathlib import Path

import pytest

from bench.soak import SOAKS

ROOT = Path(__file__).parents[2]
CLAIMS = {  # figures that are at least so large, beside zero failures
    "kills": {"kills": 1000},
    "signals": {"SIGINT_sent": 200, "SIGTERM_sent": 200, "SIGHUP_sent": 200},
    "writers": {"starts": 200, "reads": 500},
    "operations": {"kills": 30, "errors": 100, "power_cuts": 30},
    "damage": {"mutant": 1_000_000},
    "growth": {"steps": 1_000_000},
    "cluster": {"runs": 64},
    "native": {"games": 24, "under_sanitizers": 5},
    "fuzz": {},
}


def result(name):
    return json.loads((ROOT / "bench" / "results" / f"soak-{name}.json").read_text())


def test_every_long_form_has_a_claim():
    assert CLAIMS.keys() == SOAKS.keys()


@pytest.mark.rows("name", CLAIMS)
def test_a_long_form_was_run_at_length_and_nothing_failed(name):
    stored = result(name)
    assert stored["failures"] and not any(stored["failures"].values()) and stored["environment"]["cpu"]
    for figure, least in CLAIMS[name].items():
        assert stored[figure] >= least, figure


def test_growth_is_within_two_mib_with_and_without_the_collector():
    stored = result("growth")
    assert all(stored[f"collector_{state}"]["growth_mib"] <= 2.0 for state in ("on", "off"))


def test_the_docs_have_the_numbers_of_the_results():
    text = (ROOT / "docs" / "results.md").read_text()
    table = text.split("## Injected faults")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` +\| (.*) \|$", table, re.MULTILINE)
    assert {name for name, _ in rows} == SOAKS.keys()
    for name, said in rows:
        stored, numbers = json.dumps(result(name)), re.findall(r"\d[\d ]*(?:\.\d+)?", said)
        assert numbers
        for number in (text.replace(" ", "") for text in numbers):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", stored), (name, number)

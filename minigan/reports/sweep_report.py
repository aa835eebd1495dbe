"""A sweep as one HTML file: success rates, all runs, the plan, how to repeat it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigan.reports.html_page import pairs, repeat, section, table, text_of, whole
from minigan.reports.report import LOOKS, NOTHING, environment_of, require_bokeh
from minigan.storage.directory import RunDirectory
from minigan.sweeps import sweep as sweeps
from minigan.sweeps.sweep import Rate, Results, Sweep
from minigan.training.config import flatten

ROWS = 1000  # runs that are listed


def sweep_as_page(path: Path) -> str:
    """The report on a sweep, as far as it has come.

    Raises:  UnavailableError – without Bokeh;  DataError – for what is no directory of a sweep
    """
    require_bokeh()
    plan = sweeps.load(path)
    found = sweeps.results(path, plan)
    missing = [f"{len(found.missing)} missing"] if found.missing else []
    facts = [f"{len(found.rows)} runs", *missing, f"success: {plan.success}"]
    status = RunDirectory.open(sweeps.run_path(path, _first(found))).read_status() if _any(found) else {}
    figures, data = _figures(plan, found)
    sections = [
        section("How often it succeeded", figures),
        section("Settings", _rates(plan, found.rates)),
        section("Runs", _runs(plan, found)),
        section("How to repeat it", *_repeat(plan, status)),
        section("What all runs share", pairs(_shared(plan))),
        section("Environment of the first run", pairs(environment_of(status))),
    ]
    return whole(plan.name, facts, "", sections, data)


def _any(found: Results) -> bool:
    return len(found.missing) < len(found.rows)


def _first(found: Results) -> int:
    return min(set(range(len(found.rows))) - set(found.missing))


def _names(plan: Sweep) -> list[str]:
    return [name for name in plan.varied if name != "seed"]


def _of(found: Results, rate: Rate, names: Sequence[str]) -> list[dict[str, Any]]:
    return [row for row in found.rows if all(row[name] == rate.settings[name] for name in names)]


def _figures(plan: Sweep, found: Results) -> tuple[str, dict[str, Any]]:
    from minigan.views.file import document, stacked
    from minigan.views.look import LOOKS as KNOWN
    from minigan.views.sweep import Setting, SweepView

    if not found.rates:
        return "<p>No run has ended yet.</p>", NOTHING
    names, settings = _names(plan), []
    for rate in sorted(found.rates, key=lambda rate: -rate.share):
        own = [row["ks"] for row in _of(found, rate, names) if row["ks"] is not None]
        label = ", ".join(f"{name} {text_of(rate.settings[name])}" for name in names) or plan.name
        settings.append(Setting(label, rate.runs, rate.share, rate.low, rate.high, rate.median_ks, own))
    documents = {}
    for name in LOOKS:
        look = KNOWN[name]
        documents[name] = document(stacked(look, SweepView(look, settings, plan.success).layout))
    return '<div id="figures"></div>', NOTHING | {"documents": documents}


def _rates(plan: Sweep, rates: Sequence[Rate]) -> str:
    names = _names(plan)
    rows = [
        [
            *(text_of(rate.settings[name]) for name in names), str(rate.runs), str(rate.successes),
            f"{rate.share:.1%}", f"{rate.low:.1%} to {rate.high:.1%}", _number(rate.median_ks),
        ]
        for rate in rates
    ]  # fmt: skip
    return table((*names, "runs", "successes", "share", "95 %", "median KS"), rows)


def _runs(plan: Sweep, found: Results) -> str:
    known = {name for row in found.rows for name, value in row.items() if value is not None}
    columns = [name for name in found.rows[0] if name in known - {"run", "path"}] if found.rows else []
    rows = [[str(row["run"]), *(_number(row[name]) for name in columns)] for row in found.rows[:ROWS]]
    more = len(found.rows) - len(rows)
    note = f"<p>{more} runs more stand in results.csv.</p>" if more > 0 else ""
    listed = table(("run", *columns), rows)
    return f"<details open><summary>{len(found.rows)} runs</summary>{listed}{note}</details>"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else text_of(value)


def _repeat(plan: Sweep, status: Mapping[str, Any]) -> list[str]:
    how = "make a folder with the plan below as <code>sweep.json</code>, then"
    return repeat(
        status.get("command"), how, "minigan sweep --resume FOLDER", "plan", plan.to_json().decode()
    )


def _shared(plan: Sweep) -> dict[str, Any]:
    first = flatten(plan.configs[0])
    return {name: value for name, value in first.items() if name not in (*plan.varied, "name")}

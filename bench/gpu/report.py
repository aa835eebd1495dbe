"""What was expected of a GPU beside what came, out of the files of bench.gpu.

python -m bench.gpu.report FILE.json …     of smoke, of the probe, of a part of it
"""

import json
import math
import sys
from pathlib import Path

from bench.common import table
from bench.gpu.predictions import PREDICTIONS


def report(sections):
    """The prediction beside the measurement, as a table of at most 42 lines."""
    rows = []
    for p in PREDICTIONS:
        found = sections.get(p.section)
        value = None if found is None else beside(sections, p)
        if found is None:
            text = "not run"
        elif value == "dry run":
            text = value
        elif value is None:
            text = " ".join(["not measured", *found["errors"].get(p.name, "").split()[:1]])
        else:
            text = value if isinstance(value, str) else f"{value:.4g} {p.unit}".strip()
            text += "" if p.holds(value) else ", MISSED: explain it"
        rows.append((p.section, p.name, p.guess or p.text(), p.text() if p.guess else "", p.goal, text))
    return table(("", "", "predicted", "counted since", "goal", "measured"), rows)


def beside(sections, prediction):
    """The figure that a prediction is of; one of them is a ratio of two sections."""
    if prediction.high != math.inf:
        return sections[prediction.section]["values"].get(prediction.name)
    ours = sections.get("H", {"values": {}})["values"].get("(4096, 512) fused, TF32")
    others = [v for name, v in sections["L"]["values"].items() if name.startswith("(4096, 512) ")]
    return min(others) / ours if others and isinstance(ours, float) else None


def read(path):
    """The sections that a file already has; none where there is no file."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read ({error}); name another file") from None
    if not isinstance(record, dict) or not isinstance(record.get("sections"), dict):
        raise SystemExit(f"{path} is no result of bench.gpu; name another file")
    return record["sections"]


def main(paths=None):
    """Print the table of some files together."""
    sections = {}
    for path in sys.argv[1:] if paths is None else paths:
        sections |= read(path)
    print(report(sections))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

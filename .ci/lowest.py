"""Print the lowest versions that setup.py declares for the package and its tests, one "name==version" a line.

`pip install` takes the list; setup.py alone says what the bounds are.
"""

import re
from distutils.core import run_setup  # setuptools brings it where Python has none
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pin(requirement):
    """The lowest version that a requirement allows: "a[b]>=1.2,<2" → "a[b]==1.2"."""
    match = re.fullmatch(r"([\w.-]+(?:\[[\w,]+\])?)>=([\w.]+)(?:,<[\w.]+)?", requirement)
    if match is None:
        raise ValueError(f"setup.py: {requirement!r} has no lower bound of the form name>=version")
    return f"{match[1]}=={match[2]}"


if __name__ == "__main__":
    setup = run_setup(str(ROOT / "setup.py"), stop_after="init")
    print(*map(pin, [*setup.install_requires, *setup.extras_require["test"]]), sep="\n")

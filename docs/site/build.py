"""Build the site: python docs/site/build.py [options of sphinx-build].

What Sphinx reads is put together under build/docs/source: the pages of docs/, the texts beside the README,
the examples, and what pages.py writes from the package itself; nothing is generated into the checkout. Then
Sphinx, with warnings as errors, and check.py on what it wrote. ``-D plot_gallery=0`` runs no example.
"""

import os
import re
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE, HTML = ROOT / "build" / "docs" / "source", ROOT / "build" / "docs" / "html"
TEXTS = {  # beside the README, and where they are in the site
    "CONTRIBUTING.md": "understand/contributing.md",
    "SECURITY.md": "understand/security.md",
    "CHANGELOG.md": "reference/changelog.md",
    "README.md": "readme.md",
    "bench/results/README.md": "reference/raw-results.md",
    "bench/gpu/README.md": "reference/gpu-first.md",
}
GALLERY = "learn/gallery"  # where the examples are as pages
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\.png\)")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+?)(#[^)\s]*)?\)")


def moved(text: str, origin: str, places: dict[str, str]) -> str:
    """A text with its links as in the site; ``origin`` and ``places`` count from the checkout's root.

    What is a file of the checkout and no page of the site is named, and not linked.
    """
    here = Path(places[origin]).parent

    def place(match: re.Match[str]) -> str:
        label, path, anchor = match.groups(default="")
        target = (ROOT / origin).parent.joinpath(path).resolve()
        name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else path
        if name in places:
            up = "../" * len(here.parts)
            return f"[{label}]({up}{places[name]}{anchor})"
        return f"{label} (`{name}`)" if target.exists() and label.strip("`") != name else match[0]

    return paired(LINK.sub(place, text), (ROOT / origin).parent)


def paired(text: str, folder: Path) -> str:
    """Pictures that there are for a dark page as well, of the same name with -dark: each look has its own."""

    def pair(match: re.Match[str]) -> str:
        label, path = match.groups()
        if not (folder / f"{path}-dark.png").is_file():
            return match[0]
        return f"![{label}]({path}.png){{.only-light}}\n![{label}]({path}-dark.png){{.only-dark}}"

    return PICTURE.sub(pair, text)


def assemble() -> None:
    """Everything that Sphinx reads, under build/docs/source."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    places = dict(TEXTS)
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and HERE not in path.parents and "__pycache__" not in path.parts:
            places[path.relative_to(ROOT).as_posix()] = path.relative_to(ROOT / "docs").as_posix()
    scripts = {
        f"examples/{path.name}": f"{GALLERY}/{path.stem}.rst" for path in (ROOT / "examples").glob("*.py")
    }
    links = places | scripts | {"examples": f"{GALLERY}/index.rst"}
    for name, place in places.items():
        target = SOURCE / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".md"):
            text = moved((ROOT / name).read_text(encoding="utf-8"), name, links)
            target.write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(ROOT / name, target)
    shutil.copyfile(HERE / "conf.py", SOURCE / "conf.py")
    shutil.copytree(HERE / "_static", SOURCE / "_static")


def main(options: list[str]) -> int:
    """Assemble, build, check; 0 where all is well."""
    sys.path[:0] = [str(ROOT), str(HERE)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HERE)])  # for the processes that run examples
    sys.modules.pop("sitecustomize", None)  # another one's
    import check
    import gallery
    import pages
    import sitecustomize  # noqa: F401 - from here on the network is refused, here and in those processes
    from sphinx.cmd.build import main as sphinx

    start = time.monotonic()
    assemble()
    gallery.stage(ROOT / "examples", SOURCE / "scripts")
    pages.write(SOURCE)
    shutil.rmtree(HTML, ignore_errors=True)
    code = sphinx(["-b", "html", "-W", "--keep-going", *options, str(SOURCE), str(HTML)])
    if code:
        return code
    faults = check.faults(HTML)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{HTML / 'index.html'}: {check.count(HTML)}, built in {time.monotonic() - start:.0f} s")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

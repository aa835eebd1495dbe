"""The README and the pages: short enough, true where a program can tell, linked, and each thing said once."""

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import minigan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
OTHERS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/results/README.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in OTHERS}
TEXTS |= {f"docs/{name}": text for name, text in PAGES.items()}
GENERATED = ("api/index.rst", "commands.md", "settings.md")  # pages that only the site has
SECTIONS = {  # pages of the site in folders: their blocks of code are run by make docs
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs").glob("*/**/*.md"))
}
TEXTS |= SECTIONS
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


NEEDED = {"scikit-learn.md": ("sklearn", "pandas")}  # by the Python of a page, beside minigan


def prose(text):
    """A page without blocks of code, formulas, indented lines and rows of tables."""
    lines = re.sub(r"\$\$.*?\$\$", "", FENCE.sub("", text), flags=re.DOTALL).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("|", "    ")))


# ── the README
def test_the_readme_is_a_page_and_shows_python_early():
    assert len(README) <= 9000 and len(README.splitlines()) <= 160
    assert 0 < README.index("```python") <= 2500


def run(text):
    """What the Python blocks of a page print, run one after the other as one program."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile("\n".join(PYTHON.findall(text)), "page", "exec"), {"__name__": "page"})
    return printed.getvalue()


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Runs of a tenth of a second, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"STEPS": "300", "EVAL_SAMPLES": "1000", "EVAL_EVERY": "100"}.items():
        monkeypatch.setenv(f"MINIGAN_{name}", value)


def test_the_python_of_the_readme_learns(tmp_path, quick):
    """Mean 1 and standard deviation 0.5, with a fixed seed; untrained they are 0.0 and below 0.2."""
    said = r"can(?:not)? be told apart \S+\nmean (\S+), standard deviation (\S+)\n"
    mean, sd = map(float, re.fullmatch(said, run(README)).groups())
    assert abs(mean - 1) < 0.2 and abs(sd - 0.5) < 0.15
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if PYTHON.search(text)])
def test_the_python_of_a_page_runs(name, tmp_path, quick, brief_judge):
    """And prints what stands in a comment behind a print."""
    for library in NEEDED.get(name, ()):
        pytest.importorskip(library)
    printed = run(PAGES[name])
    assert printed.strip() and list(tmp_path.iterdir()) == []
    for said in re.findall(r"^print\(.*\)  # (.*)$", PAGES[name], re.MULTILINE):
        assert said in printed.splitlines()


def test_trackers_are_told_what_the_page_says(quick, monkeypatch):
    """Its examples with other libraries, on stand-ins that keep what they are told."""
    from unittest.mock import MagicMock

    monkeypatch.setattr("minigan.front.figures.save_overview", lambda run: None)
    monkeypatch.setattr("minigan.reports.overview.draw_page", lambda finished: MagicMock())
    monkeypatch.setenv("MINIGAN_STEPS", "4")
    examples, told = re.findall(r"^```py\n(.*?)^```$", PAGES["fit.md"], re.DOTALL | re.MULTILINE), []
    for source in examples:
        name = re.match(r"import (\w+)", source)[1]
        monkeypatch.setitem(sys.modules, name, library := MagicMock())
        exec(compile(source, name, "exec"), space := {"mg": minigan})
        assert len(source.splitlines()) <= 13 and len(space["run"].metrics["step"]) == 3
        told.append([call[0] for call in library.mock_calls])
    assert told[0].count("log_metrics") == 3 and "log_artifacts" in told[0]
    assert told[1].count("init().__enter__().log") == 4 and "Image" in told[1]


# ── links
def slug(heading):
    """The anchor that GitHub and MyST make of a heading."""
    text = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return text.replace(" ", "-")


def anchors(text):
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)}


def links(text):
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)) if "://" not in link]


@pytest.mark.rows("name", TEXTS)
def test_every_relative_link_leads_somewhere(name):
    here = ROOT / name
    for link in links(TEXTS[name]):
        path, _, anchor = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        assert target.exists() or link in GENERATED, link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_search_for_links_can_fail():
    assert links("[a](b.md#c) ![d](e.png) [f](https://g)") == ["b.md#c", "e.png"]
    assert anchors("# D against D\\* on a `G`\n```\n# no\n```\n") == {"d-against-d-on-a-g"}


def test_every_page_is_linked_from_the_index_and_from_the_readme():
    assert {
        name for name in links(PAGES["index.md"]) if re.fullmatch(r"[\w-]+\.md", name)
    } == PAGES.keys() - {"index.md"}
    assert {f"docs/{name}" for name in PAGES} <= set(links(README))


@pytest.mark.rows("name", [name for name in TEXTS if name != "CHANGELOG.md"])  # which names what was
def test_a_text_names_files_that_exist(name):
    for path in re.findall(r"`((?:minigan|examples|bench|tests|docs)/[\w/.-]+)`", TEXTS[name]):
        generated = path in ("bench/results/NAME.json", "bench/results/gpu-probe.json")
        assert generated or "NAME" in path or (ROOT / path).exists(), path


@pytest.mark.rows("name", PAGES)
def test_a_page_is_plain_markdown_with_one_title(name):
    text = FENCE.sub("", PAGES[name])
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1 and text.startswith("# ")
    tags = r"<(?!!-- (?:table: [\w-]+|end) -->)[a-zA-Z/!]"
    assert not re.findall(tags, re.sub(r"`[^`]*`", "", text))


# ── each thing is said once
LENGTH = 12  # words in a row: shorter ones are phrases


def shingles(text):
    words = re.findall(r"[\w*-]+", prose(text))
    return {tuple(words[k : k + LENGTH]) for k in range(len(words) - LENGTH + 1)}


def test_no_text_repeats_a_sentence_of_another():
    seen = {}
    for name, text in TEXTS.items():
        for shingle in shingles(text):
            assert shingle not in seen, f"{name} and {seen[shingle]}: {' '.join(shingle)}"
        seen |= dict.fromkeys(shingles(text), name)
    assert len(seen) > 5000


def test_the_search_for_repetition_can_find():
    text = "one two three four five six seven eight nine ten eleven twelve"
    assert shingles(f"And {text}.") & shingles(f"{text}, so") and not shingles(f"    {text}")


# ── words
TERMS = re.compile(r"^- \*\*((?:\\\*|[^*])+)\*\*", re.MULTILINE)
JARGON = {  # words that a newcomer cannot know, each as it is looked for
    "AmbientGAN": "AmbientGAN", "bitwise": "bitwise", "checkpoint": "checkpoint", "critic": r"critics?\b",
    "D\\*": r"D\\\*", "detector": "detector", "dispatch": "dispatch", "eager": r"\beager\b", "EMA": "EMA",
    "EXACT": r"\bEXACT\b", "execution": r"execution=", "f-GAN": "f-GAN", "HQ": r"\bHQ\b", "JS": r"\bJS\b",
    "implied JS": "implied", "KL, reverse KL": r"\bKL\b", "KS": r"\bKS\b", "latent": "latent",
    "logit": "logit",
    "mode": r"\bmodes?\b", "objective": "objective", "packing": "packing", "pass": r"\bpasses\b",
    "penalty": "penalt", "perfect sampler": "perfect sampler", "Philox": "philox", "preset": "preset",
    "primitive": "primitive", "R1, R2": r"\bR[12]\b", "replica": "replica", "strict device": "strict device",
    "sweep": "sweep", "tail average": "average", "TF32": "TF32", "V": r"\bV\b", "verdict": "verdict",
    "W1": r"\bW1\b", "WGAN-GP": "WGAN-GP", "Wilson's interval": "Wilson", "worker": "worker",
}  # fmt: skip


def test_every_word_of_the_trade_is_in_the_glossary():
    terms = TERMS.findall(PAGES["glossary.md"])
    used = README + "".join(text for name, text in PAGES.items() if name != "glossary.md")
    for term, pattern in JARGON.items():
        assert term in terms, term
        assert re.search(pattern, used), f"{term} is explained, but not used"


def test_the_glossary_is_in_order_without_doubles():
    terms = [term.lower() for term in TERMS.findall(PAGES["glossary.md"])]
    plain = [re.sub(r"[^\w ]", "", term) for term in terms]
    assert plain == sorted(plain) and len(set(terms)) == len(terms)


OLD = re.compile(r"\b(laws?|doors?|(?:the|its|a) double|engines|last bits|bit for bit)\b", re.IGNORECASE)


def test_the_texts_use_one_vocabulary():
    """What has another name: law is distribution, door dispatch, double strict device, engines workers."""
    for name, text in TEXTS.items():
        found = name != "CHANGELOG.md" and OLD.search(prose(text))
        assert not found, f"{name}: {found}"


# ── what else can be compared with the code
def test_the_exit_codes_are_those_of_the_code():
    from minigan import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    codes = {kind.exit_code for kind in kinds} | {0, 129, 130, 143}
    table = PAGES["command-line.md"].partition("## Exit codes")[2]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes


def test_the_launches_of_a_step_are_as_many_as_the_page_says(capsys):
    from minigan.cli import main

    said = " ".join(PAGES["gpu.md"].split())
    told = r"plain`, (\d+) instructions .* is (\d+) launches .* default, (\d+) .* is (\d+);"
    counts = re.search(told, said).groups()
    for method, instructions, launches in (("plain", *counts[:2]), ("shaped", *counts[2:])):
        assert main(["graph", "--program", "--set", f"method={method}"]) == 0
        assert len(re.findall(r"= \w+\(", capsys.readouterr().out)) == int(instructions), method
        assert main(["graph", "--cuda", "launches", "--set", f"method={method}"]) == 0
        assert capsys.readouterr().out.count("__global__") == int(launches) + 1, method


def test_the_columns_of_metrics_are_those_of_a_run(tmp_path):
    from minigan.storage.directory import RunDirectory
    from minigan.training.config import to_json
    from minigan.training.experiment import Experiment
    from minigan.training.settings import resolve
    from minigan.training.trainer import train

    config = resolve(environ={}, sets=["steps=2", "eval_every=1", "eval_samples=100"])
    with RunDirectory.create(tmp_path, "short", to_json(config)) as directory:
        row = train(Experiment(config), directory).row
        files = {path.name for path in directory.path.iterdir() if path.name != ".lock"}
    table = PAGES["runs.md"].partition("## What is measured")[2].partition("\n## ")[0]
    rows = "".join(line for line in table.splitlines() if line.startswith("| `"))
    named = re.findall(r"`(\w+)`", rows)
    assert set(named) == set(row)
    written = re.findall(r"^\| `(\w+[.\w]*)", PAGES["runs.md"].partition("\n## ")[0], re.MULTILINE)
    assert files <= set(written)

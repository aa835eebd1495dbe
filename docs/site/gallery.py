"""The examples as pages of a gallery: staged with a title, their pictures found where they draw them."""

import ast
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import claims

TITLES = {  # of the pages; any other has the name of its file
    "information_and_entropy": "Information and entropy",
    "kl_js_ks": "Divergences: KL, JS and KS",
    "generative_and_discriminative": "Generative and discriminative models",
    "maximum_likelihood": "Maximum likelihood, and what takes its place",
    "backprop_by_hand": "A whole GAN in NumPy, by hand",
    "gan_in_thirty_lines": "A GAN in thirty lines",
    "d_against_d_star": "D against the best D",
    "v_and_js": "The value of the game and JS",
    "divergence_zoo": "Fifteen objectives, fifteen normals",
    "mode_collapse": "Mode collapse, and what helps",
    "dirac_dynamics": "The smallest GAN of all",
    "galaxies": "Galaxies",
    "open_in_pytorch": "A checkpoint opened in PyTorch",
}
SHORTER = {  # what takes minutes is built in a shorter form, which its page names
    "galaxies": ("main(steps=1500, fitted=200)", "with 1500 steps and 200 fitted profiles"),
}
DRAWN = {  # of examples that draw nothing themselves: a block more, which draws what they made
    "gan_in_thirty_lines": """
# %%
# What is judged, as a share of the bound that 95 % of perfect samplers keep in all rows together.
from matplotlib.figure import Figure

rows = [row for row in found.rows if row.judges]
page = Figure(figsize=(8, 2.6), layout="constrained")
axes = page.subplots()
shares = [abs(row.value - (row.target or 0.0)) / row.bound for row in rows]
axes.barh([row.name for row in rows], shares, color="#0072B2")
axes.axvline(1.0, color="k", linestyle="--")
axes.set(xlabel="share of the bound; beyond 1 the samples can be told apart", title=found.headline)
page.savefig("gan_in_thirty_lines.png", dpi=110)
""",
    "open_in_pytorch": """
# %%
# The curves that PyTorch has to find in the checkpoint: the averaged generator, and the logit of D.
from matplotlib.figure import Figure

with tempfile.TemporaryDirectory() as folder:
    experiment, _ = trained(Path(folder), "steps=400")
z = np.linspace(-3, 3, 400)[:, None]
x = z * experiment.scale + experiment.shift
page = Figure(figsize=(9, 3), layout="constrained")
left, right = page.subplots(1, 2)
left.plot(z, experiment.generate(z), color="#D55E00")
left.set(xlabel="z", ylabel="G(z)")
right.plot(x, experiment.logits(x), color="#009E73")
right.set(xlabel="x", ylabel="logit of D(x)")
page.savefig("open_in_pytorch.png", dpi=110)
""",
}
HEADER = """Examples
========

Each is a page of code that prints what it shows, and most draw a picture. Pictures and printed lines were
made when this site was built; each page says how long its script took, and can be downloaded as a script or
as a notebook.
"""


PICTURE = re.compile(r'"(\w+\.png)"')  # that a script draws, as it names it


def escaped(text: str) -> str:
    """Plain text as reST shows it, with its code in `…`."""
    parts = re.split(r"`([^`\n]+)`", text)
    parts[::2] = [re.sub(r"([\\*`|_])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{code}``" for code in parts[1::2]]
    return "".join(parts)


def reads(said: str) -> str:
    """The docstring of an example as reST: paragraphs, and what is indented as it stands."""
    parts = re.split(r"\n\s*\n", said)
    kept = [
        f"::\n\n{textwrap.indent(part, '    ')}" if part[:2].isspace() else escaped(part) for part in parts
    ]
    return "\n\n".join(kept)


def title_of(path: Path) -> str:
    """The title of an example: its number and its name."""
    number, _, name = path.stem.partition("_")
    return f"{number} {TITLES.get(name, name.replace('_', ' ').capitalize())}"


def staged(path: Path) -> str:
    """The source of an example, its docstring made a page's beginning."""
    source = path.read_text(encoding="utf-8")
    body = ast.parse(source).body[0]
    said = ast.get_docstring(ast.parse(source)) or ""
    said = re.sub(
        r"\n*^Draws \S+ into the directory in which it is started\.\Z", "", said, flags=re.M
    ).strip()
    title = title_of(path)
    rest = source.splitlines(keepends=True)[body.end_lineno or 1 :]
    name = path.stem.partition("_")[2]
    if name in SHORTER:
        call, how = SHORTER[name]
        rest = [line.replace("    main()", f"    {call}") for line in rest]
        said += f"\n\nThis page was made {how}; the script itself does more."
    rest = [re.sub(r"^    main\(", "    found = main(", line) for line in rest]
    rest += [claims.block(name), DRAWN.get(name, "")]
    head = f'r"""\n{title}\n{"=" * len(title)}\n\n{reads(said)}\n"""\n'
    return head + "".join(rest)


def stage(examples: Path, into: Path) -> None:
    """Write all examples into ``into``, with the gallery's header."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    (into / "GALLERY_HEADER.rst").write_text(HEADER, encoding="utf-8")
    for path in sorted(examples.glob("[0-9]*.py")):
        (into / path.name).write_text(staged(path), encoding="utf-8")


class Pictures:
    """What sphinx-gallery asks for the pictures of a script: the PNG that it drew beside itself."""

    def __repr__(self) -> str:
        return "Pictures"

    def __call__(self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
        """reST that shows the pictures, moved to where the gallery keeps them."""
        from sphinx_gallery.scrapers import figure_rst

        script, names = Path(block_vars["src_file"]), []
        for own in sorted(set(PICTURE.findall(script.read_text(encoding="utf-8")))):
            if (script.parent / own).is_file():
                names.append(next(block_vars["image_path_iterator"]))
                shutil.move(script.parent / own, names[-1])
        return figure_rst(names, gallery_conf["src_dir"])

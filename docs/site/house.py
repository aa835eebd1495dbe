"""The site's extension of Sphinx: docstrings of the house, formulas as MathML, the tags of the theory."""

import re

from docstrings import to_rest
from docutils import nodes
from docutils.utils.math import latex2mathml


def docstring(app, what, name, obj, options, lines):
    """A docstring as autodoc has read it becomes reST in place."""
    lines[:] = to_rest(lines)


def skip(app, what, name, obj, would_skip, options):
    """Whether a member is left out: what scikit-learn puts into estimators, told of in its own pages.

    A field of a named tuple is in the signature, and has nothing to say but its number.
    """
    if re.match("Alias for field number", getattr(obj, "__doc__", None) or ""):
        return True
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def formula(node, display: bool) -> str:
    """A formula as MathML, which browsers draw by themselves."""
    text = latex2mathml.tex2mathml(node.astext(), as_block=display)
    return re.sub(r"(<mi>(?:ln|log|exp|sup|inf|max|min)</mi>)", r'\1<mspace width="0.17em"/>', text)


def visit_inline(self, node):
    self.body.append(formula(node, False))
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(f'<div class="math">{formula(node, True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

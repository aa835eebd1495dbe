"""The text form of distributions: "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)".

The text is read by Python's own ``ast``, which evaluates nothing; of its syntax numbers, names, calls, ``+``
and ``*`` are taken, and all else is refused with its place. What ``str`` says of a distribution reads back.
"""

import ast
import difflib
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from minigan.probability.distributions import SUM_TOLERANCE, Distribution, Laplace, Normal, StudentT, Uniform
from minigan.probability.galaxies import GalaxyImages
from minigan.probability.mixture import Mixture
from minigan.probability.multivariate import MultivariateDistribution
from minigan.probability.planar import grid, ring, spiral


class Family(NamedTuple):
    """What a name in text makes: ``make(*numbers)``, of which the first ``required`` may not be left out."""

    make: Callable[..., Any]
    parameters: str
    required: int


FAMILIES = {
    "normal": Family(Normal, "mean, sd", required=2),
    "uniform": Family(Uniform, "low, high", required=2),
    "laplace": Family(Laplace, "location, scale", required=2),
    "student": Family(StudentT, "dof, location = 0, scale = 1", required=1),
    "ring": Family(ring, "modes = 8, radius = 1, sd = 0.01", required=0),
    "grid": Family(grid, "side = 5, spacing = 2, sd = 0.05", required=0),
    "spiral": Family(spiral, "turns = 2, sd = 0.02, radius = 1", required=0),
    "galaxies": Family(GalaxyImages, "size = 16, noise = 0.1", required=0),
}
ALIASES = {"gaussian": "normal", "n": "normal"}
MAX_TEXT = 1000  # characters
_FOREIGN = re.compile(r"[^A-Za-z0-9_ .,+*()-]")
_LEADING_ZEROS = re.compile(r"(?<![\w.])(?<![eE][+-])0+(?=\d)")  # people write 01, Python does not


def parse(text: str) -> Distribution | MultivariateDistribution:
    """The distribution that a text names: ``[weight*]name(numbers)`` joined by ``+``.

    "normal(4, 1.25)" (also "N(4, 1.25)" or "gaussian(4, 1.25)": the second number is the standard deviation),
    "uniform(-1, 1)", "laplace(0, 1)", "student(40)", "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)";
    distributions of the plane: "ring(8, 1, 0.01)", "grid(5, 2, 0.05)", "spiral(2, 0.02)", and images of 16 ×
    16 pixels, "galaxies(16, 0.1)", which cannot be mixed. The text form ``str`` of each of these
    distributions reads back to an equal distribution.

    Raises:  ValueError – with the text, the place and what is known there, or the sum of the weights;
             TypeError – if it is no text
    """
    if not isinstance(text, str):
        raise TypeError(
            f"a distribution is given as text, e.g. 'normal(4, 1.25)'; received {type(text).__name__}"
        )
    if len(text) > MAX_TEXT:
        raise ValueError(f"a distribution's text may have {MAX_TEXT} characters; received {len(text)}")
    weights, parts = zip(*_Reader(text).weighted_distributions(), strict=True)
    if weights == (None,):
        return parts[0]
    found = [1.0 if weight is None else weight for weight in weights]
    if min(found) < 0 or not abs(sum(found) - 1) <= SUM_TOLERANCE:
        raise ValueError(
            f"the weights in {_shortened(text)} must be nonnegative and sum to one, but their sum is "
            f"{sum(found):.10g} (a component without a weight counts as 1); write e.g. "
            "'0.5*normal(-1, 1) + 0.5*normal(1, 1)'"
        )
    return Mixture(tuple(found), parts)


class _Reader:
    """A walk over the tree of one text; each refusal names the character at which it stands."""

    def __init__(self, text):
        self.text = text
        self.line = re.sub(r"\s", " ", text)  # one line, so that an offset in it is one in the text
        self.line = _LEADING_ZEROS.sub(lambda zeros: " " * len(zeros[0]), self.line)
        self.indent = len(self.line) - len(self.line.lstrip())

    def weighted_distributions(self):
        """[(weight, or None where none is written; distribution), …] of the sum."""
        terms, waiting = [], [self.tree()]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
                waiting += [node.right, node.left]
            else:
                terms.append(node)
        return [self.term(node, alone=len(terms) == 1) for node in terms]

    def tree(self):
        """The text as Python's syntax."""
        foreign = _FOREIGN.search(self.line)
        if foreign:
            raise self.refusal(foreign.start(), f"{foreign[0]!r} has no meaning in a distribution's text")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the tokeniser, on what is refused anyway
                return ast.parse(self.line.strip(), mode="eval").body
        except SyntaxError as error:  # its offset counts from 1; it is 0 where the text ends too early
            at = self.indent + error.offset - 1 if error.offset else len(self.line.rstrip())
        except (RecursionError, MemoryError):
            at = self.indent
        if at < len(self.line.rstrip()):
            raise self.refusal(at, "expected name(numbers) or weight*name(numbers), joined by '+'")
        raise self.refusal(at, f"expected the name of a distribution, one of {_known()}")

    def term(self, node, alone):
        """(weight or None, distribution) of one term of the sum."""
        weight = None
        if isinstance(node, ast.BinOp):
            if not isinstance(node.op, ast.Mult):
                raise self.refusal(self.end(node.left), "expected '+' and another component, or the end")
            weight, node = self.number(node.left, "a weight, as in 0.5*normal(0, 1)"), node.right
        made = self.distribution(node)
        if made.features > 1 and not (alone and weight is None):
            raise self.refusal(
                self.start(node), f"{made} is a distribution of {made.features} features, which stands alone"
            )
        return weight, made

    def distribution(self, node):
        """What one ``name(numbers)`` makes."""
        name = node.func if isinstance(node, ast.Call) else node
        if not isinstance(name, ast.Name):
            raise self.refusal(self.start(name), f"expected the name of a distribution, one of {_known()}")
        key = name.id.lower()
        key = ALIASES.get(key, key)
        if key not in FAMILIES:
            near = difflib.get_close_matches(key, [*FAMILIES, *ALIASES], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise self.refusal(self.start(name), f"{name.id!r:.40} is not one of {_known()}{hint}")
        make, parameters, required = FAMILIES[key]
        expected = f"{key}({parameters})"
        if not isinstance(node, ast.Call):
            raise self.refusal(self.end(name), f"expected numbers in parentheses, {expected}")
        numbers = [self.number(argument, expected) for argument in node.args]
        if not required <= len(numbers) <= parameters.count(",") + 1:
            raise self.refusal(self.end(name), f"expected {expected}, received {len(numbers)} numbers")
        try:
            return make(*numbers)
        except ValueError as error:
            raise self.refusal(self.start(name), str(error)) from None

    def number(self, node, expected):
        """A number with its sign, as the text has it."""
        piece = self.line[self.start(node) : self.end(node)]
        unsigned = node.operand if isinstance(node, ast.UnaryOp) else node
        try:
            if isinstance(unsigned, ast.Constant) and "_" not in piece:
                return float(piece.replace(" ", ""))  # between a sign and its number
        except ValueError:  # of 0x10, 1j, True or not 1
            pass
        raise self.refusal(self.start(node), f"{piece!r:.40} is not a number; expected {expected}")

    def start(self, node):
        """Where a node begins in the text."""
        return self.indent + node.col_offset

    def end(self, node):
        """Where it ends."""
        return self.indent + node.end_col_offset

    def refusal(self, at, reason):
        """The error that says what is wrong at a place."""
        return ValueError(
            f"cannot read the distribution {_shortened(self.text)} at character {at + 1}: {reason}"
        )


def _known():
    """The families, each with its other names."""
    others = {name: [alias for alias, meant in ALIASES.items() if meant == name] for name in FAMILIES}
    return ", ".join(f"{name} (or {', '.join(also)})" if also else name for name, also in others.items())


def _shortened(text):
    return repr(text) if len(text) <= 100 else repr(text[:97] + "...")

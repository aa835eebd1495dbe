"""The text form of distributions: "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)".

The text is read by Python's own ``ast``, which evaluates nothing; of its syntax numbers and their arithmetic,
names, calls, lists of numbers and sums are taken, and all else is refused with its place. What ``str`` says
of a distribution reads back. What people write otherwise for the same, a typographic minus or 30 %, is made
this form first (``spelling``); what can be named is in ``families``.
"""

import ast
import difflib
import math

from minigan.probability.distributions import SUM_TOLERANCE, Distribution
from minigan.probability.families import (
    ALIASES,
    FAMILIES,
    OTHER_PARAMETERS,
    UNAVAILABLE,
    VECTORS,
    Family,
    squeezed,
)
from minigan.probability.mixture import Mixture
from minigan.probability.multivariate import MultivariateDistribution, MultivariateMixture, MultivariateNormal
from minigan.probability.spelling import NUMBER, Spelled, Unreadable

MAX_TEXT = 1000  # characters
MAX_DEPTH = 40  # of arithmetic in a number
CONSTANTS = {"pi": math.pi}
_COMPONENT = "name(numbers) or weight*name(numbers), joined by '+'"


def parse(text: str) -> Distribution | MultivariateDistribution:
    """The distribution that a text names: ``[weight*]name(numbers)`` joined by ``+``.

    "normal(4, 1.25)" (also "N(4, 1.25)", "gaussian(mean=4, sd=1.25)": the second number is the standard
    deviation), "student(40)", "exponential(2)" (the scale, which is the mean),
    "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"; of several features "ring(8, 1, 0.01)",
    "normal([0, 1], [1, 2], 0.8)" (means, standard deviations, correlation), mixtures of such, or images,
    "galaxies(16, 0.1)". ``FAMILIES`` lists them all. Numbers may be computed, "1/3" or "sqrt(2)". A sum is a
    mixture, whose weights must sum to one; they are never rescaled. The text form ``str`` of each of these
    distributions reads back to an equal distribution.

    Raises:  ValueError – with the text, the place and what is known there, or the sum of the weights;
             TypeError – if it is no text

    >>> str(mg.parse("0.3*normal(-1, 0.5) + 70%*laplace(2, 1)"))
    '0.3*normal(-1, 0.5) + 0.7*laplace(2, 1)'
    """
    if not isinstance(text, str):
        raise TypeError(
            f"a distribution is given as text, e.g. 'normal(4, 1.25)'; received {type(text).__name__}"
        )
    if len(text) > MAX_TEXT:
        raise ValueError(f"a distribution's text may have {MAX_TEXT} characters; received {len(text)}")
    try:
        return _Reader(Spelled(text)).read()
    except Unreadable as error:
        where = "" if error.at is None else f" at character {error.at + 1}"
        raise ValueError(f"cannot read the distribution {_shortened(text)}{where}: {error}") from None


class _Reader:
    """A walk over the tree of one text; each refusal names the character at which it stands."""

    def __init__(self, spelled):
        self.spelled = spelled

    def read(self):
        """The distribution, or the mixture of several."""
        terms = self.terms()
        weights, parts = [weight for weight, _, _ in terms], [part for _, part, _ in terms]
        if weights == [None]:
            return parts[0]
        if any(part.features > 1 for part in parts):
            self.refuse_unlike(terms)
        found = [1.0 if weight is None else weight for weight in weights]
        total = math.fsum(found) if all(map(math.isfinite, found)) else math.inf
        if min(found) < 0 or not abs(total - 1) <= SUM_TOLERANCE:
            raise Unreadable(None, _about_weights(weights, total))
        if parts[0].features == 1:
            return Mixture(tuple(found), tuple(parts))
        return MultivariateMixture(tuple(found), tuple(parts))

    def refuse_unlike(self, terms):
        """Refuse components of several features that cannot be mixed."""
        first = terms[0][1].features
        for _, part, node in terms:
            if not isinstance(part, MultivariateNormal | MultivariateMixture):
                kind = f"a distribution of {part.features} feature" + ("s" if part.features > 1 else "")
                raise self.refusal(node, f"{part} is {kind}, which stands alone")
            if part.features != first:
                raise self.refusal(
                    node, f"{part} has {part.features} features, and the first component {first}"
                )

    def terms(self):
        """[(weight, or None where none is written; distribution; where), …] of the sum."""
        terms, waiting = [], [(None, self.spelled.tree(f"expected {_COMPONENT}", _expected_name()))]
        while waiting:
            weight, node = waiting.pop()
            while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
                node = node.operand
            if not _names_distribution(node):
                raise self.refusal(node, self.no_distribution(node))
            if not isinstance(node, ast.BinOp):
                terms.append((weight, self.distribution(node), node))
            elif isinstance(node.op, ast.Add):
                waiting += [(weight, node.right), (weight, node.left)]
            else:
                factor, rest = self.weighted(node)
                waiting.append((factor if weight is None else weight * factor, rest))
        return terms

    def weighted(self, node):
        """(weight, the rest) of weight*rest, rest*weight or rest/weight."""
        of_left, of_right = _names_distribution(node.left), _names_distribution(node.right)
        what = "a weight, as in 0.5*normal(0, 1)"
        if isinstance(node.op, ast.Mult) and not (of_left and of_right):
            number, rest = (node.right, node.left) if of_left else (node.left, node.right)
            return self.number(number, what), rest
        if isinstance(node.op, ast.Div) and not of_right:
            return 1 / self.number(node.right, what, divides=True), node.left
        taken = isinstance(node.op, ast.Sub)
        of_sum = "whose weights are not negative" if taken else "and nothing else is made of distributions"
        raise Unreadable(
            self.spelled.origin_of_end(node.left),
            f"expected '+' and another component, or the end: a sum is a mixture, {of_sum}",
        )

    def no_distribution(self, node):
        """What is said of a place that names none."""
        if isinstance(node, ast.Tuple) and not any(map(_names_distribution, node.elts)):
            return (
                f"numbers alone name no distribution; write its name before them, normal({self.piece(node)})"
            )
        if isinstance(node, ast.BoolOp):
            return "components are joined by '+'"
        if isinstance(node, ast.Tuple):
            return (
                "a ',' stands between the numbers in parentheses only; the decimal mark is '.', 0.5, and "
                "components are joined by '+'"
            )
        if isinstance(node, ast.Constant | ast.BinOp):
            return (
                f"{self.piece(node)!r:.40} is a number, where a distribution is expected: {_COMPONENT}; to "
                "shift or stretch one, give it other numbers"
            )
        return _expected_name()

    def distribution(self, node):
        """What one ``name(numbers)`` makes."""
        if isinstance(node, ast.UnaryOp):
            raise self.refusal(node, "a weight is not negative, and nothing else stands before a component")
        name = node.func if isinstance(node, ast.Call) else node
        if not isinstance(name, ast.Name):
            square = isinstance(name, ast.Subscript)
            raise self.refusal(name, "numbers stand in '( )', not '[ ]'" if square else _expected_name())
        key = squeezed(name.id)
        key = ALIASES.get(key, key)
        if key not in FAMILIES:
            raise self.refusal(name, _about_unknown(self.piece(name), key))
        family = FAMILIES[key]
        if not isinstance(node, ast.Call):
            after = self.spelled.origin_of_end(name)
            raise Unreadable(after, f"expected numbers in parentheses, {family.signature(key)}")
        if len(node.args) == 1 and isinstance(node.args[0], ast.Tuple):
            raise self.refusal(node.args[0], f"one pair of parentheses is enough, {family.signature(key)}")
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        if any(isinstance(value, ast.List | ast.Tuple) for value in values):
            if key not in VECTORS:
                raise self.refusal(name, f"{family.signature(key)} takes no lists")
            family = VECTORS[key]
        numbers = self.arguments(node, name, key, family)
        try:
            return family.make(**numbers)
        except (ValueError, TypeError) as error:
            raise self.refusal(name, str(error)) from None

    def arguments(self, node, name, key, family):
        """The numbers of a call by the names of its parameters."""
        expected, after = family.signature(key), self.spelled.origin_of_end(name)
        if len(node.args) > len(family.names):
            raise Unreadable(
                after,
                f"expected {expected}, received {len(node.args)} numbers (the decimal mark is '.', not ',')",
            )
        found = {
            parameter: self.value(argument, expected)
            for parameter, argument in zip(family.names, node.args, strict=False)
        }
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refusal(keyword.value, f"'**' has no meaning here; expected {expected}")
            parameter = _parameter_called(keyword.arg, family)
            if parameter is None:
                reason = _about_parameter(keyword.arg, family)
                raise Unreadable(
                    self.spelled.origin(keyword.col_offset), f"expected {expected}, received {reason}"
                )
            if parameter in found:
                where = self.spelled.origin(keyword.col_offset)
                raise Unreadable(where, f"expected {expected}, received {parameter} twice")
            found[parameter] = self.value(keyword.value, expected)
        missing = [parameter for parameter in family.names[: family.required] if parameter not in found]
        if missing:
            count = f"{len(found)} number" + ("" if len(found) == 1 else "s")
            raise Unreadable(after, f"expected {expected}, received {count}, without {' and '.join(missing)}")
        return found

    def value(self, node, expected):
        """A number, or a list of numbers."""
        if isinstance(node, ast.List | ast.Tuple):
            return [self.number(element, expected) for element in node.elts]
        return self.number(node, expected)

    def number(self, node, expected, divides=False):
        """A number, computed where it is written as arithmetic."""
        try:
            value = self.computed(node, expected)
        except ZeroDivisionError:
            value = math.nan
        except OverflowError:
            value = math.inf
        if not math.isfinite(value) or (divides and value == 0):
            piece = self.piece(node)
            why = "divides by zero" if math.isnan(value) or value == 0 else "is larger than 1.8e308"
            raise self.refusal(node, f"{piece!r:.40} {why}, not a finite number; expected {expected}")
        return value

    def computed(self, node, expected, depth=0):
        """A number that may be infinite; what is no arithmetic is refused."""
        piece = self.piece(node)
        if depth > MAX_DEPTH:
            raise self.refusal(node, f"{piece!r:.40} is arithmetic more than {MAX_DEPTH} levels deep")
        if isinstance(node, ast.Constant) and NUMBER.fullmatch(self.spelled.plain(node)):
            return float(node.value)
        if isinstance(node, ast.Name) and node.id.lower() in CONSTANTS:
            return CONSTANTS[node.id.lower()]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            value = self.computed(node.operand, expected, depth + 1)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            sides = (self.computed(side, expected, depth + 1) for side in (node.left, node.right))
            return _ARITHMETIC[type(node.op)](*sides)
        if _is_root(node):
            value = self.computed(node.args[0], expected, depth + 1)
            if value >= 0:
                return math.sqrt(value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            raise self.refusal(node, f"{piece!r:.40}: {_POWER}")
        raise self.refusal(node, f"{piece!r:.40} is not a number; expected {expected}")

    def piece(self, node):
        """How a node is written."""
        return self.spelled.written(node)

    def refusal(self, node, reason):
        """The error that says what is wrong at a node."""
        return Unreadable(self.spelled.origin(node.col_offset), reason)


_ARITHMETIC = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_POWER = "a power is not computed; where a standard deviation is expected, it is not the variance"


def _is_root(node):
    """Whether a call is sqrt(x)."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.lower() == "sqrt"
    return called and len(node.args) == 1 and not node.keywords


def _names_distribution(node):
    """Whether a part of the tree names anything but numbers."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            if not _is_root(node):
                return True
            waiting += node.args
        elif isinstance(node, ast.BinOp):
            waiting += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            waiting.append(node.operand)
        elif isinstance(node, ast.Subscript):
            return True
        elif isinstance(node, ast.Name) and node.id.lower() not in CONSTANTS:
            return True
    return False


def _about_weights(weights, total):
    """Why weights are refused, and what to write."""
    if weights and (least := min(weight or 0.0 for weight in weights)) < 0:
        return f"the weights of a mixture are not negative; received {least:.10g}"
    received = f"the weights must be nonnegative and sum to one, but their sum is {total:.10g}"
    if len(weights) == 1:
        return f"{received}; to stretch what one distribution draws, give it other numbers"
    if any(weight is not None for weight in weights):
        without = " (a component without a weight counts as 1)" if None in weights else ""
        return f"{received}{without}; they are not rescaled: divide each by their sum"
    return (
        f"{received}, since a component without a weight counts as 1; a '+' mixes distributions, it does not "
        f"add what they draw: write 1/{len(weights)}* before each"
    )


def _about_unknown(written, key):
    """What is said of a name that is no family's."""
    if key in UNAVAILABLE:
        return f"{written!r:.40} is not available: {UNAVAILABLE[key]}"
    near = difflib.get_close_matches(key, [*FAMILIES, *ALIASES], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{written!r:.40} is not one of {', '.join(FAMILIES)}{hint}"


def _parameter_called(name: str, family: Family) -> str | None:
    """The parameter of a family that a keyword means."""
    name = name.lower()
    if name in family.names:
        return name
    return next((own for own in family.names if name in OTHER_PARAMETERS.get(own, "").split()), None)


def _about_parameter(name: str, family: Family) -> str:
    """What is said of a keyword that none has."""
    key = squeezed(name)
    if "scale" in family.names and key in ("rate", "lam", "λ", "lambda", "beta", "β"):
        return f"{name!r:.40}; the scale is 1/rate"
    if key in ("var", "variance", "sigma2", "σ2"):
        return f"{name!r:.40}; a standard deviation is the square root of the variance"
    return f"{name!r:.40}"


def _expected_name():
    return f"expected the name of a distribution, one of {', '.join(FAMILIES)}"


def _shortened(text):
    return repr(text) if len(text) <= 100 else repr(text[:97] + "...")

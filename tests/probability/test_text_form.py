"""Distributions from text: what is read, and what is refused with its place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.probability import (
    Beta,
    Cauchy,
    Distribution,
    Exponential,
    Gamma,
    Laplace,
    Logistic,
    LogNormal,
    Mixture,
    MultivariateDistribution,
    Normal,
    Pareto,
    StudentT,
    Triangular,
    Uniform,
    Weibull,
    correlated_normal,
    grid,
    parse,
    ring,
    spiral,
)
from minigan.probability.families import ALIASES, FAMILIES, OTHER_PARAMETERS, VECTORS

TWO_MODES = Mixture((0.33, 0.67), (Normal(-1, 0.25), Normal(2, 1.4)))


@pytest.mark.rows(
    "text, distribution",
    [
        ("normal(0,1)", Normal(0, 1)),
        ("  N ( 4 , 1.25 ) ", Normal(4, 1.25)),
        ("+((NORMAL(4, (1.25))))", Normal(4, 1.25)),
        ("Gaussian(-1e-3,+.5)", Normal(-1e-3, 0.5)),
        ("student(40)", StudentT(40)),
        (
            "00.5*normal(-007.5, 01) + 0.5*normal(1e-03, 1e01)",
            Mixture((0.5, 0.5), (Normal(-7.5, 1), Normal(1e-3, 10))),
        ),
        ("student(010, - 1)", StudentT(10, -1)),
        ("student(3, 1, 2)", StudentT(3, 1, 2)),
        ("uniform(-1,1)", Uniform(-1, 1)),
        ("laplace(0, 2.)", Laplace(0, 2)),
        ("0.33*normal(-1,0.25)+0.67*normal(2,1.4)", TWO_MODES),
        ("1*normal(0,1)", Mixture((1.0,), (Normal(0, 1),))),
        ("+0.5 * normal(0,1)\n + 0.5*uniform(0,1)", Mixture((0.5, 0.5), (Normal(), Uniform()))),
    ],
)
def test_text_forms(text, distribution):
    assert parse(text) == distribution


def test_text_of_a_distribution():
    assert str(Normal(4, 1.25)) == "normal(4, 1.25)"
    assert str(StudentT(40)) == "student(40)" and str(StudentT(40, 1)) == "student(40, 1, 1)"
    assert str(TWO_MODES) == "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"


finite = st.floats(-1e300, 1e300, allow_subnormal=False)
positive = st.floats(1e-300, 1e300)
simple_distributions = st.one_of(
    st.builds(Normal, finite, positive),
    st.builds(Laplace, finite, positive),
    st.builds(StudentT, st.floats(0.01, 1e300), finite, positive),
    st.builds(lambda low, width: Uniform(low, low + width), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)),
    st.builds(Logistic, finite, positive),
    st.builds(Cauchy, finite, positive),
    st.builds(Exponential, positive),
    st.builds(LogNormal, st.floats(-300, 300), st.floats(1e-300, 400)),
    st.builds(Pareto, st.floats(0.01, 1e300), positive),
    st.builds(Gamma, st.floats(0.02, 1e5), positive),
    st.builds(Weibull, st.floats(0.02, 1e5), positive),
    st.builds(Beta, st.floats(0.2, 1e5), st.floats(0.2, 1e5)),
    st.builds(
        lambda low, *widths: Triangular(low, low + min(widths), low + max(widths)),
        st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(1e-3, 1e6),
    ),
)  # fmt: skip


@given(distribution=simple_distributions, w=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_every_distribution_round_trips(distribution, w):
    assert parse(str(distribution)) == distribution
    mixture = Mixture((w, 1 - w), (distribution, Normal(0, 1)))
    assert parse(str(mixture)) == mixture


vectors = st.integers(2, 4).flatmap(
    lambda p: st.builds(
        correlated_normal,
        st.lists(st.floats(-1e6, 1e6), min_size=p, max_size=p),
        st.lists(st.floats(1e-3, 1e3), min_size=p, max_size=p),
        st.floats(-0.9 / (p - 1), 0.9),
    )
)


@given(distribution=vectors, w=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_normal_distributions_of_several_features_round_trip(distribution, w):
    assert parse(str(distribution)) == distribution and hash(parse(str(distribution))) == hash(distribution)
    mixture = parse(f"{w!r}*{distribution} + {1 - w!r}*{distribution}")
    assert parse(str(mixture)) == mixture and mixture.features == distribution.features


def test_every_family_round_trips_by_every_name():
    """With the fewest numbers and with all, by position and by the parameters' names."""
    for name, family in FAMILIES.items():
        few = [EXAMPLES.get(name, "0.5, 1, 2").split(", ")[k] for k in range(family.required)]
        made = parse(f"{name}({', '.join(few)})")
        assert parse(str(made)) == made
        keywords = ", ".join(f"{p}={value}" for p, value in zip(family.names, few, strict=False))
        assert parse(f"{name}({keywords})") == made
        for alias in (alias for alias, meant in ALIASES.items() if meant == name):
            assert parse(f"{alias.upper()}({', '.join(few)})") == made
    assert parse("normal(\u00b5=1, σ=2)") == parse("normal(μ=1, σ=2)") == Normal(1, 2)  # micro sign, mu
    assert not set(ALIASES) & set(FAMILIES) and set(ALIASES.values()) <= set(FAMILIES)
    parameters = {p for table in (FAMILIES, VECTORS) for family in table.values() for p in family.names}
    assert set(OTHER_PARAMETERS) <= parameters


def test_the_documentation_lists_every_family():
    page = (Path(__file__).parents[2] / "docs/command-line.md").read_text(encoding="utf-8")
    assert [
        family.signature(name) for name, family in FAMILIES.items() if family.signature(name) not in page
    ] == []


EXAMPLES = {"normal": "-1, 2", "uniform": "-1, 2", "laplace": "-1, 2", "triangular": "-1, 0, 2"}

SPELLINGS = [  # what people type, and what it is
    ("normal(\u22121, 0.25)", "normal(-1, 0.25)"),  # minus
    ("normal(\u20131, 0.25)", "normal(-1, 0.25)"),  # en dash
    ("0.3\u00d7normal(0,1) + 0.7\u00b7normal(2,1)", "0.3*normal(0, 1) + 0.7*normal(2, 1)"),
    ("\uff2e\uff08\uff10\uff0c\uff11\uff09", "normal(0, 1)"),  # full width
    ("\U0001d4a9(4,\u00a01.25)", "normal(4, 1.25)"),  # a script N, a no-break space
    ("\u200bnormal(4, 1.25)\ufeff", "normal(4, 1.25)"),  # pasted from a page
    ("0.3normal(-1, 0.5) + 0.7 normal(2, 1)", "0.3*normal(-1, 0.5) + 0.7*normal(2, 1)"),
    ("0.5exp(1) + 5e-1laplace(0,1)", "0.5*exponential(1) + 0.5*laplace(0, 1)"),
    ("1/2*normal(0,1) + 1/2*normal(2,1)", "0.5*normal(0, 1) + 0.5*normal(2, 1)"),
    ("normal(0,1)/4 + normal(2,1)*3/4", "0.25*normal(0, 1) + 0.75*normal(2, 1)"),
    ("30%*normal(0,1) + 70 % normal(2,1)", "0.3*normal(0, 1) + 0.7*normal(2, 1)"),
    ("0.5(normal(0,1) + normal(2,1))", "0.5*normal(0, 1) + 0.5*normal(2, 1)"),
    ("0.5*(0.5*normal(0,1)+0.5*normal(2,1)) + 0.5*uniform(0,1)",
     "0.25*normal(0, 1) + 0.25*normal(2, 1) + 0.5*uniform(0, 1)"),
    ("(normal(0, (1)))", "normal(0, 1)"),
    ("normal(0, sqrt(2))", "normal(0, 1.4142135623730951)"),
    ("uniform(-PI/2, pi/2)", "uniform(-1.5707963267948966, 1.5707963267948966)"),
    ("normal(1 - 3, 2*0.5 + 1)", "normal(-2, 2)"),
    ("normal(mean=4, sd=1.25)", "normal(4, 1.25)"), ("normal(sigma=1.25, mu=4)", "normal(4, 1.25)"),
    ("norm(loc=0, scale=1)", "normal(0, 1)"), ("normal(0, \u03c3=2)", "normal(0, 2)"),
    ("student(df=3)", "student(3)"), ("t(3, scale=2)", "student(3, 0, 2)"),
    ("log-normal(0, 1)", "lognormal(0, 1)"), ("Student t(3)", "student(3)"), ("Student-T(3)", "student(3)"),
    ("swiss roll()", "swiss_roll(0.5)"), ("SwissRoll()", "swiss_roll(0.5)"), ("NORMAL(0,1)", "normal(0, 1)"),
    ("'normal(0,1)'", "normal(0, 1)"), ("\u201cnormal(0,1)\u201d", "normal(0, 1)"),
    ("0*normal(0,1) + 1*normal(2,1)", "0*normal(0, 1) + 1*normal(2, 1)"),
    ("normal([0, 0], 1)", "normal([0, 0], 1)"),
    ("normal((0, 1), [1, 2], rho=0.5)", "normal([0, 1], [1, 2], 0.5)"),
    ("0.5*normal([0, 0], .1) + 50% normal([3, 3], .1)", "0.5*normal([0, 0], 0.1) + 0.5*normal([3, 3], 0.1)"),
    ("0.5*ring(8) + 0.5*ring(4, 2)", "0.5*ring(8, 1, 0.01) + 0.5*ring(4, 2, 0.01)"),
    ("0.5*(0.5*moons() + 0.5*ring()) + 0.5*grid(2)",
     "0.25*moons(0.1) + 0.25*ring(8, 1, 0.01) + 0.5*grid(2, 2, 0.05)"),
]  # fmt: skip


@pytest.mark.rows("text, meant", SPELLINGS)
def test_what_people_type_is_read(text, meant):
    assert str(parse(text)) == meant and parse(meant) == parse(text)


@given(text=st.text("0123456789.,+-*/()[]= eNnormalσ%×−'_", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_near_miss_is_a_distribution_or_one_sentence(text):
    try:
        parse(text)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 500


@given(text=st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_distribution_or_a_value_error(text):
    try:
        assert isinstance(parse(text), Distribution | MultivariateDistribution)  # as of 'spiral()'
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.rows(
    "text, message",
    [
        ("", "at character 1: expected the name"),
        ("norml(0,1)", "at character 1: 'norml' is not one of .*did you mean 'normal'"),
        ("0.5*normal(0,1)+0.5*unifrom(0,1)", "at character 21: 'unifrom' .*did you mean 'uniform'"),
        ("normal", "at character 7: expected numbers in parentheses"),
        ("normal(0)", r"expected normal\(mean, sd\), received 1 number, without sd"),
        ("normal(0,1,2)", "received 3 numbers"),
        ("normal()", "received 0 numbers, without mean and sd"),
        ("normal(0,one)", "at character 10: 'one' is not a number"),
        ("normal(0,)", "received 1 number, without sd"),
        ("normal(,1)", r"expected name\(numbers\)"),
        ("normal(0 1)", "at character 10: expected ',' or an operator between two numbers"),
        ("normal(0,inf)", "'inf' is not a number"),
        ("normal(0,1e999)", "at character 10: '1e999' is larger than 1.8e308"),
        ("normal(0,-1)", "at character 1: normal needs a finite sd > 0"),
        ("normal(0,1) normal(2,1)", r"at character 13: expected '\+' between two components"),
        ("normal(0,1) - 0.5*normal(2,1)", r"at character 12: expected '\+'"),
        ("normal(0,1)*0.5", "their sum is 0.5; to stretch what one"),
        ("0.6*(normal(0,1)+normal(2,1))", "their sum is 1.2; they are not rescaled"),
        ("normal(0,1)(2)", "at character 1: expected the name"),
        ("  \n normal(0,one)", "at character 14: 'one' is not a number"),
        ("normal(0, *N)", r"at character 11: '\*N' is not a number"),
        ("normal(0, ~1)", "at character 11: '~' has no meaning"),
        ("normal(0, 0x10)", "'0x10' is not a number"),
        ("normal(0, 1_0)", "'1_0' is not a number"),
        ("normal(0, 1j)", "'1j' is not a number"),
        ("normal(0, True)", "'True' is not a number"),
        ("normal(sd=1)", "received 1 number, without mean"),
        ("normal(0, 1) # the default", "at character 14: '#' has no meaning"),
        ("normal(0, 1)) + (normal(0, 1)", "at character 13: no '\\(' stands before this"),
        ("n\u00f6rmal(0, 1)", "at character 2: '\u00f6' has no meaning"),
        ("normal(0, " + "9" * 400 + ")", "larger than 1.8e308"),
        ("-" * 990 + "1", "at character 1: expected the name"),
        ("+".join(["normal"] * 140), "at character 7: expected numbers in parentheses"),
        ("normal(0, 1or 2)", "at character 11: '1or 2' is not a number"),
        ("normal(0,1)+", "at character 13: expected the name"),
        ("normal(0,1)+normal(1,1)", "their sum is 2, since .* write 1/2\\* before each"),
        ("0.5*normal(0,1)+0.4*normal(1,1)", "their sum is 0.9; they are not rescaled"),
        ("-0.5*normal(0,1)+1.5*normal(1,1)", "are not negative; received -0.5"),
        ("1e999*normal(0,1)+0*normal(1,1)", "'1e999' is larger than"),
        ("__import__('os')", 'at character 12: "\'" has no meaning'),
        ("__import__(1)", "is not one of"),
        ("normal(0,1)" * 100, "may have 1000 characters"),
        ("normal(" + "(" * 900, r"\.\.\.'"),
    ],
)
def test_unreadable_text_is_refused_with_its_place(text, message):
    with pytest.raises(ValueError, match=message) as refusal:
        parse(text)
    assert len(str(refusal.value)) < 400


MISTAKES = [  # what people type by mistake, and what the sentence says of it
    ("0,5*normal(0,1)+0,5*normal(3,1)", "character 1: a ',' stands between the numbers in parentheses only"),
    ("normal(4,5, 1,25)", "character 7: expected normal(mean, sd), received 4 numbers (the decimal mark"),
    ("normal(4; 1,25)", "character 9: ';' has no meaning in a distribution's text; numbers are separated by"),
    ("normal(0,1", "character 7: this '(' is never closed"),
    ("0.5*normal(0,1 + 0.5*normal(2,1)", "character 11: this '(' is never closed"),
    ("normal(0,1))", "character 12: no '(' stands before this ')'"),
    ("normal 0,1)", "character 7: expected numbers in parentheses, normal(mean, sd)"),
    ("Normal 4,1", "character 7: expected numbers in parentheses, normal(mean, sd)"),
    ("student: 4", "character 8: expected numbers in parentheses, student(dof"),
    ("0.5*ring + 0.5*normal = 3", "character 22: expected numbers in parentheses, normal(mean, sd)"),
    ("0.5*normal(0,1)0.5*normal(1,1)", "character 16: expected '+' between two components"),
    ("(normal(0,1) plus normal(1,1))", "character 14: expected '+' between two components"),
    ("normal(0,1) and normal(1,1)", "components are joined by '+'"),
    ("normal(sqrt(2) 1)", "or ',' between two numbers"), ("4,1", "its name before them, normal(4,1)"),
    ("normal((0,1))", "character 8: one pair of parentheses is enough, normal(mean, sd)"),
    ("1.5*normal(0,1) - 0.5*normal(1,1)", "a mixture, whose weights are not negative"),
    ("normal(0,1]", "character 11: this ']' cannot close a '('"),
    ("normal[0,1]", "character 1: numbers stand in '( )', not '[ ]'"),
    ("normal{0,1}", "character 7: '{' has no meaning in a distribution's text; write '(' instead"),
    ("normal 0 1", "character 7: expected numbers in parentheses, normal(mean, sd)"),
    ("normal(0, 1.25\u00b2)", "character 15: '\u00b2' has no meaning in a distribution's text; a power"),
    ("normal(0, 1.25^2)", "character 15: '^' has no meaning in a distribution's text; a power is not"),
    ("normal(0, 1.25**2)", "'1.25**2': a power is not computed; where a standard deviation"),
    ("\u00bd*normal(0,1)+\u00bd*normal(2,1)", "write 0.5, or a fraction such as 1/2"),
    ("% normal(0,1)", "a percentage has its number before it, 30%"),
    ("x ~ N(0, 1)", "character 3: '~' has no meaning in a distribution's text; give the distribution alone"),
    ("normal(0,1) | normal(2,1)", "components are joined by '+'"),
    ("exponential(rate=2)", "expected exponential(scale), received 'rate'; the scale is 1/rate"),
    ("exponential(lambda=2)", "the scale is 1/rate"), ("gamma(2, beta=3)", "the scale is 1/rate"),
    ("normal(0, variance=4)", "a standard deviation is the square root of the variance"),
    ("normal(0, 1, sd=2)", "character 14: expected normal(mean, sd), received sd twice"),
    ("normal(mean=0, 1)", "numbers with a name, sd=1, stand after those without"),
    ("normal(mean=0, mean=1)", "twice"),
    ("normal(0, width=3)", "expected normal(mean, sd), received 'width'"),
    ("normal(**normal)", "'**' has no meaning here"),
    ("normal(0,1)+normal(3,1)", "a '+' mixes distributions, it does not add what they draw: write 1/2*"),
    ("0.33*normal(0,1)+0.33*normal(1,1)+0.33*normal(2,1)",
     "their sum is 0.99; they are not rescaled: divide each by their sum"),
    ("2*normal(0,1)", "their sum is 2; to stretch what one distribution draws, give it other numbers"),
    ("3 + normal(0,1)", "character 1: '3' is a number, where a distribution is expected"),
    ("normal(0,1) - 0.5*normal(2,1)", "character 12: expected '+' and another component"),
    ("-normal(0,1)", "a weight is not negative"), ("1/normal(0,1)", "expected '+' and another component"),
    ("normal(0,1)*normal(2,1)", "expected '+' and another component"), ("0*normal(0,1)", "their sum is 0;"),
    ("poisson(3)", "'poisson' is not available: its values are whole numbers"),
    ("chi2(3)", "is gamma(k/2, 2)"), ("Chi-Squared(3)", "it is gamma(k/2, 2)"),
    ("rayleigh(1)", "of scale 1 it is weibull(2, 1.4142)"),
    ("mixture(0,1)", "a mixture is written as a sum"), ("dirac(0)", "try a small sd"),
    ("gausian(0,1)", "did you mean 'gaussian'"), ("exponental(1)", "did you mean 'exponential'"),
    ("half normal(1)", "character 6"),
    ("gaussian", "character 9: expected numbers in parentheses, normal(mean"),
    ("normal(1e400, 1)", "character 8: '1e400' is larger than 1.8e308, not a finite number"),
    ("normal(1e200*1e200, 1)", "larger than 1.8e308"), ("normal(0, 1/0)", "'1/0' divides by zero"),
    ("normal(0, 1)/0", "'0' divides by zero"), ("normal(nan, 1)", "'nan' is not a number"),
    ("normal(sqrt(-1), 1)", "'sqrt(-1)' is not a number"), ("normal(0, 1+2j)", "'2j' is not a number"),
    ("normal(0, [])", "empty"), ("normal([0, 0], [1, 2, 3])", "received 2 means and 3 sd"),
    ("normal([0, 0], 0)", "normal needs every sd > 0"), ("normal([0, [1]], 1)", "'[1]' is not a number"),
    ("normal([0, 0, 0], 1, -0.9)", "lies between -0.5 and 1; received -0.9"),
    ("ring([1, 2])", "ring(modes = 8, radius = 1, sd = 0.01) takes no lists"),
    ("normal(" + "+".join("1" * 400) + ", 1)", "more than 40 levels deep"),
    ("(" * 500 + "normal(0,1)" + ")" * 489, "is never closed"), ("sqrt(" * 150 + ")" * 150, "character 1"),
    ("normal(0," + "-" * 900 + "1)", "character "), ("[" * 300 + "]" * 300, "expected name(numbers)"),
]  # fmt: skip


@pytest.mark.rows("text, sentence", MISTAKES)
def test_mistakes_are_named(text, sentence):
    with pytest.raises(ValueError, match="cannot read the distribution") as refusal:
        parse(text)
    assert sentence in str(refusal.value)


def test_only_text_is_parsed():
    with pytest.raises(TypeError, match="as text"):
        parse(Normal(0, 1))


# ── of the plane
@pytest.mark.rows("text, distribution", [
    ("ring(8, 1, 0.01)", ring()), ("ring()", ring(8, 1.0, 0.01)), ("Ring( 5,2 )", ring(5, 2)),
    ("ring(8,1e0,1e-2)", ring()), ("grid(5, 2, 0.05)", grid()), ("grid(3)", grid(3)),
    ("spiral(2, 0.02)", spiral()), ("spiral(1.5, .1, 4)", spiral(1.5, 0.1, 4)),
])  # fmt: skip
def test_texts_name_distributions(text, distribution):
    assert parse(text) == distribution == parse(str(distribution)) and hash(parse(text)) == hash(distribution)
    assert str(parse(text)) == str(distribution)


def test_text_forms_of_the_plane():
    assert (str(ring()), str(grid()), str(spiral())) == (
        "ring(8, 1, 0.01)",
        "grid(5, 2, 0.05)",
        "spiral(2, 0.02)",
    )
    assert str(spiral(1, 0.5, 3)) == "spiral(1, 0.5, 3)" and ring() != ring(7) and ring() != grid() != 3


@pytest.mark.rows("text, message", [
    ("rings(8)", "did you mean 'ring'"), ("spirl(2)", "did you mean 'spiral'"),
    ("ring(8.5)", "whole number from 1 to 1024; received 8.5"), ("ring(0)", "from 1"), ("ring(1e9)", "1024"),
    ("ring(8, 0)", "radius > 0"), ("ring(8, 1, -1)", "sd > 0"), ("ring(8, 1, 1e999)", "larger than 1.8e308"),
    ("ring(8, 1, 1, 1)", "received 4 numbers"), ("ring", "modes = 8, radius = 1, sd = 0.01"),
    ("grid(33)", "side to be a whole number from 1 to 32"), ("grid(2, x)", "not a number"),
    ("spiral(0)", "turns > 0"), ("spiral(2, 1e-6)", "more than 2000 sd; give sd of at least 0.0032"),
    ("0.5*ring(8) + 0.5*galaxies(8)",
     "character 19: galaxies(8, 0.1) is a distribution of 64 features, which stands alone"),
    ("0.5*normal(0,1) + 0.5*ring(8)", "stands alone"), ("1*checkerboard(2)", "stands alone"),
    ("0.5*ring(8) + 0.5*normal([0, 0, 0], 1)",
     "normal([0, 0, 0], 1) has 3 features, and the first component 2"),
    ("ring(8) + normal(0,1)", "stands alone"), ("ring(8) 3", "character 9: expected"),
])  # fmt: skip
def test_texts_that_name_none_are_refused(text, message):
    with pytest.raises(ValueError, match="cannot read the distribution") as refusal:
        parse(text)
    assert message in str(refusal.value)

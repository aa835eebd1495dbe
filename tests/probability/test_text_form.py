"""Distributions from text: what is read, and what is refused with its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.probability import (
    Distribution,
    Laplace,
    Mixture,
    MultivariateDistribution,
    Normal,
    StudentT,
    Uniform,
    grid,
    parse,
    ring,
    spiral,
)

TWO_MODES = Mixture((0.33, 0.67), (Normal(-1, 0.25), Normal(2, 1.4)))


@pytest.mark.parametrize(
    "text, distribution",
    [
        ("normal(0,1)", Normal(0, 1)),
        ("  N ( 4 , 1.25 ) ", Normal(4, 1.25)),
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
    st.builds(StudentT, positive, finite, positive),
    st.builds(lambda low, width: Uniform(low, low + width), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)),
)


@given(distribution=simple_distributions, w=st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_every_distribution_round_trips(distribution, w):
    assert parse(str(distribution)) == distribution
    mixture = Mixture((w, 1 - w), (distribution, Normal(0, 1)))
    assert parse(str(mixture)) == mixture


@given(text=st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_distribution_or_a_value_error(text):
    try:
        assert isinstance(parse(text), Distribution | MultivariateDistribution)  # as of 'spiral()'
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "at character 1: expected the name"),
        ("norml(0,1)", "at character 1: 'norml' is not one of .*did you mean 'normal'"),
        ("0.5*normal(0,1)+0.5*unifrom(0,1)", "at character 21: 'unifrom' .*did you mean 'uniform'"),
        ("normal", "at character 7: expected numbers in parentheses"),
        ("normal(0)", r"expected normal\(mean, sd\), received 1 numbers"),
        ("normal(0,1,2)", "received 3 numbers"),
        ("normal()", "received 0 numbers"),
        ("normal(0,one)", "at character 10: 'one' is not a number"),
        ("normal(0,)", "received 1 numbers"),
        ("normal(,1)", r"expected name\(numbers\)"),
        ("normal(0 1)", r"expected name\(numbers\)"),
        ("normal(0,inf)", "'inf' is not a number"),
        ("normal(0,1e999)", "finite sd"),
        ("normal(0,-1)", "at character 1: normal needs a finite sd > 0"),
        ("normal(0,1) normal(2,1)", r"at character 13: expected name\(numbers\) or"),
        ("normal(0,1) - 0.5*normal(2,1)", r"at character 12: expected '\+'"),
        ("normal(0,1)*0.5", "at character 1: 'normal\\(0,1\\)' is not a number"),
        ("0.5*(normal(0,1)+normal(2,1))", "at character 6: expected the name"),
        ("normal(0,1)(2)", "at character 1: expected the name"),
        ("  \n normal(0,one)", "at character 14: 'one' is not a number"),
        ("normal(0, *N)", r"at character 11: '\*N' is not a number"),
        ("normal(0, --1)", "at character 11: '--1' is not a number"),
        ("normal(0, 0x10)", "'0x10' is not a number"),
        ("normal(0, 1_0)", "'1_0' is not a number"),
        ("normal(0, 1j)", "'1j' is not a number"),
        ("normal(0, True)", "'True' is not a number"),
        ("normal(0, sd=1)", "at character 13: '=' has no meaning"),
        ("normal(0, 1) # the default", "at character 14: '#' has no meaning"),
        ("normal(0, 1)) + (normal(0, 1)", "at character 13: expected"),
        ("n\u00f6rmal(0, 1)", "at character 2: '\u00f6' has no meaning"),
        ("normal(0, " + "9" * 400 + ")", "finite sd"),
        ("-" * 990 + "1", "at character 1: expected the name"),
        ("+".join(["normal"] * 140), "at character 7: expected numbers in parentheses"),
        ("normal(0, 1or 2)", "at character 11: '1or 2' is not a number"),
        ("normal(0,1)+", "at character 13: expected the name"),
        ("normal(0,1)+normal(1,1)", "their sum is 2 "),
        ("0.5*normal(0,1)+0.4*normal(1,1)", "their sum is 0.9 "),
        ("-0.5*normal(0,1)+1.5*normal(1,1)", "nonnegative"),
        ("1e999*normal(0,1)+0*normal(1,1)", "their sum is inf"),
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


def test_only_text_is_parsed():
    with pytest.raises(TypeError, match="as text"):
        parse(Normal(0, 1))


# ── of the plane
@pytest.mark.parametrize("text, distribution", [
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


@pytest.mark.parametrize("text, message", [
    ("rings(8)", "did you mean 'ring'"), ("spirl(2)", "did you mean 'spiral'"),
    ("ring(8.5)", "whole number from 1 to 1024; received 8.5"), ("ring(0)", "from 1"), ("ring(1e9)", "1024"),
    ("ring(8, 0)", "radius > 0"), ("ring(8, 1, -1)", "sd > 0"), ("ring(8, 1, 1e999)", "finite sd"),
    ("ring(8, 1, 1, 1)", "received 4 numbers"), ("ring", "modes = 8, radius = 1, sd = 0.01"),
    ("grid(33)", "side to be a whole number from 1 to 32"), ("grid(2, x)", "not a number"),
    ("spiral(0)", "turns > 0"), ("spiral(2, 1e-6)", "more than 2000 sd; give sd of at least 0.0032"),
    ("0.5*ring(8) + 0.5*ring(4)",
     "character 5: ring(8, 1, 0.01) is a distribution of 2 features, which stands alone"),
    ("0.5*normal(0,1) + 0.5*ring(8)", "stands alone"), ("1*ring(8)", "stands alone"),
    ("ring(8) + normal(0,1)", "stands alone"), ("ring(8) 3", "character 9: expected"),
])  # fmt: skip
def test_texts_that_name_none_are_refused(text, message):
    with pytest.raises(ValueError, match="cannot read the distribution") as refusal:
        parse(text)
    assert message in str(refusal.value)

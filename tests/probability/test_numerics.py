"""How numbers come into the probability room, and its quadrature."""

import math

import numpy as np
import pytest
from mpmath import mp

from minigan import backend
from minigan.probability._numerics import (
    digamma_rest,
    host,
    host_sample,
    integrate,
    log_rest,
    stirling_rest,
)


@pytest.mark.rows("name", ["numpy", "strict"])
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_arrays_of_any_backend_become_float64_on_the_host(name, dtype):
    a = host(backend.get(name).array([1.5, -2.0], dtype))
    assert type(a) is np.ndarray and a.dtype == np.float64 and a.tolist() == [1.5, -2.0]


@pytest.mark.rows(
    "x", [[1, 2], (1, 2), np.array([1, 2], ">i4"), np.array([1, 0, 2, 0])[::2], np.array([1, 2], "f2")]
)
def test_host_values_of_any_layout_are_equal(x):
    assert host(x).tolist() == [1.0, 2.0]


def test_scalars_keep_no_dimension():
    assert host(3).shape == () and host(np.float32(0.5)) == 0.5


@pytest.mark.rows(
    "x, message",
    [
        ([], "is empty"),
        (np.empty((0, 3)), "is empty"),
        ([1.0, math.nan, math.nan], "2 NaN among 3, the first at index 1"),
        ([[1.0, 2.0], [math.nan, 0.0]], r"1 NaN among 4, the first at index \(1, 0\)"),
        (math.nan, "1 NaN among 1;"),
        ([[1, 2], [3]], "rows of one length"),
    ],
)
def test_empty_nan_and_ragged_input_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        host(x)


@pytest.mark.rows("x", [["a"], np.array([1j]), None, object(), [None]])
def test_what_is_no_real_number_is_a_type_error(x):
    with pytest.raises(TypeError):
        host(x)


def test_infinities_pass_only_where_they_may():
    assert host([math.inf])[0] == math.inf
    with pytest.raises(ValueError, match="1 values that are not finite among 2, the first at index 1"):
        host([0.0, -math.inf], finite=True)


def test_a_sample_is_sorted_without_touching_the_callers_array():
    x = np.array([3.0, 1.0, 2.0])
    assert host_sample(x).tolist() == [1.0, 2.0, 3.0] and x.tolist() == [3.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="one-dimensional"):
        host_sample([[1.0]])


def _peak(x):
    return np.exp(-0.5 * (x / 1e-3) ** 2)


@pytest.mark.rows(
    "f, edges, value",
    [
        (np.exp, [0, 1], math.e - 1),
        (_peak, [-1, 0, 1], 1e-3 * math.sqrt(2 * math.pi)),  # needs halving
        (np.abs, [-1, 0.3, 2], 2.5),  # a kink that no edge marks
        (np.sqrt, [0, 1], 2 / 3),
        (lambda x: 0 * x, [3, 1, 2, 2], 0.0),
    ],
)
def test_integrals_with_known_values(f, edges, value):
    assert integrate(f, edges) == pytest.approx(value, abs=1e-12)


def test_rounding_noise_ends():
    rng = np.random.default_rng(0)
    assert abs(integrate(lambda x: 1e-8 * rng.standard_normal(x.shape), [0, 1])) < 1e-9  # sd below 1e-10


def test_an_integrand_that_is_no_number_is_refused():
    """It would be taken for 0 by whoever asks for the larger of 0 and the integral."""
    with (
        pytest.raises(ValueError, match=r"the integrand is not a number between 0 and 1"),
        np.errstate(all="ignore"),
    ):
        integrate(lambda x: np.sqrt(x - 0.9), np.array([0.0, 1.0, 2.0]))


@pytest.mark.rows("k", [0.02, 0.5, 1.0, 2.5, 15.9, 16.0, 100.0, 1e5])
def test_what_gamma_leaves_over_has_all_digits(k):
    with mp.workdps(40):
        log_gamma = mp.loggamma(k) - ((k - mp.mpf(0.5)) * mp.log(k) - k + mp.log(2 * mp.pi) / 2)
        assert stirling_rest(k) == pytest.approx(float(log_gamma), rel=1e-13, abs=2e-15)
        assert digamma_rest(k) == pytest.approx(float(mp.digamma(k) - mp.log(k)), rel=1e-13, abs=2e-16)
    t = np.array([-0.4, -0.00999, -1e-9, 0.0, 1e-5, 0.00999, 0.0101, 3.0])
    with mp.workdps(40):
        exact = [float(mp.mpf(v) - mp.log1p(mp.mpf(v))) for v in t]
    assert log_rest(t, np.log1p(t)) == pytest.approx(exact, rel=1e-13)

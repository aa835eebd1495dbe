"""Networks: the composed formula, how they start, replicas, and what is refused."""

import numpy as np
import pytest

from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, square
from minigan.engine.tensor import Tensor
from minigan.nn.initializers import INITIALIZERS, glorot_uniform
from minigan.nn.layers import ACTIVATIONS, Dense, identity
from minigan.nn.network import Network, mlp
from minigan.nn.optim import SGD, Momentum
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import Average
from minigan.testing.gradcheck import check_grads

SIZES = (2, 5, 4, 3)


def generators(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def test_forward_is_the_composed_formula(backend):
    network = mlp(SIZES, rngs=np.random.default_rng(1), backend=backend, dtype="float64")
    p = network.parameters.arrays()
    x = np.random.default_rng(2).standard_normal((6, 2))
    h = np.tanh(np.tanh(x @ p["0.W"] + p["0.b"]) @ p["1.W"] + p["1.b"])
    np.testing.assert_allclose(
        network(Tensor(backend.array(x))).numpy(), h @ p["2.W"] + p["2.b"], rtol=1e-13, atol=1e-15
    )


@pytest.mark.rows("dtype", ["float32", "float64"])
def test_structure_and_start(backend, dtype):
    network = mlp(SIZES, rngs=np.random.default_rng(3), activation="relu", backend=backend, dtype=dtype)
    assert network.inputs == 2 and network.outputs == 3
    assert [layer.activation for layer in network.layers] == [ACTIVATIONS["relu"]] * 2 + [identity]
    assert list(network.parameters.shapes) == ["0.W", "0.b", "1.W", "1.b", "2.W", "2.b"]
    assert (
        network.parameters.count == 2 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3
        and network.parameters.flat.dtype == dtype
    )
    rng, arrays = np.random.default_rng(3), network.parameters.arrays()
    for i, shape in enumerate(((2, 5), (5, 4), (4, 3))):
        np.testing.assert_array_equal(arrays[f"{i}.W"], glorot_uniform(rng, shape).astype(dtype))
        np.testing.assert_array_equal(arrays[f"{i}.b"], np.zeros((1, shape[1]), dtype))


@pytest.mark.rows("name", INITIALIZERS)
def test_every_initializer_reaches_the_weights(name):
    network = mlp((3, 4, 1), rngs=np.random.default_rng(4), initializer=name, dtype="float64")
    np.testing.assert_array_equal(
        network.parameters["0.W"].numpy(), INITIALIZERS[name](np.random.default_rng(4), (3, 4))
    )


def test_two_sizes_make_a_linear_map(backend):
    network = mlp((3, 2), rngs=np.random.default_rng(5), backend=backend, dtype="float64")
    x = np.random.default_rng(6).standard_normal((4, 3))
    np.testing.assert_allclose(
        network(Tensor(backend.array(x))).numpy(), x @ network.parameters["0.W"].numpy(), rtol=1e-14
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_r_of_replicas_starts_computes_and_differentiates_as_the_single_network(
    backend, dtype, same_bits
):
    seeds = (7, 8, 9)
    stacked = mlp(SIZES, rngs=generators(*seeds), backend=backend, dtype=dtype)
    assert stacked.parameters.replicas == (3,)
    x = np.random.default_rng(10).standard_normal((3, 6, 2)).astype(dtype)
    y = stacked(Tensor(backend.array(x)))
    slopes = grad(mean(square(y)), stacked.parameters)
    for r, seed in enumerate(seeds):
        single = mlp(SIZES, rngs=np.random.default_rng(seed), backend=backend, dtype=dtype)
        np.testing.assert_array_equal(stacked.parameters.flat.numpy()[r], single.parameters.flat.numpy())
        y_single = single(Tensor(backend.array(x[r])))
        same_bits(backend, y.numpy()[r], y_single.numpy())
        for ours, its in zip(slopes, grad(mean(square(y_single)), single.parameters), strict=True):
            same_bits(backend, ours.numpy()[r], its.numpy())


def test_one_replica_in_a_list_keeps_its_axis():
    network = mlp((2, 3, 1), rngs=generators(1))
    assert network.parameters.flat.shape == (1, network.parameters.count)
    assert network(Tensor(np.zeros((1, 4, 2), "float32"))).shape == (1, 4, 1)


def test_gradients_through_a_network_to_second_order(backend):
    network = mlp((2, 4, 1), rngs=np.random.default_rng(11), backend=backend, dtype="float64")
    arrays = network.parameters.arrays()
    names = list(arrays)

    def f(x, *values):
        return _formula(network, dict(zip(names, values, strict=True)), x)

    check_grads(
        f, np.random.default_rng(12).standard_normal((3, 2)), *(a + 0.1 for a in arrays.values()), on=backend
    )


def _formula(network, p, x):
    for i, layer in enumerate(network.layers):
        x = layer({"W": p[f"{i}.W"], "b": p[f"{i}.b"]}, x)
    return x


def test_the_same_formulas_with_other_numbers(backend):
    network = mlp((2, 3, 1), rngs=np.random.default_rng(13), backend=backend)
    other = network.with_parameters(network.parameters.copy())
    assert other.layers == network.layers
    x = Tensor(backend.array(np.ones((4, 2), "float32")))
    np.testing.assert_array_equal(other(x).numpy(), network(x).numpy())
    other.parameters.update(other.parameters.flat * 2.0)
    assert not np.array_equal(other(x).numpy(), network(x).numpy())


def test_a_network_from_layers_of_ones_own(backend):
    layers = (Dense(2, 3, ACTIVATIONS["silu"]), Dense(3, 1, ACTIVATIONS["sigmoid"]))
    shapes = {f"{i}.{key}": shape for i, layer in enumerate(layers) for key, shape in layer.shapes().items()}
    network = Network(layers, Parameters(shapes, backend, "float64"))
    assert (network(Tensor(backend.array(np.ones((4, 2))))).numpy() == 0.5).all()


def test_summary_counts_the_parameters():
    text = mlp((1, 32, 32, 1), rngs=generators(1, 2)).summary()
    lines = text.splitlines()
    assert lines[0].split() == ["layer", "parameters", "count"]
    assert "Dense(1 → 32, tanh)" in lines[1] and lines[1].endswith("64")
    assert "W [32, 32]  b [1, 32]" in lines[2] and lines[2].endswith("1,056")
    assert lines[4].split() == ["total", "float32", "1,153"]
    assert lines[5].split() == ["replicas", "2"]
    alone = mlp((1, 32, 32, 1), rngs=generators(1)[0]).summary()
    assert alone.splitlines() == lines[:5]  # what is counted is one of the replicas


@pytest.mark.rows(
    ("sizes", "options", "says"),
    [
        ((3,), {}, r"received \(3,\)"),
        ((), {}, "input and its output"),
        ((1, 0, 1), {}, "size of a layer is a whole number ≥ 1; received 0"),
        ((1, 4, 1), {"activation": "tan"}, "activation must be one of identity.*'tan'"),
        ((1, 4, 1), {"initializer": "xavier"}, "initializer must be one of glorot_uniform.*'xavier'"),
    ],
)
def test_bad_arguments_are_refused(sizes, options, says):
    with pytest.raises(ValueError, match=says):
        mlp(sizes, rngs=np.random.default_rng(0), **options)


def test_a_batch_of_another_dtype_is_refused():
    network = mlp((2, 3, 1), rngs=np.random.default_rng(0))
    with pytest.raises(TypeError, match="float64 and float32"):
        network(Tensor(np.zeros((4, 2))))


# ── what it says of itself
def test_reprs_say_what_each_is(backend):
    G = mlp((2, 16, 16, 1), rngs=np.random.default_rng(0), backend=backend)
    D = mlp(
        (1, 8, 1), rngs=[np.random.default_rng(k) for k in range(3)], activation="leaky_relu", dtype="float64"
    )
    where = f"float32 on {backend.name}"
    assert repr(G) == f"Network(2 → 16 tanh → 16 tanh → 1: 337 parameters, {where})"
    assert repr(D) == "Network(1 → 8 leaky_relu → 1: 3 replicas of 25 parameters, float64 on numpy)"
    assert repr(D.parameters) == (
        "Parameters(0.W[1, 8], 0.b[1, 8], 1.W[8, 1], 1.b[1, 1]: "
        "3 replicas of 25 parameters, float64 on numpy)"
    )
    assert repr(Average(G.parameters)) == f"Average(337 parameters, {where})"
    momentum = Momentum(G.parameters, 0.25, momentum=0.5)
    assert repr(momentum) == f"Momentum(rate=0.25, momentum=0.5: 337 parameters, {where})"
    assert repr(SGD(D.parameters, [0.5, 1, 2])).startswith("SGD(rate=0.5 … 2: 3 replicas of")
    assert repr(G.layers[0]) == str(G.layers[0]) == "Dense(2 → 16, tanh)"
    unrolled = D.with_parameters({name: w * 2.0 for name, w in D.parameters.views.items()})
    assert repr(unrolled) == "Network(1 → 8 leaky_relu → 1: parameters with a history)"

"""What a caller may give: each rule, and a table of mistakes with the sentence that each gets."""

import fractions
import math
import re

import numpy as np
import pytest

import minigan as mg
from minigan import arguments
from minigan.arguments import FRACTION, NOT_NEGATIVE, POSITIVE, SHARE, WEIGHT
from minigan.gan.objectives import alpha, objective
from minigan.gan.orders import order
from minigan.nn.layers import activation
from minigan.nn.network import Network
from minigan.nn.parameters import Parameters

NAN, INF = math.nan, math.inf
NO_NUMBERS = (
    True,
    False,
    np.True_,
    "0.5",
    b"1",
    None,
    [0.5],
    (0.5,),
    np.ones(2),
    {"a": 1},
    1j,
    object(),
    float,
)


# ── rules
@pytest.mark.rows("value", [0.5, np.float32(0.5), np.float16(0.5), np.array(0.5), fractions.Fraction(1, 2)])
@pytest.mark.rows("rule", [POSITIVE, NOT_NEGATIVE, WEIGHT, SHARE, FRACTION])
def test_numbers_of_any_kind_are_taken_as_floats(value, rule):
    found = arguments.number("x", value, rule)
    assert type(found) is float and found == 0.5


@pytest.mark.rows("value", NO_NUMBERS)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=r"^x is a finite positive number; received ") as caught:
        arguments.number("x", value)
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match=r"^x is a whole number ≥ 1; received "):
        arguments.whole("x", value)


@pytest.mark.rows(
    ("rule", "inside", "outside"),
    [
        (POSITIVE, (5e-324, 1, 1e308), (0, -0.0, -1, INF, NAN, 10**400)),
        (NOT_NEGATIVE, (0, -0.0, 1e308), (-5e-324, INF, -INF, NAN)),
        (SHARE, (0, 1, 0.5), (-1e-9, 1 + 1e-9, NAN)),
        (FRACTION, (0, 0.999), (1, 1.0, -1e-9, NAN)),
    ],
)
def test_the_ends_of_an_interval(rule, inside, outside):
    assert [arguments.number("x", value, rule) for value in inside] == list(inside)
    for value in outside:
        with pytest.raises(ValueError, match=re.escape(f"x is {rule.says}; received")):
            arguments.number("x", value, rule)


def test_whole_numbers():
    found = [arguments.whole("x", value, 0) for value in (0, 3, np.int8(3), np.uint64(3), np.array(3))]
    assert found == [0, 3, 3, 3, 3] and {type(x) for x in found} == {int}
    for value in (2.0, np.float64(2), NAN, INF):
        with pytest.raises(TypeError, match="x is a whole number ≥ 1; received"):
            arguments.whole("x", value)
    with pytest.raises(ValueError, match="x is a whole number ≥ 1; received 0"):
        arguments.whole("x", np.int64(0))


@pytest.mark.rows(
    ("given", "meant"),
    [("Tanh", "tanh"), ("leakyrelu", "leaky_relu"), ("swish", "silu"), ("softmax", ""), ("qqq", ""), ("", ""),
     ("x" * 10**5, "")],
)  # fmt: skip
def test_the_closest_name_is_offered(given, meant):
    with pytest.raises(ValueError, match="activation must be one of identity, ") as caught:
        activation(given)
    assert len(str(caught.value)) < 300
    hint = re.search("did you mean '(.*)'", str(caught.value))
    assert (hint[1] if hint else "") == meant or not meant


# ── a table of mistakes
def _players(**options):
    rng = np.random.default_rng
    return mg.mlp((2, 4, 1), rngs=rng(0), **options), mg.mlp((1, 4, 1), rngs=rng(1), **options)


G, D = _players()
G_ADAM, D_ADAM = mg.Adam(G.parameters, 0.1), mg.Adam(D.parameters, 0.1)
RNG = np.random.default_rng(0)
D64 = _players(dtype="float64")[1]
D_STRICT = _players(backend=mg.get_backend("strict"))[1]
D_MANY = mg.mlp((1, 4, 1), rngs=[RNG, RNG])
D_TWO = mg.mlp((1, 4, 2), rngs=RNG)
VALUES = G.parameters.arrays()
X = mg.constant(np.ones((3, 2), "float32"))
SLOPES = [mg.constant(np.zeros(shape, "float32")) for shape in G.parameters.shapes.values()]


def net(sizes=(1, 2, 1), rngs=RNG, **options):
    return mg.mlp(sizes, rngs=rngs, **options)


def game(G=G, D=D, of_g=G_ADAM, of_d=D_ADAM, **options):
    return mg.Game(G, D, of_g, of_d, **options)


def batch(rows=4, width=1, **parts):
    made = dict(
        real=np.ones((1, rows, width), "f"),
        latent_d=np.ones((1, 4, 2), "f"),
        latent_g=np.ones((1, 4, 2), "f"),
    )
    return mg.Batch(**(made | parts))


def best(optimizer=D_ADAM, real=None, D=D, **options):
    fake = np.ones((2, 4, 1), "f")
    return mg.best_response(D, optimizer, fake if real is None else real, fake, **options)


MISTAKES = {
    "sizes is a list of whole numbers; received 4": lambda: net(4),
    "sizes is a list of whole numbers; received '12', which is text": lambda: net("12"),
    "sizes is a list of whole numbers; received set": lambda: net({1, 2}),
    "the size of a layer is a whole number ≥ 1; received 2.5": lambda: net((1, 2.5, 1)),
    "the size of a layer is a whole number ≥ 1; received True": lambda: net((True, 2, 1)),
    "the size of a layer is a whole number ≥ 1; received -3": lambda: net((1, -3, 1)),
    "the size of a layer is a whole number ≥ 1; received tuple": lambda: net((1, (3, 3), 1)),
    "one per replica; received 0, give np.random.default_rng(0)": lambda: net(rngs=0),
    "one per replica; received 7, give np.random.default_rng(7)": lambda: net(rngs=[RNG, 7]),
    "one per replica; received None": lambda: net(rngs=None),
    "one per replica; received RandomState": lambda: net(rngs=np.random.RandomState(0)),
    "one per replica; received an empty list": lambda: net(rngs=[]),
    "received 'Relu', did you mean 'relu'?": lambda: net(activation="Relu"),
    "sigmoid, softplus, elu, silu; received ufunc": lambda: net(activation=np.tanh),
    "received 'xavier', did you mean 'glorot_uniform'?": lambda: net(initializer="xavier"),
    "dtype is float32 or float64; received 'int32'": lambda: net(dtype="int32"),
    "dtype is float32 or float64; received 'float16'": lambda: net(dtype="float16"),
    "dtype is float32 or float64; received None": lambda: net(dtype=None),
    "get_backend(name) returns; received 'numpy', which is text": lambda: net(backend="numpy"),
    "inputs of a dense layer is a whole number ≥ 1; received 1.5": lambda: mg.Dense(1.5, 2),
    "outputs of a dense layer is a whole number ≥ 1; received '2', which is text": lambda: mg.Dense(1, "2"),
    "φ of a dense layer is a function of a Tensor; received 'tanh'": lambda: mg.Dense(1, 2, "tanh"),
    "shapes are {name: (rows, columns)}": lambda: Parameters({"a": 3}, mg.get_backend("numpy")),
    "a size of a is a whole number ≥ 0; received -3":
        lambda: Parameters({"a": (-3, -2)}, mg.get_backend("numpy")),
    "a network needs at least one layer; received none": lambda: Network([], G.parameters),
    "layers are made as Dense(inputs, outputs, activation); received the class Dense":
        lambda: Network([mg.Dense], G.parameters),
    "another network; 0.W: expected (2, 3), received (2, 4)": lambda: Network([mg.Dense(2, 3)], G.parameters),
    "it takes 5, and is given 4": lambda: Network([mg.Dense(2, 4), mg.Dense(5, 1)], G.parameters),
    "its Parameters; received Network": lambda: Network([mg.Dense(2, 4)], G),
    "another network; 0.W: expected (2, 4), received (1, 4)": lambda: G.with_parameters(D.parameters),
    "parameters are called 0.W, 0.b, 1.W, 1.b; received 'W'": lambda: G.parameters["W"],
    "parameters are called 0.W, 0.b, 1.W, 1.b; received 0": lambda: G.parameters[0],
    "received '0.w', did you mean '0.W'?": lambda: G.parameters["0.w"],
    "takes 1 features, a Tensor of shape (…, rows, 1); received 2 features, shape (3, 2)": lambda: D(X),
    "(…, rows, 2); received ndarray of shape (3, 2), make it constant(array)":
        lambda: G(np.ones((3, 2), "f")),
    "(…, rows, 2); received shape (2,)": lambda: G(mg.constant([1.0, 2.0])),
    "0.W holds 1 of 8 values that are not finite; nothing was loaded":
        lambda: G.parameters.load(VALUES | {"0.W": np.array([[NAN, 0, 0, 0], [0, 0, 0, 0]], "f")}),
    "1.b holds 1 of 1 values that are not finite":
        lambda: G.parameters.load(VALUES | {"1.b": np.full((1, 1), -INF, "f")}),
    "load takes {name: array} as arrays() returns it; received list":
        lambda: G.parameters.load([*VALUES.values()]),
    "belong to another network; 0.W: expected": lambda: G.parameters.load(D.parameters.arrays()),
    "a learning rate is a finite positive number; received True": lambda: mg.Adam(G.parameters, True),
    "a learning rate is a finite positive number; received '0.1', which is text":
        lambda: mg.SGD(G.parameters, "0.1"),
    "a learning rate is a finite positive number; received '0.2'":
        lambda: mg.SGD(D_MANY.parameters, [0.1, "0.2"]),
    "a learning rate is a finite positive number; received None": lambda: mg.RMSProp(G.parameters, None),
    "received 1e+300, which float32 cannot hold": lambda: mg.Adam(G.parameters, 1e300),
    "received 1e-300, which float32 cannot hold": lambda: mg.Adam(G.parameters, 1e-300),
    "beta1 is a number in [0, 1); received tuple": lambda: mg.Adam(G.parameters, 0.1, (0.9, 0.999)),
    "beta1 is a number in [0, 1); received False": lambda: mg.OptimisticAdam(G.parameters, 0.1, False),
    "momentum is a number in [0, 1); received 'a', which is text":
        lambda: mg.Momentum(G.parameters, 0.1, "a"),
    "epsilon is a finite positive number; received 1e-60, which float32":
        lambda: mg.Adam(G.parameters, 0.1, epsilon=1e-60),
    "moves a network's parameters; received Network, give it network.parameters": lambda: mg.Adam(G, 0.1),
    "gradients is a list of Tensors; received None": lambda: G_ADAM.step(None),
    "the factor of the rate is a finite number ≥ 0; received nan": lambda: G_ADAM.step(SLOPES, NAN),
    "the factor of the rate is a finite number ≥ 0; received 'a', which is text":
        lambda: G_ADAM.step(SLOPES, "a"),
    "follows a network's parameters; received Network": lambda: mg.Average(G),
    "follows a network's parameters; received Adam": lambda: mg.Average(G_ADAM),
    "the weight of the newest parameters is a number in [0, 1]; received 2.0":
        lambda: mg.Average(G.parameters).step(2.0),
    "received 'cos', did you mean 'cosine'?": lambda: mg.Schedule("cos", 10),
    "constant, linear, cosine, exponential; received list": lambda: mg.Schedule(["cosine"], 10),
    "steps of a schedule is a whole number ≥ 1; received '10', which is text":
        lambda: mg.Schedule("cosine", "10"),
    "steps of a schedule is a whole number ≥ 1; received inf": lambda: mg.Schedule("cosine", INF),
    "warmup of a schedule is a whole number ≥ 0; received 1.5": lambda: mg.Schedule("cosine", 10, warmup=1.5),
    "hold of a schedule is a number in [0, 1]; received nan": lambda: mg.Schedule("cosine", 10, hold=NAN),
    "a step is its index, a number or an array of them; received 'a'": lambda: mg.Schedule("cosine", 10)("a"),
    "the index of a step is at least 0; received -1": lambda: mg.Schedule("cosine", 10)(-1),
    "the index of a step is at least 0; received nan": lambda: mg.Averaging("ema", 10)([0, NAN]),
    "received 'EMA', did you mean 'ema'?": lambda: mg.Averaging("EMA", 10),
    "start of an average is a number in [0, 1]; received True": lambda: mg.Averaging("ema", 10, start=True),
    "r1 is a weight, a finite number ≥ 0; received 'a', which is text": lambda: mg.R1("a"),
    "r2 is a weight, a finite number ≥ 0; received True": lambda: mg.R2(True),
    "wgan_gp is a weight, a finite number ≥ 0; received ndarray of shape (2,)": lambda: mg.WGANGP(np.ones(2)),
    "consensus is a weight, a finite number ≥ 0; received 'a', which is text": lambda: mg.Consensus("a"),
    "consensus is a weight, a finite number ≥ 0; received None": lambda: mg.Consensus(None),
    "received 'alternate', did you mean 'alternating'?": lambda: order("alternate"),
    "extragradient; received the class Consensus": lambda: order(mg.Consensus),
    "consensus is a weight, a finite number ≥ 0; received 'b', which is text":
        lambda: order("simultaneous", "b"),
    "received 'wgan', did you mean 'wasserstein'?": lambda: objective("wgan"),
    "received 'nonsaturating', did you mean 'non_saturating'?": lambda: objective("nonsaturating"),
    "or an Objective; received list": lambda: objective([]),
    "both α are positive numbers, infinity included; received 'a', which is text": lambda: alpha("a", 1),
    "D takes 1 and returns 2": lambda: game(D=D_TWO, of_d=mg.SGD(D_TWO.parameters, 0.1)),
    "received float32 on numpy and float64 on numpy": lambda: game(D=D64, of_d=mg.SGD(D64.parameters, 0.1)),
    "received float32 on numpy and float32 on strict":
        lambda: game(D=D_STRICT, of_d=mg.SGD(D_STRICT.parameters, 0.1)),
    "as many replicas each; received replicas () and (2,)":
        lambda: game(D=D_MANY, of_d=mg.SGD(D_MANY.parameters, 0.1)),
    "the optimiser of G moves other parameters than G's; swap the two":
        lambda: game(of_g=D_ADAM, of_d=G_ADAM),
    "the optimiser of D moves other parameters than D's; build it on D.parameters":
        lambda: game(of_d=mg.SGD(D64.parameters, 0.1)),
    "the generator is a Network; received Parameters, make one with mlp(…)": lambda: game(G=G.parameters),
    "the discriminator is a Network; received function": lambda: game(D=lambda x: x),
    "the generator has an optimiser; received 0.1": lambda: game(of_g=0.1),
    "the discriminator has an optimiser; received 'adam', which is text": lambda: game(of_d="adam"),
    "penalties is a list of objects such as R1(0.5); received 'r1', which is text":
        lambda: game(penalties="r1"),
    "penalties is a list of objects such as R1(0.5); received dict": lambda: game(penalties={"r1": 0.5}),
    "penalties are objects such as R1(0.5); received the class R1": lambda: game(penalties=(mg.R1,)),
    "clip is a finite number ≥ 0; received True": lambda: game(clip=True),
    "unrolled is a whole number ≥ 0; received True": lambda: game(unrolled=True),
    "unrolled_rate is a finite number ≥ 0; received 'x', which is text": lambda: game(unrolled_rate="x"),
    "discriminator_steps is a whole number ≥ 1; received 1.0": lambda: game(discriminator_steps=1.0),
    "the average is an Average; received 0.999": lambda: game(average=0.999),
    "the average is an Average; received Averaging": lambda: game(average=mg.Averaging("ema", 10)),
    "a round takes Batch(real, latent_d, latent_g, …), then factor and weight; received tuple":
        lambda: game().round((X, X)),
    "a round needs latent_d; received None": lambda: game().round(batch(latent_d=None)),
    "takes 1 features, a Tensor of shape (…, rows, 1); received 3 features":
        lambda: game().round(batch(width=3)),
    "as many rows of both; received 1 and 4": lambda: game(objective="relativistic").round(batch(rows=1)),
    "as many rows of both; received 2 and 4": lambda: game(penalties=[mg.ZeroGP(1)]).round(
        batch(rows=2, mix=np.ones((1, 2, 1), "f"))),
    "the optimiser moves other parameters than D's": lambda: best(G_ADAM),
    "D is a Network; received Parameters": lambda: best(D=D.parameters),
    "a batch for each step; received list and ndarray": lambda: best(real=[[1.0]]),
    "a batch for each step; received ndarray of shape (1, 4, 1) and":
        lambda: best(real=np.ones((1, 4, 1), "f")),
    "2 steps need as many factors, finite numbers; received ndarray": lambda: best(factors=[NAN, 1.0]),
}  # fmt: skip


@pytest.mark.rows("says", MISTAKES)
def test_a_mistake_gets_its_sentence(says):
    before = [network.parameters.flat.numpy() for network in (G, D)]
    with pytest.raises((TypeError, ValueError, KeyError)) as caught:
        MISTAKES[says]()
    sentence = str(caught.value)
    assert says in sentence and "\n" not in sentence and len(sentence) < 400
    for network, values in zip((G, D), before, strict=True):
        np.testing.assert_array_equal(network.parameters.flat.numpy(), values)


def test_numbers_of_numpy_are_taken_everywhere():
    network = mg.mlp(np.array([1, 2, 1]), rngs=RNG, dtype=np.float64)
    mg.Adam(network.parameters, np.float32(0.1), np.float16(0.5), np.float64(0.5))
    assert mg.Schedule("cosine", np.int64(10), warmup=np.int8(2)) == mg.Schedule("cosine", 10, warmup=2)
    made = game(
        unrolled=np.int64(1), clip=np.float32(0.5), penalties=[mg.R1(np.float32(0.5))], order="alternating"
    )
    assert repr(made.penalties) == "(R1(0.5),)" and type(made.unrolled) is int


# ── memory
def test_a_network_larger_than_the_memory_is_refused_before_it_is_made(monkeypatch):
    with pytest.raises(
        MemoryError, match=r"no room for drawing 3,000,000,000,001 parameters: that takes .* are free"
    ):
        mg.mlp((1, 10**12, 1), rngs=RNG)
    with pytest.raises(MemoryError, match="no room for 1,000,000,000,000,000 parameters in float32"):
        Parameters({"W": (10**12, 10**3)}, mg.get_backend("numpy"))
    monkeypatch.setattr("minigan.machine.available_memory", lambda: 2**20)
    mg.mlp((1, 1000, 1), rngs=RNG)  # what is small is not asked for
    with pytest.raises(MemoryError, match="make the layers narrower"):
        mg.mlp((1, 10**7, 1), rngs=RNG)
    with pytest.raises(MemoryError, match="6 parameters in float64"):
        monkeypatch.setattr("minigan.nn.parameters.ROOM_FOR", 0)
        monkeypatch.setattr("minigan.machine.available_memory", lambda: 40)
        Parameters({"W": (2, 3)}, mg.get_backend("numpy"), "float64")

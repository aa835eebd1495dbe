"""The table of mistakes: what users of PyTorch, JAX, NumPy and Keras write here, and the sentence each gets.

A row is (code, error, words of its sentence). None of them may pass in silence, and none may leave the
parameters, the inputs or the history other than they were.
"""

import copy
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan import probability

MISTAKES = [
    # ── gradients of nothing
    ("mg.grad(D(mg.constant(G(z))), G.parameters)", ValueError, r"not computed from wrt\[0\].*constant"),
    ("mg.grad(D(mg.constant(G(z).numpy())), G.parameters)", ValueError, r"not computed from wrt\[0\]"),
    ("mg.grad(mg.mean(mg.constant([1.0])), [w])", ValueError, "no history to differentiate: it was"),
    ("mg.grad(program(x), net.parameters)", ValueError, "no history.*a captured program"),
    ("mg.grad(D(program(z)), G.parameters)", ValueError, "not computed from .*captured program"),
    ("mg.grad(mg.sum(w * w), [mg.variable(w.array)])", ValueError, "not computed from .*made another"),
    ("mg.grad(mg.sum(w * w), [mg.variable(w)])", ValueError, "not computed from .*unreached='zeros'"),
    ("mg.grad(mg.sum(mg.variable(w) * w), [w, other])", ValueError, r"not computed from wrt\[1\]"),
    ("mg.grad(w, [mg.sum(w)])", ValueError, "y stands where x is to be"),
    ("mg.grad(mg.constant(w), [w], unreached='zeros')", ValueError, "no history"),
    ("mg.grad(mg.sum(w), w)", TypeError, "as .x. or net.parameters; received Tensor and Tensor"),
    ("mg.grad(loss, net)", TypeError, "or net.parameters; received Tensor and Network"),
    ("mg.grad(loss, 3)", TypeError, "received Tensor and int"),
    ("mg.grad(loss, net.parameters.views)", TypeError, "a list .* received Tensor and mapping"),
    ("mg.grad(mg.sum(w), {'w': w})", TypeError, "received Tensor and dict"),
    ("mg.grad([w], mg.sum(w))", TypeError, "a Tensor y and a list.* received list and Tensor"),
    ("mg.grad(1.0, [w])", TypeError, "received float and list"),
    ("mg.grad(lambda x: x * x, [w])", TypeError, "received function and list"),
    ("mg.grad(loss, [x])", TypeError, r"through wrt\[0\], a constant of shape .*make it with variable"),
    ("mg.grad(loss, [w.array])", TypeError, "ndarray; make it with variable"),
    ("mg.R1(1.0)(D(z), mg.variable(z))", ValueError, "not computed from"),
    ("loss.backward()", AttributeError, r"keeps no gradient; minigan\.grad\(loss, \[x, …\]\)"),
    ("w.grad", AttributeError, r"minigan\.grad"),
    ("w.requires_grad", AttributeError, r"minigan\.grad"),
    ("w.detach()", AttributeError, r"minigan\.constant\(t\) is t cut from its history"),
    ("w.data", AttributeError, "cut from its history"),
    ("mg.grad(mg.sum(mg.grad(cubed, [w])[0]), [w])", ValueError, r"grad\(…, create_graph=True\), or"),
    ("mg.grad(cubed + mg.sum(mg.square(mg.grad(cubed, [w])[0])), [w])", ValueError, "without its history"),
    ("mg.grad(mg.sum(w - 0.1 * mg.grad(cubed, [w])[0]), [w])", ValueError, "or constant.g. where no history"),
    ("mg.grad(mg.sum(mg.grad(mg.sum(3.0 * w), [w], create_graph=True)[0]), [w])", ValueError, "is 0;"),
    ("mg.grad(loss, net.parameters, unreached=True)", ValueError, "'refuse' or 'zeros'; received True"),
    ("mg.grad(loss, net.parameters, unreached='zero')", ValueError, "'refuse' or 'zeros'; received 'zero'"),
    # ── changed in place
    ("p -= 0.1 * p", TypeError, "not changed in place; use assign"),
    ("p += 1.0", TypeError, "use assign"),
    ("p *= 2.0", TypeError, "use assign"),
    ("p /= 2.0", TypeError, "use assign"),
    ("p @= p", TypeError, "use assign"),
    ("p **= 2", TypeError, "use assign"),
    ("p[0] = 0.0", TypeError, "use assign"),
    ("p //= 2", TypeError, "use assign"),
    ("p %= 2", TypeError, "use assign"),
    ("array = p.array; array.flags.writeable = True", ValueError, "cannot set WRITEABLE flag to True"),
    ("p.array.base[0] = 1.0", TypeError, "cannot modify read-only memory"),
    ("np.asarray(p.array.base)[0] = 1.0", ValueError, "read-only"),
    ("mg.assign(p * 1.0, other)", TypeError, "a variable or a constant; multiply made this"),
    ("mg.assign(net(x), x)", TypeError, r"take constant\(t\) to write into t"),
    ("mg.assign(p[:2], other[:2])", TypeError, "getitem made this of values that would stay"),
    ("mg.assign(mg.reshape(p, shape=(5, 1)), column)", TypeError, "reshape made this"),
    ("mg.assign(mg.grad(cubed, [w])[0], w)", TypeError, "gradient made this"),
    ("p[...] -= 1.0", TypeError, "use assign"),
    ("p.array = np.zeros(5)", TypeError, "use assign"),
    ("p.array -= 1.0", ValueError, "read-only"),
    ("p.array[0] = 1.0", ValueError, "read-only"),
    ("p.array.sort()", ValueError, "read-only"),
    ("np.copyto(p.array, 0.0)", ValueError, "read-only"),
    ("net.parameters.flat.array[...] = 0.0", ValueError, "read-only"),
    ("p.fill_(0.0)", AttributeError, "use minigan.assign"),
    ("mg.assign(p, 1.0)", TypeError, "two Tensors; received Tensor and float"),
    ("mg.assign(p, mg.constant([1.0]))", ValueError, r"assign writes float32\[5\]; received float32\[1\]"),
    ("mg.exp(p, other)", TypeError, r"exp\(x\) cannot take .*no more than that"),
    ("mg.add(p, p, p)", TypeError, r"add\(a, b\) cannot take"),
    ("mg.add(p, p, out=p)", TypeError, r"add\(a, b\) cannot take"),
    ("mg.relu(p, p)", TypeError, r"relu\(x\) cannot take"),
    ("mg.exp(p, 2.0)", TypeError, r"exp\(x\) cannot take \(5,\), 2.0: "),
    ("mg.mT(mg.reshape(p, shape=(5, 1)), 2.0)", TypeError, r"mT\(x\) cannot take \(5, 1\), 2.0: "),
    ("mg.exp(p, where=True)", TypeError, r"exp\(x\) cannot take"),
    ("mg.exp(p, dtype='float64')", TypeError, r"exp\(x\) cannot take"),
    # ── shapes
    ("p - column", ValueError, r"\(5,\) and \(5, 1\) would pair each row with each.*shape=\(5, 1\)"),
    ("mg.mean(mg.square(column - p))", ValueError, "would pair each row with each"),
    ("mg.maximum(p, column)", ValueError, "would pair each row with each"),
    ("p * mg.reshape(column, shape=(1, 5, 1))", ValueError, "would pair each row with each"),
    ("p + mg.constant([1.0, 2.0])", ValueError, r"add cannot take \(5,\), \(2,\)"),
    ("p @ p", ValueError, "a product of matrices needs"),
    ("mg.reshape(p, (5, 1))", TypeError, r"received tuple.*the call is reshape\(x, shape=…\)"),
    ("mg.reshape(p)", TypeError, r"reshape\(x, shape=…\) cannot take"),
    ("p.reshape(5, 1)", AttributeError, r"use minigan\.reshape\(t, shape=…\)"),
    ("p.view(5, 1)", AttributeError, r"use minigan\.reshape"),
    ("mg.mean(p, axis=1)", ValueError, r"sum cannot take \(5,\): axis 1 is out of bounds"),
    ("mg.mean(p, axis=-2)", ValueError, "axis -2 is out of bounds"),
    ("mg.mean(p, axis=0.0)", TypeError, "axis is an integer or several"),
    ("mg.sum(p, axis='0')", TypeError, "axis is an integer or several"),
    ("mg.mean(p, dim=0)", TypeError, "axis=; received Tensor, dim=0: .*axis is an integer"),
    ("mg.sum(p, keepdims=True)", TypeError, "received Tensor, keepdims=True: .*kept with length one"),
    ("mg.sum(p, axis=True)", TypeError, "received Tensor, axis=True: .*axis is an integer or several"),
    ("mg.sum(p, axis=(0, False))", TypeError, "axis is an integer or several"),
    ("p.mean(axis=0, keepdims=False)", TypeError, "kept with length one"),
    ("mg.PRIMITIVES['sum'](p, axis=-1)", TypeError, "minigan.sum and minigan.mean take an integer"),
    ("mg.sum([1.0, 2.0])", TypeError, "takes a Tensor and axis=; received list: wrap"),
    ("p[[0, 1]]", TypeError, "indexed by integers, slices and"),
    ("p[p > 0]", ValueError, "a number is read from one element"),
    ("p[None]", TypeError, "indexed by integers, slices and"),
    # ── values
    ("p == 1.0", ValueError, r"from one element; this one has shape \(5,\)"),
    ("p < 1.0", ValueError, r"from one element"),
    ("1.0 >= p", ValueError, r"from one element"),
    ("p == other", TypeError, "Tensors are not compared; say a is b"),
    ("p in [other, p]", TypeError, "Tensors are not compared"),
    ("max(p, other)", TypeError, r"maximum\(a, b\)"),
    ("np.float64(1) == p", TypeError, "NumPy's equal takes arrays"),
    ("p == np.ones(5)", TypeError, "NumPy's equal takes arrays"),
    ("bool(p)", ValueError, "use tensor.numpy.., or reduce it first, as mean.t. does"),
    ("1 if p else 0", ValueError, "reduce it first"),
    ("float(p)", ValueError, "reduce it first"),
    ("int(p)", ValueError, "reduce it first"),
    ("p.item()", ValueError, "reduce it first"),
    ("[row for row in p]", TypeError, "no sequence; take t.0., t.1."),
    ("a, *rest = p", TypeError, "no sequence"),
    ("1.0 in p", TypeError, "no sequence"),
    ("np.exp(p)", TypeError, r"use minigan\.exp$"),
    ("np.asarray(p)", TypeError, r"use tensor\.numpy\(\)"),
    ("p.cpu()", AttributeError, r"use t\.numpy\(\)"),
    ("p.max()", AttributeError, r"use t\.numpy\(\)"),
    ("p.astype('float64')", AttributeError, "dtype='float64'"),
    ("p + np.ones(5)", TypeError, r"Wrap arrays with constant\(array\)"),
    ("p + [1, 2, 3, 4, 5]", TypeError, "received list. Wrap"),
    ("p + None", TypeError, "received NoneType"),
    ("p + mg.constant(np.ones(5))", TypeError, "float32 and float64; the engine never casts"),
    ("2.0 ** p", TypeError, r"exp\(log\(number\) \* t\)"),
    ("p ** p", TypeError, r"exp\(n \* log\(x\)\)"),
    ("mg.leaky_relu(p)", TypeError, r"leaky_relu\(x, slope=…\) cannot take"),
    ("mg.constant([[1, 2], [3]])", ValueError, "rows of a Tensor have one length"),
    ("mg.constant('1')", TypeError, r"minigan\.constant\(values\)"),
    ("mg.constant(['1'])", TypeError, "floating point"),
    ("mg.variable(np.arange(3))", TypeError, "received int64, give real numbers .*by dtype='float32'"),
    ("mg.constant(1e300)", ValueError, r"float32 cannot hold 1e\+300; give dtype='float64', or scale"),
    ("mg.variable([2**24 + 1])", ValueError, "float32 cannot hold 16777217; give dtype='float64'"),
    ("mg.constant(np.array([1e300]), 'float32')", ValueError, r"float32 cannot hold 1e\+300"),
    ("mg.constant(10**400)", TypeError, "real numbers within float64"),
    ("mg.constant(np.array([1.0 + 2.0j]), 'float32')", TypeError, "received complex128, give real numbers"),
    ("mg.constant(np.array(['1']), 'float32')", TypeError, "received <U1, give real numbers"),
    ("mg.constant([None], 'float32')", TypeError, "received object, give real numbers"),
    ("mg.constant([1.0], 'int64')", TypeError, "floating point; received int64"),
    ("p + 10**400", ValueError, r"add cannot take \(5,\).*too large"),
    ("p // 2", TypeError, r"no //, %, & and \|; take t.numpy\(\)"),
    ("p % 2", TypeError, "no //, %"),
    ("p & p", TypeError, "no //, %"),
    ("f'{p:.2f}'", ValueError, "from one element"),
    ("round(p)", ValueError, "from one element"),
    ("mg.Tensor([1.0]) + 1.0", TypeError, r"list is not an array.*minigan\.constant\(values\)"),
    # ── capture
    ("mg.capture(step, x)", mg.CaptureError, "from nowhere.*state=, as game.state or net.parameters.flat"),
    ("mg.capture(step, x, state=net)", TypeError, "state= is a list or .name: Tensor.*received Network"),
    ("mg.capture(step, x, state=net.parameters.flat)", TypeError, "state= is a list.*received Tensor"),
    ("mg.capture(step, x, state={'net': net})", TypeError, r"state\['net'\] is a Tensor.*received Network"),
    ("mg.capture(step, x, state=[net.parameters.flat.array])", TypeError, "give the Tensor itself"),
    ("mg.capture(step, 1.0, state=[flat])", TypeError, r"an input .* as constant\(values\); received float"),
    ("mg.capture(loss, x)", TypeError, "takes a function of the inputs; received Tensor"),
    ("mg.capture(lambda x: mg.sum(x).item(), x)", mg.CaptureError, "a value was read during capture"),
    ("mg.capture(lambda x: x * 2.0 if mg.sum(x) > 0 else x, x)", mg.CaptureError, "a value was read"),
    ("mg.capture(lambda x: x + mg.constant(x.array), x)", mg.CaptureError, r"constant\(x.array\) is a copy"),
    ("mg.capture(lambda x: net.parameters.load(arrays), x, state=[flat])", mg.CaptureError, "from nowhere"),
    ("program(np.ones((4, 1), 'float32'))", mg.CaptureError, "capture the step again for the second"),
    ("program(np.ones((3, 1)))", mg.CaptureError, "called with ndarray float64.*capture the step again"),
    ("program([1.0])", mg.CaptureError, r"called with list, make it np.array\(values, 'float32'\)"),
    ("program(1.0)", mg.CaptureError, "called with float, make it"),
    ("program.each([x, x])", mg.CaptureError, "called with list, make it"),
    ("program()", mg.CaptureError, "captured with 1 input, called with 0; call the program with what"),
    # ── what others replace, and have under other names
    ("net.parameters = G.parameters", TypeError, "Network keeps its parameters, .* would not notice another"),
    ("net.layers = G.layers", TypeError, "or make another Network"),
    ("net.parameters.flat = G.parameters.flat", TypeError, r"assign, parameters.update\(flat\)"),
    ("net.parameters.views['0.W'] = p", TypeError, "does not support item assignment"),
    ("net.parameters['0.W'] = p", TypeError, "does not support item assignment"),
    ("adam.rate = 0.5", TypeError, r"Adam keeps its rate, .* or set_rate\(rate\)"),
    ("adam.beta1 = 0.5", TypeError, "Adam keeps its beta1"),
    ("adam.lr = 0.5", AttributeError, r"no 'lr'; set_rate\(rate\) changes its rate"),
    ("adam.param_groups", AttributeError, "set_rate"),
    ("adam.zero_grad()", AttributeError, "returns the gradients, none are kept"),
    ("game.generator = net", TypeError, "Game keeps its generator"),
    ("game.clip = 0.1", TypeError, "or make another Game"),
    ("game.objective = 'hinge'", TypeError, "Game keeps its objective"),
    ("net.state_dict()", AttributeError, r"parameters.arrays\(\) has its numbers"),
    ("net.train()", AttributeError, "it computes the same in training and after"),
    ("net.to('cuda')", AttributeError, "makes one there"),
    ("net.forward(x)", AttributeError, r"call it, net\(x\)"),
    ("w.requires_grad = True", AttributeError, r"minigan\.grad"),
    ("w.grad = None", AttributeError, r"minigan\.grad"),
    ("adam.step([x] * 3)", ValueError, "one gradient per parameter, 4; received 3"),
    ("adam.step(mg.grad(loss, net.parameters), p)", ValueError, r"\(…, 1\); received shape \(5,\)"),
    ("mg.Average(net.parameters).step(p)", ValueError, r"one number, or \(…, 1\); received shape \(5,\)"),
    # ── a round
    ("game.round(mg.Batch(nan, rows, rows))", ValueError, "real of a batch holds 1 of 3 values"),
    ("game.round(mg.Batch(rows, nan, rows))", ValueError, "latent_d of a batch holds 1 of 3"),
    ("game.round(mg.Batch(rows, rows, rows, None, rows[:, :1]))", ValueError, r"noise_x .*\(…, 3, 1\)"),
    ("game.round(mg.Batch(rows, rows, rows, noise_g=rows[:, :2]))", ValueError, "for each row on its own"),
    ("game.round(mg.Batch(rows, rows, rows, rows[:, :1]))", ValueError, r"mix .*\(…, 3, 1\).*\(1, 1, 1\)"),
    ("game.round(mg.Batch([[[1]]], rows, rows[0]))", ValueError, "latent_g holds a batch for each step"),
    # ── distributions
    ("mg.Normal('0', 1)", TypeError, "normal needs a number for mean; received '0'"),
    ("mg.Normal(0, True)", TypeError, "normal needs a number for sd; received True"),
    ("mg.Normal(10**400, 1)", ValueError, "finite mean"),
    ("mg.parse('lognormal(1000, 1)')", ValueError, r"e\^\(mu ± sigma\) is to be within float64"),
    ("mg.Mixture([0.5, 0.5], [mg.Normal, mg.Normal])", TypeError, "components with a density; received"),
    ("mg.Mixture([1.5, -0.5], [mg.Normal(), mg.Normal()])", ValueError, "nonnegative and sum to one"),
    ("mg.Mixture([0.5, 0.4], [mg.Normal(), mg.Normal()])", ValueError, "whose sum is 0.9"),
    ("mg.Mixture([0.5j, 0.5], [mg.Normal(), mg.Normal()])", TypeError, "weights must hold real numbers"),
    ("mg.entropy(np.array([0.5, 0.5], object))", TypeError, "real numbers; received values of type object"),
    ("mg.Normal().cdf(p)", TypeError, r"use tensor.numpy\(\)"),
    ("P.kl_quadrature(mg.Normal, mg.Normal())", TypeError, "received the class Normal"),
    ("P.js_quadrature('normal(0, 1)', mg.Normal())", TypeError, "parse.text. makes them; received 'normal"),
    ("P.f_divergence('kl', mg.Normal(), 1.0)", TypeError, "f_divergence compares two distributions"),
    ("P.kl(mg.Normal(), mg.Normal())", TypeError, "array of probabilities; received Normal, .* kl_quad"),
    ("mg.entropy(mg.Normal())", TypeError, "p is an array of probabilities"),
    # ── copies
    ("copy.deepcopy(mg.mean(net(x)))", TypeError, r"of a computed Tensor take constant\(t\)"),
    ("copy.deepcopy({'w': w, 'loss': loss})", TypeError, "of a computed Tensor"),
    ("pickle.dumps(loss)", TypeError, "of a computed Tensor"),
    ("copy.deepcopy(program)", TypeError, "bound to the memory of its step; .*capture it again"),
    ("pickle.dumps(program)", TypeError, "capture it again"),
    ("copy.copy(program)", TypeError, "capture it again"),
]  # fmt: skip


@pytest.fixture
def names():
    """What the code of a row may use."""
    rng = np.random.default_rng(0)
    net, G = (mg.mlp((1, 4, 1), rngs=rng) for _ in range(2))
    x = mg.constant(np.ones((3, 1), "float32"))

    def step(x):
        y = mg.mean(net(x))
        mg.assign(net.parameters.flat, 0.9 * net.parameters.flat)
        return y

    p, w = mg.variable(np.arange(5.0), "float32"), mg.variable([1.0, 2.0])
    program = mg.capture(lambda x: net(x), x, state=[net.parameters.flat])
    return {
        **{"P": probability, "step": step, "program": program, "p": p, "w": w},
        **{"mg": mg, "np": np, "copy": copy, "pickle": pickle, "net": net, "G": G, "D": net, "x": x, "z": x},
        **{"other": mg.variable(np.ones(5), "float32")},
        **{"column": mg.variable(np.ones((5, 1)), "float32"), "loss": mg.mean(net(x))},
        **{"flat": net.parameters.flat, "arrays": net.parameters.arrays(), "cubed": mg.sum(w * w * w)},
        **{"game": mg.Game(G, net, mg.SGD(G.parameters, 0.1), mg.SGD(net.parameters, 0.1))},
        **{"adam": mg.Adam(net.parameters, 0.1)},
        **{"rows": np.ones((1, 3, 1), "float32"), "nan": np.array([[[1.0], [np.nan], [0.0]]], "float32")},
    }


@pytest.mark.rows(("code", "error", "words"), MISTAKES)
def test_a_mistake_gets_its_sentence(names, code, error, words):
    kept = {name: x.numpy() for name, x in names.items() if isinstance(x, mg.Tensor)}
    with pytest.raises(error, match=words) as refused:
        exec(code, names)
    assert " _" not in str(refused.value) and "Notation" not in str(refused.value)  # no private names
    for name, value in kept.items():
        np.testing.assert_array_equal(names[name].numpy(), value)
    mg.grad(names["loss"], names["net"].parameters)  # and nothing counts as overwritten


def test_every_mistake_is_one():
    assert len(MISTAKES) >= 60 and len({code for code, _, _ in MISTAKES}) == len(MISTAKES)

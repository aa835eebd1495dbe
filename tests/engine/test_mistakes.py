"""The table of mistakes: what users of PyTorch, JAX, NumPy and Keras write here, and the sentence each gets.

A row is (code, error, words of its sentence). None of them may pass in silence, and none may leave the
parameters, the inputs or the history other than they were.
"""

import copy
import pickle

import numpy as np
import pytest

import minigan as mg

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
    # ── changed in place
    ("p -= 0.1 * p", TypeError, "not changed in place; use assign"),
    ("p += 1.0", TypeError, "use assign"),
    ("p *= 2.0", TypeError, "use assign"),
    ("p /= 2.0", TypeError, "use assign"),
    ("p @= p", TypeError, "use assign"),
    ("p **= 2", TypeError, "use assign"),
    ("p[0] = 0.0", TypeError, "use assign"),
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
    ("mg.mean(p, dim=0)", TypeError, "with axis None .'dim': 0.: .*axis is an integer"),
    ("p.mean(axis=0, keepdims=False)", TypeError, "kept with length one"),
    ("mg.PRIMITIVES['sum'](p, axis=-1)", TypeError, "minigan.sum and minigan.mean take an integer"),
    ("mg.sum([1.0, 2.0])", TypeError, "takes a Tensor; received list"),
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
    ("mg.variable(np.arange(3))", TypeError, "convert by dtype='float32'"),
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
    ("program([1.0])", mg.CaptureError, "called with list"),
    ("program()", mg.CaptureError, "captured with 1 input, called with 0; call the program with what"),
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
        **{"mg": mg, "np": np, "copy": copy, "pickle": pickle, "net": net, "G": G, "D": net, "x": x, "z": x},
        **{"step": step, "program": program, "p": p, "w": w, "other": mg.variable(np.ones(5), "float32")},
        **{"column": mg.variable(np.ones((5, 1)), "float32"), "loss": mg.mean(net(x))},
        **{"flat": net.parameters.flat, "arrays": net.parameters.arrays()},
    }


@pytest.mark.parametrize(("code", "error", "words"), MISTAKES, ids=[row[0] for row in MISTAKES])
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

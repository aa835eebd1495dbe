"""Copies and pickles of what trains: they train on by themselves, with the bits of the original."""

import copy
import pickle

import numpy as np
import pytest

import minigan as mg

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}


def parts(seed=0):
    rng = np.random.default_rng(seed)
    G, D = (mg.mlp((1, 4, 1), activation=name, rngs=rng) for name in ("silu", "leaky_relu"))
    real, latent_d, latent_g = rng.standard_normal((3, 1, 8, 1), dtype="float32")
    return G, D, mg.Batch(real, latent_d, latent_g)


def bits(state):
    return {name: t.numpy().tobytes() for name, t in state.items()}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copied_network_moves_alone_and_moves_what_it_returns(copied):
    net, _, batch = parts()
    x = mg.constant(batch.real[0])
    before, (view, again) = net(x).numpy(), copied([net.parameters["0.W"], net])
    assert view is again.parameters["0.W"] and np.shares_memory(view.memory, again.parameters.flat.memory)
    mg.SGD(again.parameters, 0.1).step(mg.grad(mg.mean(mg.square(again(x))), again.parameters))
    assert (net(x).numpy() == before).all() and (again(x).numpy() != before).any()


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copied_game_plays_on_with_the_same_bits(copied):
    G, D, batch = parts()
    game = mg.Game(
        *(G, D, mg.Adam(G.parameters, 1e-2), mg.RMSProp(D.parameters, 1e-2)),
        penalties=(mg.R1(0.5),),
        average=mg.Average(G.parameters),
    )
    game.round(batch, 1.0, 0.5)
    before, again = bits(game.state), copied(game)
    again.round(batch, 1.0, 0.5)
    assert bits(game.state) == before != bits(again.state)
    game.round(batch, 1.0, 0.5)
    assert bits(game.state) == bits(again.state)


def test_the_outputs_of_a_program_are_kept():
    net, _, batch = parts()
    program = mg.capture(net, batch.real[0], state=[net.parameters.flat])
    kept = [program(np.full((8, 1), k, "float32")) for k in range(3)]
    assert len({y.numpy().tobytes() for y in kept}) == 3
    own = program(batch.real[0], copy=False)
    assert own is program.outputs is program.each(batch.real, copy=False)


@pytest.mark.parametrize(
    "end", [lambda y: y.item(), lambda y: 1 / 0, lambda y: mg.constant(np.ones(1)) * 1.0]
)
def test_a_refused_capture_has_changed_nothing(end):
    net, _, batch = parts()
    adam = mg.Adam(net.parameters, 0.1)
    state = {"net": net.parameters.flat, **adam.state}
    before, loss = bits(state), mg.mean(net(mg.constant(batch.real[0])))

    def step(x):
        y = mg.mean(net(x))
        adam.step(mg.grad(y, net.parameters))
        return end(y)

    with pytest.raises((mg.CaptureError, ZeroDivisionError)):
        mg.capture(step, batch.real[0], state=state)
    assert bits(state) == before
    assert all(np.isfinite(g.numpy()).all() for g in mg.grad(loss, net.parameters))  # none is stale

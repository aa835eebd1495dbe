"""Snapshots that are trained on from, frames that are read off them, and the figures of frames."""

import numpy as np
import pytest

from minigan.evaluation import modes_of
from minigan.training.config import Config, replace
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve
from minigan.views.frame import Frame, LineFrame
from minigan.views.reader import PARTS, Reader
from minigan.views.snapshot import Recorder, snapshot


def small(**changes):
    sets = {
        "batch": 16,
        "generator.widths": [4],
        "discriminator.widths": [4],
        "eval_samples": 100,
        "steps": 60,
    }
    pairs = tuple(f"{key}={value}" for key, value in (sets | changes).items())
    return resolve(environ={}, sets=pairs)


def bits(experiment):
    return {name: array.tobytes() for name, array in experiment.arrays().items()}


@pytest.mark.rows("changes", [
    {}, {"order": "extragradient"}, {"objective": "relativistic", "wgan_gp": 1}, {"random": "philox"},
    {"average.name": "ema", "unrolled": 1}, {"execution": "recorded", "dtype": "float64"},
])  # fmt: skip
def test_from_a_snapshot_training_goes_on_with_the_same_bits(changes):
    e = Experiment(small(**changes))
    e.advance(3)
    then = snapshot(e)
    e.advance(9)
    end, losses = bits(e), [loss.tobytes() for loss in e.losses()]
    then.restore(e)
    assert e.step == 3 and bits(e) != end
    e.advance(9)
    assert bits(e) == end and [loss.tobytes() for loss in e.losses()] == losses


def test_a_snapshot_does_not_change_afterwards():
    e = Experiment(small())
    then = snapshot(e)
    before = {name: array.copy() for name, array in then.arrays.items()}
    e.advance(2)
    assert all(np.array_equal(then.arrays[name], array) for name, array in before.items())


def test_a_record_is_thinned_evenly_and_forgets_a_course_that_is_left():
    e, kept = Experiment(small()), Recorder(most=5)
    for step in range(40):
        e.step = step
        kept.add(snapshot(e))
    steps = [one.step for one in kept]
    assert len(kept) == 5 and steps[0] == 0 and steps[-1] == 39 and np.diff(steps).max() <= 20
    assert kept.at(39).step == 39 and kept.at(38).step == steps[-2]
    kept.cut((steps[2], "D"))
    assert [one.step for one in kept] == steps[:2]
    e.step = steps[1]
    kept.add(snapshot(e, turn="G"))
    assert [one.place for one in kept] == [(0, "D"), (steps[1], "D"), (steps[1], "G")]
    assert kept.at(steps[1]).turn == "D" and kept.at(99).turn == "G"
    narrow = Recorder(nbytes=3 * snapshot(e).nbytes)
    for step in range(9):
        e.step = step
        narrow.add(snapshot(e))
    assert len(narrow) == 3
    with pytest.raises(LookupError, match="nothing is recorded of step 1"):
        Recorder().at(1)


@pytest.mark.parametrize("changes", [
    {}, {"packing": 2, "objective": "relativistic"}, {"objective": "wasserstein", "latent.size": 2},
    {"target": "ring(4, 1, 0.01)"}, {"target": "ring(4, 1, 0.01)", "packing": 2, "latent.size": 3},
    {"latent.distribution": "one", "generator.widths": [], "discriminator.widths": []},
], ids=lambda changes: "-".join(map(str, changes.values())) or "default")  # fmt: skip
def test_a_frame_is_what_the_experiment_itself_says(changes):
    config = small(**changes)
    e, reader = Experiment(config), Reader(config)
    e.advance(4)
    before = bits(e)
    frame = reader.frame(snapshot(e), PARTS)
    assert bits(e) == before and frame.step == 4
    shown = frame.line or frame.plane
    made = e.generate(reader.experiment.draw_latent(np.random.default_rng(0), (1,)), averaged=False)
    assert np.isfinite(made).all() and np.isfinite(shown.samples).all() and np.isfinite(shown.arrows).all()
    if frame.line is not None:
        width = np.diff(shown.edges)
        assert 0.5 < shown.p @ width < 1.001 and shown.q @ width < 1.001
        at = 0.5 * (shown.edges[1:] + shown.edges[:-1])[:, None]
        logit = e.logits(at)[:, 0]
        said = e.game.objective.probability(logit)
        assert np.allclose(shown.d, 1 / (1 + np.exp(-logit)) if said is None else said)
        assert (shown.best is None) == (config.packing > 1)
    else:
        assert shown.d.shape == (48, 48) and ((shown.d >= 0) & (shown.d <= 1)).all()
        assert (shown.best is None) == (config.packing > 1)
        found = modes_of(e.distribution).coverage(shown.samples)
        assert found.counts.all() and np.array_equal(shown.captured, found.good > 0) and not found.good.all()
        assert len(shown.captured) == 4 and shown.lines.shape == (26, 41, 2)
    assert reader.is_dirac == (config.generator.widths == ()) == (frame.point is not None)
    for player, network in (("G", e.generator), ("D", e.discriminator)):
        assert [layer.name for layer in frame.layers[player]] == list(network.parameters.views)
        for layer in frame.layers[player]:
            assert np.array_equal(layer.weights, network.parameters[layer.name].numpy())
            assert layer.gradient.shape == layer.weights.shape
        assert frame.responses[player].layers[-1].shape == (161, network.outputs)


@pytest.mark.parametrize("conditioning", ["concatenation", "projection"])
def test_of_a_game_with_labels_a_frame_shows_one_class(conditioning):
    e = Experiment(small(target="0.25*normal(-1, 0.5) + 0.75*normal(2, 1)", label="component", packing=2,
                         conditioning=conditioning))  # fmt: skip
    e.advance(3)
    reader, p, d = Reader(e.config), [], []
    assert reader.scene.classes == e.labels.classes
    for k in range(2):
        reader.choose(k)
        frame = reader.frame(snapshot(e), PARTS)
        at = 0.5 * (frame.line.edges[1:] + frame.line.edges[:-1])[:, None]
        p.append(frame.line.p)
        d.append(frame.line.d)
        assert np.allclose(d[-1], 1 / (1 + np.exp(-e.logits(at, codes=np.full(len(at), k))[:, 0])))
        made = e.generate(reader._latent[:160], averaged=False, codes=np.full(160, k))
        assert np.allclose(frame.line.samples, made[:, 0])
        assert np.allclose(frame.responses["G"].layers[-1] * e.scale + e.shift, frame.line.x[:, None])
        assert f"class {e.labels.classes[k]} " in reader.scene.target
    whole = reader._observer.grid[1]
    assert np.allclose(0.25 * p[0] + 0.75 * p[1], whole, atol=1e-3) and not np.allclose(d[0], d[1])
    with pytest.raises(LookupError, match="no class 2"):
        reader.choose(2)


def test_the_pull_on_a_sample_is_the_slope_of_the_loss():
    """By differences: of softplus(−a(x)) in the user's units."""
    e = Experiment(small(dtype="float64"))
    reader = Reader(e.config)
    snapshot(e).restore(reader.experiment)
    x, h = np.array([[3.0], [4.5], [6.0]]), 1e-6

    def loss(at):
        return np.logaddexp(0.0, -e.logits(at))[:, 0]

    slope = (loss(x + h) - loss(x - h)) / (2 * h)
    pull = reader._pull(x)[:, 0]
    assert np.allclose(pull, -slope / len(x) * e.scale[0, 0] ** 2, rtol=1e-5)


def test_a_row_is_that_of_training():
    from minigan.training.metrics import Observer

    e = Experiment(small())
    e.advance(6)
    before = {"d": e.discriminator.parameters.flat.numpy(), "g": e.generator.parameters.flat.numpy()}
    e.advance(1)
    observer = Observer(e, best=False)
    observer.recall(before)
    expected = observer.row(0.0)
    reader = Reader(e.config)
    found = reader.frame(snapshot(e, before=before), ("row",)).row
    assert found == expected and found["update_ratio_g"] > 0
    assert reader.findings([found]) == ()


def test_bands_hold_perfect_samples():
    reader = Reader(small(eval_samples=400))
    reader.measure_bands()
    bands = reader.scene.bands
    assert set(bands) == {"ks", "w1", "js"} and all(0 < low < high for low, high in bands.values())
    assert bands["ks"][1] < 2 / np.sqrt(400)  # Kolmogorov's limit exceeds 2 with probability 0.0007


def test_a_view_shows_what_a_frame_has():
    pytest.importorskip("bokeh", reason="figures of pages need bokeh, the extra ui")
    from minigan.views.curves import CurvesView
    from minigan.views.line import LineView
    from minigan.views.look import DARK, LIGHT
    from minigan.views.plane import PlaneView

    config = small()
    e, reader = Experiment(config), Reader(config)
    first = reader.frame(snapshot(e))
    view = LineView(reader.scene, LIGHT, first)
    e.advance(5)
    then = reader.frame(snapshot(e))
    view.show(then)
    assert np.allclose(view.sources["densities"].data["q"], then.line.q, rtol=1e-6)
    assert np.array_equal(view.sources["rug"].data["x"], then.line.samples)
    line = then.line
    bare = LineView(
        reader.scene, DARK, Frame(5, line=LineFrame(line.edges, line.p, line.q))
    )  # as a run records it
    assert set(bare.sources) == {"target", "densities", "rug", "arrows", "judgement"}

    ring = small(target="ring(4, 1, 0.1)")
    reader = Reader(ring)
    frame = reader.frame(snapshot(Experiment(ring)))
    view = PlaneView(reader.scene, LIGHT, frame)
    image = view.sources["d"].data["image"][0]
    assert image.dtype == "uint8" and image.shape == (144, 144)
    assert np.abs(image / 255.0 - 0.5).max() == pytest.approx(np.abs(frame.plane.d - 0.5).max(), abs=0.01)

    curves = CurvesView(reader.scene, DARK)
    curves.show_history(
        [{"step": 1, "ks": 0.0}, {"step": 2, "ks": 0.5, "w1": None}], findings=[(1, "collapse")]
    )
    assert np.array_equal(curves.sources["rows"].data["ks"], [np.nan, 0.5], equal_nan=True)
    assert curves.columns(frame) == {"cursor": {"x": [0.0]}}
    assert isinstance(replace(config, seed=1), Config)


def test_the_tape_is_that_of_grad_rule_by_rule():
    from minigan.engine.autodiff import grad
    from minigan.engine.tensor import constant
    from minigan.gan.orders import Batch
    from minigan.training.draws import SHARED
    from minigan.views.tape import evaluated, rules_of, tape_of

    for changes in (
        {},
        {"objective": "wasserstein", "wgan_gp": 1.0, "discriminator.activation": "leaky_relu"},
    ):
        e = Experiment(small(**changes))
        e.advance(2)
        drawn = {k: constant(a[2]) for k, a in e.draw(0, e.block_length).items() if k not in SHARED}
        batch = Batch(**drawn)
        mix = None if batch.mix is None else batch.mix[0]
        fake = constant(e.game.make(batch.latent_d[0]))
        losses = {
            "D": (e.game.discriminator_loss(batch.real[0], fake, mix), e.discriminator),
            "G": (e.game.generator_loss(batch.latent_g[0], batch.real[0]), e.generator),
        }
        for player, (loss, network) in losses.items():
            tape = tape_of(e, player)
            assert tape.nodes[-1].value.item() == loss.item() and tape.cotangents(0).keys() == {
                len(tape.nodes) - 1
            }
            found = tape.cotangents(len(tape.back))
            own = {node.name: found[k] for k, node in enumerate(tape.nodes) if node.parameter}
            for name, g in zip(network.parameters.views, grad(loss, network.parameters), strict=True):
                assert np.array_equal(own[f"{player}.{name}"], g.numpy())
            for one in tape.back:
                text = evaluated(tape, one)
                node = tape.nodes[one.node]
                if one.added.shape == node.value.shape == tape.nodes[one.into].value.shape and " = " in text:
                    told = float(text.rpartition(" = ")[2])
                    assert told == pytest.approx(one.added.reshape(-1)[0], rel=1e-3, abs=1e-9), text
    assert rules_of("tanh")[0] == ("g * (1.0 - square(y))",)
    source = __import__("minigan.engine.primitives", fromlist=["x"]).__file__
    with open(source, encoding="utf-8") as file:
        assert file.read().splitlines()[rules_of("tanh")[1] - 1].startswith("tanh ")
    with pytest.raises(ValueError, match="of D or of G"):
        tape_of(e, "X")

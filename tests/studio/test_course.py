"""The course of a game in its thread: commands, half rounds, exact rewinding, changes, what is refused."""

import io
import random

import numpy as np
import pytest

from minigan.front.configuration import request_of, settled
from minigan.studio.changes import as_command, as_python, changed, draws_of
from minigan.studio.commands import CommandError, command_from
from minigan.studio.course import Course, wait_for
from minigan.studio.mirror import Mirror, Teller
from minigan.studio.watch import Watch
from minigan.studio.wire import packed, received
from minigan.training.config import replace
from minigan.training.experiment import Experiment

SMALL = {"batch": 16, "generator": {"widths": [4]}, "discriminator": {"widths": [4]}, "eval_samples": 100,
         "steps": 400}  # fmt: skip


def request(**changes):
    return request_of(None, None, SMALL | changes, environ={})


@pytest.fixture
def opened(tmp_path):
    """Begins courses, and ends them all."""
    courses = []

    def begin(**changes):
        course = Course(request(**changes), out=str(tmp_path))
        course.start()
        courses.append(course)
        return course

    yield begin
    for course in courses:
        course.close()


def do(course, *commands):
    """Send commands, and wait until they are done."""
    for command in commands:
        done = course.obeyed
        assert course.send(command) is None
        assert wait_for(lambda done=done: course.obeyed > done and not course.status.playing)


def bits(arrays):
    return {name: array.tobytes() for name, array in arrays.items()}


def rounds(count):
    return {"do": "rounds", "count": count}


def test_a_rewound_game_goes_on_with_the_bits_of_one_that_was_not(opened):
    course = opened()
    do(course, rounds(7), rounds(5), rounds(8))
    alone = Experiment(course.config)
    with np.errstate(all="ignore"):
        alone.advance(20)
    assert course.latest.step == 20 and bits(course.latest.arrays) == bits(alone.arrays())
    steps = [kept.step for kept in course.record]
    assert {0, 7, 12, 20} <= set(steps)
    do(course, {"do": "rewind", "step": 7, "turn": "D"})
    assert course.latest.step == 7 and len(course.record) == len(steps), "looking back forgets nothing"
    do(course, rounds(13))
    assert course.latest.step == 20 and bits(course.latest.arrays) == bits(alone.arrays())
    assert course.status.left == (1, 7) and course.status.changes == ()


def test_a_step_of_d_and_one_of_g_are_a_round(opened):
    course = opened(discriminator_steps=2)
    do(course, {"do": "step_d"})
    half = course.latest
    assert half.place == (0, "G") and half.losses[0] == half.losses[0]
    do(course, {"do": "step_g"})
    eager = Experiment(course.config)
    drawn = eager.draw(0, eager.block_length)
    with np.errstate(all="ignore"):
        from minigan.engine.tensor import constant

        eager.play({name: constant(array[0]) for name, array in drawn.items()})
    assert course.latest.place == (1, "D") and bits(course.latest.arrays) == bits(eager.arrays())
    assert course.status.changes == ("round 1 was played by hand",)
    do(course, {"do": "rewind", "step": 0, "turn": "G"}, {"do": "step_g"})
    assert bits(course.latest.arrays) == bits(eager.arrays())
    do(course, {"do": "step_g"})
    assert course.latest.step == 2 and "D passed in round 2" in course.status.changes
    do(course, {"do": "step_d"}, {"do": "step_d"})
    assert course.latest.place == (3, "G") and course.status.changes[-1] == "G passed in round 3"
    do(course, rounds(2))
    assert course.latest.place == (5, "D"), "a round that D has begun is ended by G"


def test_what_changes_no_network_takes_effect_at_once_and_the_rest_begins_anew(opened):
    course = opened()
    do(course, rounds(5), {"do": "set", "settings": {"generator_optimizer.rate": "0.25", "r1": 0.5}})
    assert course.latest.step == 5 and course.config.generator_optimizer.rate == 0.25
    assert course.latest.arrays["generator_optimizer.rate"].item() == 0.25
    assert course.status.changes == ("r1, generator_optimizer.rate from step 5 on",)
    do(course, rounds(5), {"do": "rewind", "step": 5, "turn": "D"})
    before = course.record.at(4)
    do(course, {"do": "rewind", "step": before.step, "turn": "D"})
    assert course.config == before.config and course.config.r1 != 0.5 and course.status.changes == ()
    do(course, {"do": "set", "settings": {"generator.widths": "[5, 5]"}})
    assert course.latest.step == 0 and course.status.run == 1 and course.config.generator.widths == (5, 5)
    do(course, {"do": "set", "settings": {"target": "ring(4, 1, 0.1)"}})
    assert course._experiment.features == 2
    do(course, {"do": "restart", "seed": 3})
    assert course.config.seed == 3
    do(course, {"do": "restart", "seed": -1})
    assert course.config.seed != 3


def test_targets_are_drawn_uploaded_and_saved_with_the_run(opened, tmp_path, brief_judge):
    from minigan.front.fitting import load

    course = opened(steps=6)
    do(course, {"do": "learn_points", "points": [[0, 0], [1, 1], [2, 0.5], [1, -1], [0.5, 0.5]]})
    assert course._experiment.features == 2 and len(course.data.values) == 5
    do(course, {"do": "learn_density", "heights": [[0, 0], [1, 2], [3, 0]]})
    assert course._experiment.features == 1
    do(course, {"do": "learn_table", "text": "a,b\n" + "\n".join(f"{k},{k * k % 7}" for k in range(30))})
    assert course._experiment.names == ("a", "b") and course.status.message == "learns 30 uploaded rows"
    do(course, rounds(3), {"do": "save", "name": "mine"})
    (path,) = tmp_path.iterdir()
    run = load(path)
    assert "mine" in path.name and run.step == 3 and run.names == ("a", "b") and run.sample(4).shape == (4, 2)
    run.resume(progress=False)
    assert run.step == 6 and run.status == "finished"
    do(course, {"do": "learn_table", "text": "no,numbers\nx,y\n"})
    assert course.status.refused and course._experiment.names == ("a", "b")
    do(course, {"do": "preset", "name": "wgan-gp"})
    assert course.config.objective == "wasserstein" and not course.status.refused


def test_a_drawn_density_has_the_moments_of_its_triangle():
    x = draws_of(np.array([[3.0, 0.0], [0.0, 0.0], [0.0, 9.0], [1.0, 2.0]]), 20_000)[:, 0]
    assert x.mean() == pytest.approx(4 / 3, abs=0.3) and 0 <= x.min() and x.max() <= 3
    triangle = draws_of(np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]]), 20_000)[:, 0]
    assert triangle.mean() == pytest.approx(4 / 3, abs=1e-3)
    assert triangle.var() == pytest.approx((0 + 1 + 9 - 0 - 0 - 3) / 18, abs=1e-3)


REFUSED = [
    ({"do": "set", "settings": {"data": "/etc/passwd"}}, "opens no files"),
    ({"do": "set", "settings": {"columns": "[0]"}}, "opens no files"),
    ({"do": "set", "settings": {"nonsense": 1}}, "there is no setting"),
    ({"do": "set", "settings": {"batch": "many"}}, "batch"),
    ({"do": "set", "settings": {"target": "normal(1, -1)"}}, "normal"),
    ({"do": "preset", "name": "nobody"}, "nobody"),
    ({"do": "learn_density", "heights": [[0, 0], [1, 0]]}, "height somewhere"),
    ({"do": "learn_points", "points": [[1, 1], [1, 1]]}, "constant"),
]


def test_what_is_refused_is_said_and_changes_nothing(opened):
    course = opened()
    do(course, rounds(2))
    before, config = bits(course.latest.arrays), course.config
    for command, says in REFUSED:
        do(course, command)
        assert course.status.refused and says in course.status.message, course.status.message
    assert bits(course.latest.arrays) == before and course.config == config and course.latest.step == 2
    do(course, rounds(400))
    assert course.latest.step == 400 and "all 400 steps are played" in course.status.message
    do(course, {"do": "play"})
    assert course.status.refused and not course.status.playing


def test_a_game_that_diverged_is_not_saved(opened, tmp_path):
    course = opened()
    steep = {"generator_optimizer.name": "sgd", "discriminator_optimizer.name": "sgd"}
    steep |= {"generator_optimizer.rate": "1e10", "discriminator_optimizer.rate": "1e10"}
    do(course, {"do": "set", "settings": steep | {"objective": "least_squares"}}, rounds(400))
    assert course.status.refused and "stopped being finite" in course.status.message
    do(course, {"do": "save", "name": "lost"})
    assert course.status.refused and "rewind, and save it then" in course.status.message
    assert not list(tmp_path.iterdir())
    do(course, {"do": "set", "settings": {"batch": "-3"}})
    assert course.status.message == "batch must be an integer from 2 to 16777216, received -3"


def test_ten_thousand_malformed_commands_change_nothing(opened):
    course = opened()
    do(course, rounds(3))
    before, status, rng = bits(course.latest.arrays), course.status, random.Random(5)
    names = ["play", "pause", "rounds", "rewind", "set", "save", "speed", "restart", "learn_points", "close",
             "_do_play", "__class__", "", "probe"]  # fmt: skip
    keys = ["count", "step", "turn", "settings", "name", "per_second", "seed", "points", "self", "text"]
    values = [None, -1, 1e400, float("nan"), "", "../../x", "a\x00b", [], [[1]], {}, {"data": "/x", 3: 4},
              True, 2**80, object(), [[float("inf"), 1.0]] * 3, {"batch": object()}, b"x"]  # fmt: skip
    sent = 0
    while sent < 10_000:
        command = {"do": rng.choice(names)} | {
            rng.choice(keys): rng.choice(values) for _ in range(rng.randrange(3))
        }
        command = rng.choice([command, command, command, rng.choice(values)])
        try:
            command_from(command)
        except CommandError:
            assert course.send(command)
            sent += 1
    do(course)
    assert bits(course.latest.arrays) == before and course.status == status and course.latest.step == 3


def test_the_watch_reads_what_is_wanted_and_follows_the_course(opened):
    course = opened()
    watch = Watch(course)
    watch.start()
    try:
        watch.want("distribution", "row")
        do(course, rounds(30))

        def shown():
            watch.want("distribution", "row")
            return watch.seen.frame.step == 30 and watch.seen.rows and watch.seen.rows[-1]["step"] == 30

        assert wait_for(shown) and watch.seen.scene.bands and watch.seen.frame.line is not None
        do(course, {"do": "set", "settings": {"target": "ring(4, 1, 0.1)"}})

        def plane():
            watch.want("distribution", "row")
            return watch.seen.run == 1 and watch.seen.frame.plane is not None

        assert wait_for(plane) and all(row["step"] == 0 for row in watch.seen.rows)
    finally:
        watch.close()


@pytest.mark.parametrize("changes", [
    {}, {"preset": "iris"}, {"preset": "dirac-gan"}, {"generator": {"widths": [3, 2]}},
], ids=lambda changes: "-".join(changes) or "default")  # fmt: skip
def test_what_is_told_to_another_process_is_the_same_there(opened, tmp_path, changes):
    course = Course(
        request_of(None, changes.get("preset"), {} if "preset" in changes else SMALL | changes, environ={})
    )
    teller, sent = Teller(), []
    mirror = Mirror(sent.append)
    course.start()
    try:
        for commands in ([], [rounds(5)], [{"do": "set", "settings": {"batch": 8}}], [{"do": "step_d"}]):
            do(course, *commands)
            mirror.take(received(io.BytesIO(teller.told(course.moment))))
            for name in ("status", "obeyed", "config"):
                assert getattr(mirror, name) == getattr(course, name), name
            assert mirror.request.origins == course.request.origins
            there, here = mirror.latest, course.latest
            assert (there.place, there.config, there.era) == (here.place, here.config, here.era)
            assert bits(there.arrays) == bits(here.arrays)
            assert (there.before is None) == (here.before is None)
            assert [one.place for one in mirror.record] == [one.place for one in course.record]
            assert [one.point for one in mirror.record] == [one.point for one in course.record]
        if course.data is not None:
            assert bits({"": mirror.data.values}) == bits({"": course.data.values})
            assert mirror.data.marks.classes == course.data.marks.classes
        assert mirror.send({"do": "fly"}) is not None and mirror.send(rounds(2)) is None
        assert received(io.BytesIO(sent[-1])) == (rounds(2), {})
        part = packed({"a": 1}, {"x": np.zeros((2, 3))})
        assert all(received(io.BytesIO(part[:k])) is None for k in (0, 3, 9, len(part) - 1))
    finally:
        course.close()


def test_a_game_can_be_begun_again_elsewhere(tmp_path):
    import shlex

    from minigan.training.settings import resolve, resolve_with_sources

    made = request_of(None, "wgan-gp", {"seed": 4, "target": "laplace(0, 1)"}, environ={})
    words = shlex.split(as_command(made))
    assert words[:3] == ["minigan", "train", "wgan-gp"]
    sets = [word for word in words[3:] if word != "--set"]
    assert resolve("wgan-gp", environ={}, sets=sets) == made.config
    assert "preset='wgan-gp'" in as_python(made) and "seed=4" in as_python(made)
    drawn = changed(made, {}, np.eye(9, 2)).request  # no file has it
    for text in (as_command(drawn), as_python(drawn)):
        assert "save as run" in text and "RUN/config.json" in text and "table" not in text
    table = tmp_path / "my \"own\" 'table'.csv"
    table.write_text("x,who\n1,a\n2,b\n3,a\n4,b\n5,a\n6,b\n")
    own = request_of(str(table), None, {"label": "who", "columns": ["x"], "holdout": 0.0}, environ={})
    then = changed(own, {"r1": "0.5"}).request
    sets = [word for word in shlex.split(as_command(then))[2:] if word != "--set"]
    assert then.config == replace(own.config, r1=0.5) and {"label=who", f"data={table}"} < set(sets)
    assert settled(*resolve_with_sources(environ={}, sets=sets)).config == then.config

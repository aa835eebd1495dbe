"""How people write settings: other words lead to ours, numbers are read as meant or refused."""

import math

import msgspec
import pytest

from minigan.arguments import closest
from minigan.errors import ConfigError
from minigan.gan.objectives import OBJECTIVES
from minigan.training.config import Config, fields, flatten, to_json
from minigan.training.settings import from_json, notes_on, resolve
from minigan.training.spellings import DEVICES, OPTIONS, choices, meant
from minigan.training.synonyms import ELSEWHERE, NAMES, VALUES


def made(*sets, **layers):
    return flatten(resolve(sets=sets, environ={}, **layers))


def refused(*sets, **layers):
    with pytest.raises(ConfigError) as caught:
        made(*sets, **layers)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 900
    return message


def words(rows):
    return [word for row in rows for word in row.words.split()]


def test_values_as_people_type_them_lead_to_the_value():
    for text, says in (
        ("average=ema", "write average.name=ema"), ("schedule=cosine", "write schedule.name=cosine"),
        ("generator_optimizer=adam", "write generator_optimizer.name=adam"), ("latent=2", "latent.size=2"),
        ("latent=uniform", "write latent.distribution=uniform"),
        ("generator=64", "write generator.widths=64"),
        ("discriminator=[8, 8]", "write discriminator.widths=[8, 8]"), ("average=true", "(average.name"),
        ("holdout=20", "write 0.2 for 20 %"), ("average.decay=99", "write 0.99 for 99 %"),
        ("schedule.warmup=10%", "a share is not taken here"), ("r1=½", "write 0.5"), ("r1=0.5f", "write 0.5"),
        ("clip=None", "0 is none"), ("clip=false", "0 is none"), ("wgan_gp=true", "write how much"),
        ("checkpoint_seconds=2min", "write 120, in seconds"), ("checkpoint_seconds=1 h", "write 3600"),
        ("latent=" + "9" * 5000, "group"), ("latent=a\nb", "group"),
        ("seed=random", "its seed is a number"), ("seed=-1", "its seed"),
    ):  # fmt: skip
        assert says in refused(text), text


# ── names


def test_the_library_and_the_settings_have_one_table_of_other_words():
    for name, key in (("objective", "objective"), ("activation", "generator.activation")):
        for row in VALUES[name]:
            for word in row.words.split():
                ours = row.ours.split()
                assert any(f"'{one}" in refused(f"{key}={word}") for one in ours), word
                assert closest(word, choices(key)) in {f", did you mean {one!r}?" for one in ours} | {""}, (
                    word
                )


def test_a_variable_that_looks_like_a_setting_is_noted_with_what_is_meant():
    for variable, says in (
        ("MINIGAN_LR", "MINIGAN_GENERATOR_OPTIMIZER__RATE or MINIGAN_DISCRIMINATOR_OPTIMIZER__RATE"),
        ("MINIGAN_GENERATOR_WIDTHS", "did you mean MINIGAN_GENERATOR__WIDTHS?"),
        ("MINIGAN_SEEDD", "did you mean MINIGAN_SEED?"), ("MINIGAN_EPOCHS", "MINIGAN_STEPS"),
        ("MINIGAN_Q7", "--print-config lists"), ("MINIGAN_OUT", "--out"),
    ):  # fmt: skip
        (note,) = notes_on({variable: "3", "PATH": "/"})
        assert note.startswith(f"{variable} in the environment is no setting; ") and says in note
    known = (
        "MINIGAN_RUNS",
        "MINIGAN_SEED",
        "MINIGAN_GENERATOR",
        "MINIGAN_PORT_80_TCP",
        "MINIGAN_SERVICE_HOST",
    )
    assert notes_on(dict.fromkeys(known, "1")) == []


def test_every_synonym_leads_to_settings_that_exist():
    for row in NAMES:
        assert row.words and set(row.ours.split()) <= fields().keys(), row
        for word in row.words.split():
            found, _ = meant(word)
            assert found and set(found) <= fields().keys(), word
            message = refused(f"{word}=1") if word not in fields() else repr(found[0])
            assert repr(found[0]) in message, word


def test_a_word_means_one_thing():
    """But where a player chooses: "steps" is a setting, "d_steps" another."""
    seen = words(NAMES)
    twice = {word for word in seen if seen.count(word) > 1}
    assert twice == {"iters", "iterations", "updates"}
    assert set(seen) & fields().keys() == {"steps"}
    for name in fields():
        assert meant(name)[0][:1] == (name,) or name == "steps", name
    for rows in (*VALUES.values(), ELSEWHERE):
        assert len(set(words(rows))) == len(words(rows))
    assert not set(seen) & set(words(ELSEWHERE))


@pytest.mark.rows(("name", "ours"), [
    ("lr", "generator_optimizer.rate discriminator_optimizer.rate"),
    ("learning_rate", "generator_optimizer.rate"),
    ("learningRate", "generator_optimizer.rate discriminator_optimizer.rate"),
    ("lr_g", "generator_optimizer.rate"),
    ("g_lr", "generator_optimizer.rate"), ("lrD", "discriminator_optimizer.rate"),
    ("critic.lr", "discriminator_optimizer.rate"), ("generator.lr", "generator_optimizer.rate"),
    ("optimizer.lr", "generator_optimizer.rate discriminator_optimizer.rate"),
    ("optim.eps", "generator_optimizer.epsilon"),
    ("hidden", "generator.widths discriminator.widths"), ("hidden_size", "generator.widths"),
    ("generator.layers", "generator.widths"), ("netD.hidden", "discriminator.widths"),
    ("disc_hidden", "discriminator.widths"),
    ("layers", "generator.widths discriminator.widths"), ("ngf", "generator.widths"), ("epochs", "steps"),
    ("iterations", "steps"), ("max-iter", "steps"), ("gpu", "backend"), ("cuda", "backend"),
    ("device", "backend"),
    ("bs", "batch"), ("batch_size", "batch"), ("Batch", "batch"), ("BATCH_SIZE", "batch"),
    ("latent_dim", "latent.size"),
    ("latent.dim", "latent.size"), ("nz", "latent.size"),
    ("noise", "latent.distribution instance_noise observation_noise"),
    ("optimizer", "generator_optimizer.name discriminator_optimizer.name"),
    ("d_optimizer", "discriminator_optimizer.name"),
    ("beta1", "generator_optimizer.beta1 discriminator_optimizer.beta1"), ("wd", "r1 r2 wgan_gp clip"),
    ("gp", "wgan_gp zero_gp r1 r2"), ("lambda", "wgan_gp zero_gp r1 r2"), ("loss", "objective"),
    ("n_critic", "discriminator_steps"), ("d_steps", "discriminator_steps"),
    ("generator.steps", "generator_steps"),
    ("ema", "average.name average.decay"), ("law", "target"), ("distribution", "target"),
    ("random_state", "seed"),
    ("eval-every", "eval_every"), ("generatorWidths", "generator.widths"), ("schedule.type", "schedule.name"),
    ("decay", "average.decay schedule.name"), ("num_workers", "threads"), ("normalize", "standardise"),
])  # fmt: skip
def test_a_word_of_other_programs_leads_to_ours(name, ours):
    said = refused(f"{name}=1")
    assert f"there is no setting '{name}'; did you mean {ours.split()[0]!r}" in said
    assert all(repr(one) in said for one in ours.split())


@pytest.mark.rows("name", ["stop", "r3", "qqqq", "foo.bar", "sleep", "ab", "lx", "backward", "rate_limit"])
def test_a_word_far_from_all_is_answered_with_all(name):
    said = refused(f"{name}=1")
    assert "did you mean" not in said and "choose one of name, target" in said


def test_a_slip_in_a_group_leads_to_that_group():
    assert refused("genrator.widths=3").endswith("did you mean 'generator.widths'?")
    assert refused("discriminator_optimiser.rate=3").endswith("did you mean 'discriminator_optimizer.rate'?")


def test_what_is_no_setting_is_answered_with_where_it_is():
    from minigan import cli

    options = {opt for command in cli.cli.commands.values() for param in command.params for opt in param.opts}
    options |= {opt for param in cli.cli.params for opt in param.opts}
    for row in ELSEWHERE:
        named = {word.strip(",:") for word in row.ours.split() if word.startswith("-")}
        assert named <= options, row
        assert row.ours in refused(f"{row.words.split()[0]}=1")
    assert set(OPTIONS) | {"device"} <= {opt.lstrip("-") for opt in options}


def test_a_group_of_others_is_answered_by_what_is_in_it(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[optimizer]\nlr = 0.1\n")
    assert "no setting 'optimizer.lr'; did you mean 'generator_optimizer.rate'" in refused(file=file)
    file.write_text("[critic]\nhidden = [3]\n")
    assert "did you mean 'discriminator.widths'" in refused(file=file)


# ── values


@pytest.mark.rows("key", VALUES)
def test_a_word_for_a_choice_leads_to_one_that_exists(key):
    names = [n for n in fields() if n in (key, f"{key}.name") or n.endswith((f".{key}", f"_{key}.name"))]
    assert names
    for name in names:
        known = {"alpha(0.5,1)", *choices(name)} if key == "objective" else set(choices(name))
        for row in VALUES[key]:
            assert set(row.ours.split()) <= known
            for word in row.words.split():
                said = refused(f"{name}={word}") if word not in choices(name) else repr(row.ours.split()[0])
                assert f"did you mean {row.ours.split()[0]!r}" in said or word in choices(name), (word, said)


@pytest.mark.rows(("text", "value"), [
    ("generator_optimizer.name=Adam", "adam"), ("generator.activation=ReLU", "relu"),
    ("generator.activation=LeakyReLU", "leaky_relu"),
    ("generator.activation=leaky-relu", "leaky_relu"), ("objective=Hinge", "hinge"),
    ("objective=Least-Squares", "least_squares"),
    ("dtype=Float64", "float64"), ("backend=NumPy", "numpy"), ("average.name=EMA", "ema"),
    ("order=Simultaneous", "simultaneous"),
    ("schedule.name=Linear", "linear"), ("latent.distribution=Uniform", "uniform"),
])  # fmt: skip
def test_a_choice_is_taken_in_any_case(text, value, tmp_path):
    name = text.partition("=")[0]
    assert made(text)[name] == value
    file = tmp_path / "c.toml"
    file.write_text(f'{name} = "{text.partition("=")[2]}"\n')
    assert made(file=file)[name] == value
    assert from_json(to_json(resolve(environ={}, sets=[text]))) == resolve(environ={}, sets=[text])


@pytest.mark.rows("name", OBJECTIVES)
def test_the_objective_is_offered_for_a_slip(name):
    assert f"did you mean {name!r}" in refused(f"objective={name}s") or "(" in name


@pytest.mark.rows(("text", "value"), [
    (".5", 0.5), ("5.", 5.0), ("+5", 5.0), ("+.5", 0.5), ("-0", 0.0), ("1e-3", 1e-3), ("1E3", 1000.0),
    ("1.e3", 1000.0), (".5e1", 5.0),
    ("1e+3", 1000.0), ("1_000", 1000.0), ("1_000.5", 1000.5), ("007", 7.0), ("0.10", 0.1), (" 2 ", 2.0),
    ("1.000", 1.0),
])  # fmt: skip
def test_a_number_is_taken_in_every_usual_form(text, value):
    assert made(f"r1={text}")["r1"] == value
    assert resolve(environ={"MINIGAN_R1": text.strip()}).r1 == value
    if value.is_integer() and value > 1 and text != "1.000":
        steps = made(f"steps={text}", "eval_every=1000")["steps"]
        assert steps == value and type(steps) is int
        assert made(f"generator.widths={text},{text}")["generator.widths"] == (value, value)


@pytest.mark.rows(("text", "advice"), [
    ("r1=0,5", "write 0.5 with a point"), ("r1=,5", "write 0.5 with a point"),
    ("r1=1,000", "write 1000, or 1.000 if its comma is a point"),
    ("steps=1,000", "write 1000 without marks"), ("steps=1.000", "write 1000 without marks"),
    ("steps=10'000", "write 10000 without marks"),
    ("steps=1 000", "write 1000 without marks"), ("steps=1.000.000", "write 1000000 without marks"),
    ("steps=10k", "write 10e3"),
    ("steps=1.5M", "write 1.5e6"), ("holdout=20%", "write 0.2 for the share"),
    ("r1=1/2", "write its value"), ("steps=2**8", "write its value"),
    ("steps=10^4", "write 1e4"), ("r1=\u22121", "another character; write -1"),
    ("batch=", "nothing stands behind the ="),
    ("batch==4", "one = is enough"), ("batch=64 steps=9", "a --set of its own"),
    ("batch=64,steps=9", "a --set of its own"),
    ('r1="0.5"', "write 0.5 without quotes"), ("r1='.5'", "write .5 without quotes"),
    ("generator.widths=8x8", "generator.widths=32,32"),
    ("generator.widths=none", "[] for none"), ("generator.widths=8,8,", "generator.widths=32,32"),
])  # fmt: skip
def test_another_number_is_refused_with_how_to_write_it(text, advice):
    assert advice in refused(text)


@pytest.mark.rows("text", ["yes", "Yes", "TRUE", "True", "on", "1", "y"])
def test_yes_and_no_in_every_usual_word(text):
    no = {"yes": "no", "Yes": "No", "TRUE": "FALSE", "True": "False", "on": "off", "1": "0", "y": "n"}[text]
    assert made(f"drop_nonfinite={text}")["drop_nonfinite"] is True
    assert made(f"standardise={no}")["standardise"] is False


def test_none_is_null_where_there_may_be_none():
    for text in ("none", "None", "NULL", "null"):
        assert made(f"latent.size={text}")["latent.size"] is None
    assert "an integer from 1" in refused("threads=none")


def test_columns_that_look_like_numbers_of_another_form_are_names():
    columns = made("data=x.csv", "columns=0,1e3,.5,nan,007,-1")["columns"]
    assert columns == (0, "1e3", ".5", "nan", 7, -1)


def test_a_text_for_a_number_in_a_file_says_so(tmp_path):
    file = tmp_path / "c.json"
    for content, advice in (
        ('{"generator_optimizer": {"rate": "0.1"}}', "write 0.1 without quotes"),
        ('{"steps": "100"}', "write 100 without quotes"),
        ('{"standardise": "yes"}', "write true"), ('{"standardise": 0}', "write false"),
        ('{"schedule": {"name": null}}', "'constant'"),
    ):  # fmt: skip
        file.write_text(content)
        assert advice in refused(file=file)
    file.write_text('{"steps": 1e3, "generator": {"widths": [8.0]}}')
    assert made(file=file)["steps"] == 1000


@pytest.mark.rows(("text", "example"), [
    ("batch", "batch=256"), ("batch 64", "batch=64"), ("batch:64", "batch=64"), ("--batch", "batch=256"),
    ("bs", "batch=256"),
    ("", "steps=1000"), ("=4", "steps=1000"), ("nothing", "steps=1000"),
    ("objective", "objective=non_saturating"),
])  # fmt: skip
def test_a_set_without_a_key_or_a_value_is_shown_how(text, example):
    assert refused(text).endswith(f"write for example --set {example}")
    made(example)


def test_a_set_with_the_dashes_of_an_option_is_taken():
    assert made("--batch=64")["batch"] == 64


# ── files


@pytest.mark.rows(("name", "content", "advice"), [
    ("c.json", '{"steps": 1, // few\n"batch": 4}', "JSON has no comments"),
    ("c.json", '{\n# few\n"steps": 1}', "JSON has no comments"),
    ("c.json", '{"steps": 1,}', "leave out the comma"),
    ("c.json", '{"generator": {"widths": [1, 2,]}}', "leave out the comma"),
    ("c.json", "{'steps': 1}", "double quotes"), ("c.json", '{"standardise": True}', "true, false and null"),
    ("c.json", '{"r1": .5}', "digits around its point"), ("c.json", '{"r1": 5.}', "digits around its point"),
    ("c.json", "steps = 1\n", "name the file .toml"),
    ("c.json", "[generator]\nwidths = [1]\n", "name the file .toml"),
    ("c.json", '{steps: 1}', "double quotes"), ("c.json", '{"objective": hinge}', "double quotes"),
    ("c.toml", '{"steps": 1}', "name the file .json"), ("c.toml", "steps: 1\n", "TOML writes name = value"),
    ("c.toml", "standardise = True\n", "true and false"), ("c.toml", "data = null\n", "no null"),
    ("c.toml", "r1 = .5\n", "around its point"),
    ("c.toml", "r1 = 5.\n", "around its point"), ("c.toml", "objective = hinge\n", "in \"quotes\""),
    ("c.toml", "// few\n", "begin with #"),
    ("c.toml", "r1 = 0,5\n", "a list is in [ ]"), ("c.toml", "steps =\n", "nothing stands behind"),
    ("c.json", '\ufeff{"steps": 1,}', "leave out the comma"), ("c.yaml", "steps: 1\n", "TOML or JSON"),
    ("c.ini", "", "TOML or JSON"),
    ("c.json", '{"steps": 1}'.encode("utf-16"), "save it as UTF-8"),
    ("c.toml", "name = 'ü'".encode("latin-1"), "save it as UTF-8"),
])  # fmt: skip
def test_a_slip_in_a_file_is_named(tmp_path, name, content, advice):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert advice in refused(file=file)


# ── what goes together is checked where the configuration is made


@pytest.mark.rows(("sets", "says"), [
    (["consensus=0.1"], "simultaneous"), (["consensus=0.1", "order=extragradient"], "simultaneous"),
    (["order=simultaneous", "discriminator_steps=2"], "moves once"),
    (["order=extragradient", "generator_steps=2"], "moves once"),
    (["schedule.name=exponential"], "final > 0"), (["generator_optimizer.rate=1e300"], "infinite in float32"),
    (["r1=1e-60"], "0 or infinite in float32"),
    (["discriminator_optimizer.epsilon=1e-60"], "0 or infinite in float32"),
    (["target=normal(1e30, 1)"], "beyond what float64 can judge"),
    (["backend=numpy", "execution=block"], "one of auto, planned, native, recorded on numpy"),
    (["backend=strict", "execution=planned"], "one of auto, launches, block, recorded on strict"),
    (["wgan_gp=1e39"], "infinite in float32"),
    (["packing=3"], "divide the batch"), (["schedule.warmup=9999"], "schedule.warmup"),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_refused_when_they_are_read(sets, says):
    assert says in refused(*sets)


@pytest.mark.parametrize("content", ["steps = 1\nsteps = 2\n", "[average]\n[average]\n"])
def test_what_a_file_gives_twice_is_to_be_written_once(tmp_path, content):
    (tmp_path / "c.toml").write_text(content)
    assert "it was given before; write it once" in refused(file=tmp_path / "c.toml")


def test_what_is_read_can_be_made_into_an_experiment():
    """The other way round: nothing that goes together is refused."""
    for sets in (
        ["consensus=0.1", "order=simultaneous"], ["schedule.name=exponential", "schedule.final=0.1"],
        ["r1=1e-60", "dtype=float64"], ["backend=strict", "execution=recorded"],
        ["packing=2", "unrolled=1", "wgan_gp=1"],
    ):  # fmt: skip
        made(*sets)


def test_networks_beyond_the_memory_are_named(monkeypatch):
    from minigan.training import limits

    monkeypatch.setattr(limits, "available_memory", lambda: 2**28)
    said = refused("method=plain", "generator.widths=65536,65536", "latent.size=7", "packing=2")
    assert "training G 7-65536-65536-1 and D 2-32-32-1 on batches of 256 takes at least" in said


def test_every_default_is_as_people_would_write_it():
    for name, field in fields().items():
        if isinstance(field.default, float):
            assert math.isfinite(field.default)
        found = made(f"{name}={msgspec.json.encode(field.default).decode()}")[name]
        assert found == {"method": "shaped"}.get(name, flatten(Config())[name])  # auto names what it takes
    assert set(DEVICES.values()) <= set(choices("backend"))

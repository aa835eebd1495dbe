"""The method that holds where nothing else is said: which, from where, and that all settings override it."""

import json

import numpy as np

from minigan.training.config import Config, fields, flatten, replace, to_json
from minigan.training.methods import METHODS, SEVERAL, are_even
from minigan.training.settings import from_json, resolve, resolve_with_sources, with_method


def made(*sets, **options):
    return resolve(environ={}, sets=sets, **options)


PLANE = "target=ring(8, 1, 0.01)"


def tuples(settings):
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}


def test_a_method_sets_what_settings_there_are_and_changes_each():
    usual = flatten(Config())
    assert METHODS["plain"] == SEVERAL["plain"] == {} and METHODS.keys() == SEVERAL.keys()
    for name, value in tuples(METHODS["shaped"]).items():
        assert name in fields() and usual[name] != value, name
    for name, value in tuples(SEVERAL["shaped"]).items():
        assert name in fields() and (usual | tuples(METHODS["shaped"]))[name] != value, name


def test_auto_is_shaped_of_one_feature_and_of_several():
    one, two = made(), made(PLANE)
    shaped = tuples(METHODS["shaped"])
    assert flatten(one) == flatten(Config()) | shaped | {"method": "shaped"}
    several = shaped | tuples(SEVERAL["shaped"]) | {"latent.size": 6, "target": "ring(8, 1, 0.01)"}
    assert flatten(two) == flatten(Config()) | several | {"method": "shaped"}
    assert made("method=plain") == replace(Config(), method="plain")
    assert made("method=plain", PLANE) == replace(Config(), method="plain", target="ring(8, 1, 0.01)")
    assert made("method=shaped") == one and made("method=shaped", PLANE) == two
    assert made(PLANE, "latent.size=3").latent.size == 3


def test_every_setting_overrides_the_method_and_says_so():
    for name, value in METHODS["shaped"].items():
        own = flatten(Config())[name]
        config, sources = resolve_with_sources(environ={}, sets=[f"{name}={json.dumps(own).strip(chr(34))}"])
        assert flatten(config)[name] == own and sources[name] == "--set"
        assert all(sources[other] == "method shaped" for other in METHODS["shaped"] if other != name), value


def test_data_wait_for_their_columns():
    config, sources = resolve_with_sources(environ={}, sets=["data=x.csv", "batch=64"])
    assert config.method == "auto" and config == replace(Config(), data="x.csv", batch=64)
    one, origins = with_method(config, sources, 1)
    assert (one.method, one.batch, one.steps) == ("shaped", 64, METHODS["shaped"]["steps"])
    assert (origins["batch"], origins["steps"]) == ("--set", "method shaped")
    several = with_method(config, sources, 2000)[0]
    assert (several.batch, several.latent.size, several.r1) == (64, 1024, SEVERAL["shaped"]["r1"])


def test_a_density_that_is_even_between_two_ends_has_a_latent_with_ends():
    step = "0.5*uniform(0, 1) + 0.5*uniform(1, 2.5)"
    for target, even in {
        "uniform(0, 1)": True, "beta(1.2, 1.1)": True, step: True,
        "beta(2, 5)": False, "exponential(1)": False, "0.5*uniform(0, 1) + 0.5*uniform(2, 3)": False,
        "normal([0], [1])": False, "normal(4, 1.25)": False,
    }.items():  # fmt: skip
        config, sources = resolve_with_sources(environ={}, sets=[f"target={target}"])
        wanted = ("uniform", "method shaped") if even else ("normal", "default")
        assert (config.latent.distribution, sources["latent.distribution"]) == wanted, target
    flat = "target=uniform(0, 1)"
    assert made(flat, "method=plain").latent.distribution == "normal"
    assert made(flat, "latent.distribution=normal").latent.distribution == "normal"
    rng = np.random.default_rng(0)
    u = rng.random((2000, 1))
    assert are_even(u) and are_even(1e308 * u) and not are_even(u[:999]) and not are_even(np.hstack([u, u]))
    assert are_even(1e16 + 100 * u) and not are_even(1e16 + u) and not are_even(np.ones((2000, 1)))
    assert not are_even(rng.standard_normal((2000, 1))) and are_even(1.7e308 * (2 * u - 1))
    config, sources = resolve_with_sources(environ={}, sets=["data=x.csv"])
    found, origins = with_method(config, sources, 1, True)
    assert (found.latent.distribution, origins["latent.distribution"]) == ("uniform", "method shaped")
    assert with_method(config, sources, 2, True)[0].latent.distribution == "normal"


def test_an_order_of_one_step_of_d_can_be_asked_for():
    for order in ("simultaneous", "extragradient"):
        assert made(f"order={order}").discriminator_steps == 1


def test_a_run_older_than_methods_stays_as_it_was(tmp_path):
    stored = json.loads(to_json(Config()))
    del stored["method"], stored["draws"], stored["generator"]["bends"]
    old = replace(Config(), method="plain")
    assert from_json(json.dumps(stored).encode()) == old
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert made(file=tmp_path / "config.json") == old
    (tmp_path / "own.json").write_text('{"batch": 64}')
    assert made(file=tmp_path / "own.json") == replace(made(), batch=64)

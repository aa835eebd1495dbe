"""The presets: each is a valid configuration, and an unknown name is answered with the nearest."""

import pytest

from minigan.errors import ConfigError
from minigan.training.config import Config, flatten
from minigan.training.presets import PRESETS, preset
from minigan.training.settings import resolve, resolve_with_sources


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_resolves_and_names_its_run(name):
    config, sources = resolve_with_sources(preset=name, environ={})
    assert config.name == name
    assert sources["name"] == f"preset {name}"
    assert PRESETS[name].description and "\n" not in PRESETS[name].description


def test_gaussian_is_the_default():
    assert resolve(preset="gaussian", environ={}) == resolve(environ={}) == Config()


def test_presets_differ():
    configs = [tuple(flatten(resolve(preset=name, environ={})).items())[1:] for name in PRESETS]
    assert len(set(configs)) == len(PRESETS)


def test_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="no preset 'narow'; did you mean 'narrow'") as caught:
        preset("narow")
    assert caught.value.exit_code == 2

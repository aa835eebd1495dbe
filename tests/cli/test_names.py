"""A mistyped name is refused with the nearest one, whatever it names; with all of them where none is near."""

import pytest


@pytest.mark.rows(
    ("arguments", "says"),
    [
        (["comprae", "runs"], "there is no command 'comprae'; did you mean 'compare'?"),
        (["zzz"], "there is no command 'zzz'; choose one of animate, bench, compare, completion"),
        (["\x1b[31m"], "there is no command '\\x1b[31m'"),
        (["compare", "runs", "--srot", "ks"], "--sort"),
        (["inspect", "x", "--verfy"], "--verify"),
        (["export", "x", "--npy", "a.npz"], "--npz"),
        (["train", "--detect-anomly"], "--detect-anomaly"),
        (["train", "gausian"], "did you mean 'gaussian'?"),
        (["explain", "gausian"], "did you mean 'gaussian'?"),
        (["train", "--set", "batchs=3"], "did you mean 'batch'?"),
        (["train", "--set", "discriminator_optimizer.rat=3"], "discriminator_optimizer.rate"),
        (["train", "--set", "schedule.name=cosin"], "cosine"),
        (["train", "--dtype", "float3"], "float32"),
        (["train", "--backend", "nmupy"], "numpy"),
        (["train", "--target", "laplac(0, 1)"], "'laplace'"),
        (["gradcheck", "softplu"], "did you mean 'softplus'?"),
        (["completion", "fsh"], "'fish'"),
    ],
)
def test_the_nearest_name_is_offered(minigan_, arguments, says):
    code, out, err = minigan_(*arguments)
    assert code == 2 and out == "" and says in " ".join(err.split()) and len(err.splitlines()) <= 4, err


def test_a_mistyped_key_of_a_file(minigan_, place):
    (place / "a.toml").write_text("batchs = 3\n")
    code, _, err = minigan_("train", "a.toml")
    assert code == 2 and "did you mean 'batch'?" in err


def test_an_option_before_the_command_is_no_mistyped_command(minigan_):
    assert minigan_("--no-color", "presets")[0] == 0
    code, _, err = minigan_("--no-colour", "presets")
    assert code == 2 and "--no-color" in err

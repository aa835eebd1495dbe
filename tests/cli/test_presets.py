"""presets: every one is listed; that each resolves is in tests/training/test_presets.py."""


def test_presets_are_listed_under_the_names_that_train_takes(minigan_, one_object):
    code, out, _ = minigan_("presets")
    listed = [line.split()[0] for line in out.splitlines()]
    assert (
        code == 0
        and "gaussian" in listed
        and list(one_object(minigan_("presets", "--json")[1])["presets"]) == listed
    )
    for name in (listed[0], listed[-1]):
        assert minigan_("train", name, "--print-config")[0] == 0

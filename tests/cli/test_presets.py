"""presets: every one is listed and resolves."""


def test_presets_are_listed_and_every_one_resolves(minigan_, one_object):
    code, out, _ = minigan_("presets")
    listed = [line.split()[0] for line in out.splitlines()]
    assert (
        code == 0
        and "gaussian" in listed
        and list(one_object(minigan_("presets", "--json")[1])["presets"]) == listed
    )
    for name in listed:
        assert minigan_("train", name, "--print-config")[0] == 0

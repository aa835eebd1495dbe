"""gradcheck: all primitives, named ones, and a wrong derivative that is planted."""


def test_gradcheck_of_everything(minigan_):
    from minigan.engine.primitives import PRIMITIVES

    code, out, err = minigan_("gradcheck")
    assert code == 0 and err == "" and "WRONG" not in out
    assert [line.split()[0] for line in out.splitlines()[:-2]] == list(PRIMITIVES)
    assert f"{len(PRIMITIVES)} of {len(PRIMITIVES)} primitives agree" in out


def test_gradcheck_of_named_ones(minigan_, one_object):
    code, out, _ = minigan_("gradcheck", "tanh", "matmul", "--order", 1, "--json")
    result = one_object(out)
    assert (
        code == 0
        and result["ok"]
        and result["order"] == 1
        and list(result["primitives"]) == ["tanh", "matmul"]
    )


def test_gradcheck_finds_a_planted_error(minigan_, monkeypatch, one_object):
    import dataclasses

    from minigan.engine.primitives import PRIMITIVES
    from minigan.engine.tensor import Primitive

    right = PRIMITIVES["tanh"]
    vjps = tuple(
        (lambda g, y, *xs, vjp=vjp, **params: 1.001 * vjp(g, y, *xs, **params)) for vjp in right.vjps
    )
    wrong = (
        dataclasses.replace(right, vjps=vjps)
        if dataclasses.is_dataclass(right)
        else Primitive(right.name, right.kernel, *vjps)
    )
    monkeypatch.setitem(PRIMITIVES, "tanh", wrong)
    code, out, _ = minigan_("gradcheck", "tanh", "exp")
    assert code == 1 and "tanh           WRONG: tanh: derivative" in out and "1 of 2 primitives agree" in out
    code, out, _ = minigan_("gradcheck", "tanh", "exp", "--json")
    assert code == 1 and not one_object(out)["ok"]

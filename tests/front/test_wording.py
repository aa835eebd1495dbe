"""Messages as a script has them."""

import pytest

from minigan.errors import ConfigError
from minigan.front.wording import as_python, for_scripts

SAID = {
    "Use smaller rates: --set generator_optimizer.rate=0.005 --set discriminator_optimizer.rate=5e-3.":
        "Use smaller rates: generator_optimizer__rate=0.005 discriminator_optimizer__rate=5e-3.",
    "or keep them together with --set holdout=0": "or keep them together with holdout=0",
    "if line 1 has the names, --set header=true; no": "if line 1 has the names, header=True; no",
    "as --set columns=a,b,…": 'as columns=["a", "b", …]',
    "write --set 'columns=[\"2024\"]', or that": 'write columns=["2024"], or that',
    "--set objective=hinge": 'objective="hinge"',
    "--set widths=[]": "widths=[]",
    "and Run.resume() --detect-anomaly names": "and Run.resume(detect_anomaly=True) names",
    "it goes on with --resume runs/a": 'it goes on with mg.load("runs/a").resume()',
    "and --resume runs/a --detect-anomaly": 'and mg.load("runs/a").resume(detect_anomaly=True)',
    "or add --allow-drift": "or add allow_drift=True",
    "(--at 40)": "(at=40)",
    "--at best": 'at="best"',
    "or use --backend numpy": 'or use backend="numpy"',
    "--data a.csv": 'data="a.csv"',
    "did you mean 'a' or 'b' (train --lr sets both)?": "did you mean 'a' or 'b' (lr sets both)?",
    "write minigan train ring8, or its": 'write mg.fit("ring8"), or its',
    "write minigan train --target 'normal(0, 10)'": "write mg.fit('normal(0, 10)')",
    "did you mean 'objective' (train --objective NAME)?": "did you mean 'objective'?",
    "write for example generator.widths=32,32, or": "write for example generator__widths=[32, 32], or",
    "write generator.widths=[8, 8]": "write generator__widths=[8, 8]",
    "(a list, as 64,64: the units)": "(a list, as [64, 64]: the units)",
    "nothing of this: 3 -n -- x=1": "nothing of this: 3 -n -- x=1",
}  # fmt: skip


def test_spellings_of_the_command_line_become_arguments():
    assert {said: as_python(said) for said in SAID} == SAID


def test_a_refusal_keeps_its_kind_and_what_it_carries():
    @for_scripts
    def refuse():
        """Refuses."""
        error = ConfigError("write --set batch=4")
        error.run = "kept"
        raise error

    with pytest.raises(ConfigError, match="^write batch=4$") as caught:
        refuse()
    assert caught.value.run == "kept" and refuse.__doc__ == "Refuses."

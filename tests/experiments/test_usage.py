"""Help: the flags of most runs, or all of them by room."""

import pytest

from experiments import fields, usage
from experiments.config import ROOM_OF, ROOMS
from hasa_jax import METHODS
from tests.support.scripts import run


@pytest.mark.parametrize("flag", ["--help", "-help", "--helpshort"])
def test_short_help_has_the_flags_of_most_runs(flag):
    done = run("compare", "--num_rounds=0", flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Methods, or policies of one method, times matched seeds")
    knobs = [each for room in ROOMS.values() for each in fields.knobs(room).items()]
    for name, knob in knobs:
        assert (f"\n  --{name}" in done.stdout) == knob.common
    assert "  --budget=0.5\n" in done.stdout
    assert "--helpfull" in done.stdout


def test_full_help_has_every_flag_and_what_the_methods_are():
    text = usage.usage("What it does.\n", full=True)
    for name in ROOM_OF:
        assert f"\n  --{name}" in text
    for name in METHODS:
        assert f"\n  {name}: " in text
    assert [text.index(f"\n{room}: ") for room in ROOMS] == sorted(
        text.index(f"\n{room}: ") for room in ROOMS
    )
    assert "--levels=1,0.5,0.25,0.125,0.0625\n" in text
    assert "--deterministic_ops=true\n" in text
    assert "`" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_help_names_the_script_as_it_was_started():
    about = "It trains: `python -m experiments.train --method=hasa`."
    for name, shown in (("/usr/bin/hasa-train", "`hasa-train --"), ("train.py", "`python -m exp")):
        assert shown in usage.asked_for([name, "--help"], about)
        assert not usage.asked_for([name, "--num_rounds=2"], about)

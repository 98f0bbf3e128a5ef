"""Bad input ends in one clear line and exit status 2; nothing that was there is lost."""

import re

import pytest

from tests.support.bad_inputs import CASES, OWN_PROCESS
from tests.support.scripts import run, run_process, small


@pytest.mark.parametrize("case", CASES)
def test_bad_input_ends_in_one_line(case, tmp_path, record_property):
    script, make, expected = CASES[case]
    made = make(tmp_path)
    own = small(*made) if script in ("train", "compare") else []
    arguments = [*own, f"--workdir={tmp_path / 'fresh'}", *made]
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    done = (run_process if case in OWN_PROCESS else run)(script, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    # What the user should change is named as a flag.
    assert not re.search(r"`\w+`", line)
    # No result is shown; only what a run would need may be.
    assert all(shown.startswith("memory of ") for shown in done.stdout.splitlines())
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {p: content for p, content in after.items() if p in before} == before
    record_property("bad input", [case, line.replace(str(tmp_path), "...")])


def test_there_are_enough_of_them():
    assert len(CASES) == 214
    assert len(OWN_PROCESS) == 20
    assert set(CASES) >= OWN_PROCESS

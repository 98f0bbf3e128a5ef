"""What a run says of its memory, against the peak of its process."""

import re
import subprocess
import sys

import pytest

from tests.support.scripts import ROOT, VECTORS, environment_of

UNITS = {"MiB": 2**20, "GiB": 2**30}
MEASURED = """
import pathlib, runpy
try:
    runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
finally:
    print(pathlib.Path("/proc/self/status").read_text())
"""
# The peak of the process itself: that of `getrusage` begins with its parent's.
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "arrays"),
    [
        pytest.param([], 2**20, marks=pytest.mark.slow),
        pytest.param(
            ["--hidden_dim=1024", "--layers=3", "--client_optimizer=adam"],
            2**26,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_peak_is_about_what_was_said(options, arrays, tmp_path):
    """The bounds are wide, for other machines; BUILD_NOTES has the figures of one."""
    script = [sys.executable, "-c", MEASURED, *VECTORS, *options]
    script += [f"--workdir={tmp_path}", "--compilation_cache="]
    done = subprocess.run(
        script,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment_of(quick=False),
        check=True,
    )
    said = re.search(r"memory of the process: about ([\d.]+) (\wiB) at most = ", done.stdout)
    of_arrays = re.search(r"1 x ([\d.]+) (\wiB) for arrays of devices", done.stdout)
    peak = 1024 * int(PEAK.search(done.stdout)[1])
    said, of_arrays = (float(found[1]) * UNITS[found[2]] for found in (said, of_arrays))
    assert 0.6 < said / peak < 1.7
    assert (of_arrays > arrays) == bool(options)

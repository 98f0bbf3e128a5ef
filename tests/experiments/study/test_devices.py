"""JAX starts on its platform, or the script ends in one line."""

import jax
import pytest

from experiments.study import devices
from hasa_jax import UserError
from tests.support import forks
from tests.support.scripts import ROOT, VECTORS, environment_of, run

STARTING = ("compare", "partition_report", "time_executions", "train")
"""Scripts that start JAX; `need` does, too, after it has read two workdirs."""


def fail(error):
    def raising():
        raise error

    return raising


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AssertionError(), "(not there)"),
        (
            RuntimeError(
                "Unable to initialize backend 'cuda': no driver. (set JAX_PLATFORMS='' to "
                "automatically choose an available backend)\nmore"
            ),
            "(Unable to initialize backend 'cuda': no driver)",
        ),
    ],
)
@pytest.mark.parametrize("script", STARTING)
def test_a_platform_that_cannot_start_is_one_line(script, error, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "devices", fail(error))
    done = run(script, *VECTORS, f"--workdir={tmp_path / 'w'}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: JAX cannot start on JAX_PLATFORMS=")
    assert reason in line
    assert "set it to cpu, or leave it out" in line


def test_a_platform_that_there_is_not(tmp_path):
    environment = {**environment_of(), "JAX_PLATFORMS": "nonsense", "JAX_NUM_CPU_DEVICES": "1"}
    command = [*VECTORS, f"--workdir={tmp_path}"]
    done = forks.Process("train", command, cwd=ROOT, environment=environment).wait()
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "JAX cannot start on JAX_PLATFORMS=nonsense (" in line


def test_a_platform_that_starts():
    devices.start()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jax, "devices", fail(OSError("no such library")))
        with pytest.raises(UserError, match="no such library"):
            devices.start()

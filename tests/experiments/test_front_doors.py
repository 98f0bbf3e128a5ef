"""The scripts by their names: short, and run as users run them."""

import importlib
import json
import subprocess
import sys
import tomllib

import pytest

from tests.support.scripts import ROOT, SMALL, VECTORS, environment_of, records_of, run, run_process

SCRIPTS = (
    "advise",
    "benchmark",
    "by_size",
    "compare",
    "coverage",
    "hypotheses",
    "need",
    "partition_report",
    "plots",
    "rebuild",
    "report",
    "sweep",
    "tables",
    "testbed",
    "time_executions",
    "train",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_front_door_is_short_and_does_one_thing(script):
    path = ROOT / "experiments" / f"{script}.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40
    module = importlib.import_module(f"experiments.{script}")
    assert f"python -m experiments.{script}" in module.__doc__
    assert module.main.__doc__
    assert module.start.__doc__


def test_installed_names_start_front_doors():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, target in project["scripts"].items():
        assert target == f"experiments.{name.removeprefix('hasa-')}:start"
        assert target.removeprefix("experiments.").removesuffix(":start") in SCRIPTS


def test_there_are_no_other_front_doors():
    doors = {
        path.stem
        for path in (ROOT / "experiments").glob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }
    assert doors == set(SCRIPTS)


def test_a_command_as_a_user_types_it():
    command = [sys.executable, "-m", "experiments.time_executions", "--help"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Seconds of a round, masked against sliced")


def test_data_decide_the_model(tmp_path):
    decided = [argument for argument in VECTORS if not argument.startswith("--model=")]
    done = run("train", *decided, "--num_rounds=1", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (record,) = records_of(tmp_path / "summary.csv")
    assert 0 <= float(record["mean_accuracy"]) <= 1
    manifest = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert manifest["config"]["model"]["model"] == "mlp"


@pytest.mark.slow
def test_modes_of_execution_are_timed():
    done = run_process("time_executions", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "sliced / masked: " in done.stdout
    assert "largest difference" in done.stdout


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    command = (
        f"{sys.executable} -m experiments.train --workdir={tmp_path} {' '.join(SMALL)} | head -c 1"
    )
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment_of(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert (tmp_path / "table.md").exists()

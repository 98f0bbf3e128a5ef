"""Trackers of a study: each shows what summary.csv has, also after a stop, and loses no run."""

import json
import shutil
import sys

import pytest

from hasa_jax.simulation.tracking import STORES
from hasa_jax.simulation.tracking.numbers import numbers_of, run_name
from tests.support import read_back
from tests.support.scripts import VECTORS, records_of, run, run_process

COMPARE = (*VECTORS, "--policies=uniform,hasa", "--num_seeds=2", "--seeds_per_program=2")


def expected(folder):
    """What trackers must hold of a workdir, by run and round."""
    found = {}
    for name in ("summary", "timings"):
        for record in records_of(folder / f"{name}.csv"):
            own = found.setdefault(run_name(_typed(record)), {})
            own.setdefault(int(record["round"]), {}).update(numbers_of(_numbered(record)))
    return found


def _typed(record):
    return {**record, "seed": int(record["seed"]), "fold": int(record["fold"])}


def _numbered(record):
    arm = ("method", "policy", "extraction", "aggregation")
    return {name: value if name in arm else float(value) for name, value in record.items()}


def assert_equal(name, folder, relative):
    runs = (
        read_back.READERS[name] if name == "tensorboard" else lambda f: read_back.read(name, f)
    )(folder / name)
    wanted = expected(folder)
    if name == "tensorboard":
        wanted = {key.replace(" ", "."): own for key, own in wanted.items()}
    assert {own.name for own in runs} == set(wanted)
    for own in runs:
        assert sorted(own.rounds) == sorted(wanted[own.name])
        for round, numbers in own.rounds.items():
            # CSV has milliseconds.
            near = {
                key: pytest.approx(value, rel=relative, abs=6e-4 if "seconds" in key else 0)
                for key, value in wanted[own.name][round].items()
            }
            assert numbers == near
        assert own.parameters["method"] == "hasa"
        assert float(own.parameters["client_lr"]) == 0.1


@pytest.mark.slow
def test_tensorboard_has_a_run_for_each_arm_and_seed(tmp_path):
    """Two seeds share a program; more policies, rounds and seeds go on with the same runs."""
    read_back.need("tensorboard")
    given = ("compare", *COMPARE, f"--workdir={tmp_path}", "--tracker=csv,tensorboard")
    for more in (
        ("--num_rounds=1", "--policies=uniform"),
        ("--num_rounds=1",),
        ("--num_rounds=2",),
        ("--num_rounds=2", "--num_seeds=4"),
    ):
        done = run(*given, *more)
        assert (done.returncode, done.stderr) == (0, "")
        assert "beside" not in done.stdout
    assert "arm 2 of 2" in done.stdout
    assert_equal("tensorboard", tmp_path, 1e-6)
    assert "trackers" not in json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_each_tracker_has_what_the_workdir_has(name, tmp_path, monkeypatch):
    read_back.need(name)
    for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    for rounds in (1, 2):
        done = run_process(
            *("compare", *COMPARE, f"--workdir={tmp_path}", f"--tracker={name}"),
            f"--num_rounds={rounds}",
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert_equal(name, tmp_path, 1e-12)


def test_a_broken_tracker_is_counted_in_run_json(tmp_path, monkeypatch):
    class Broken:
        def open(self, *arguments):
            raise OSError("no space left")

        def close(self):
            pass

    monkeypatch.setitem(STORES, "tensorboard", Broken)
    done = run("train", *VECTORS, f"--workdir={tmp_path}", "--tracker=tensorboard")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line.startswith("warning: tensorboard")]
    assert len(lines) == 2
    assert lines[1].startswith("warning: tensorboard misses 2 evaluations (no space left)")
    known = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert known["trackers"] == {"tensorboard": {"missed": 2, "why": "no space left"}}
    assert len(records_of(tmp_path / "summary.csv")) == 2
    # The same command adds them.
    monkeypatch.undo()
    read_back.need("tensorboard")
    done = run("train", *VECTORS, f"--workdir={tmp_path}", "--tracker=tensorboard")
    assert "warning" not in done.stdout
    assert_equal("tensorboard", tmp_path, 1e-6)


@pytest.mark.slow
def test_a_workdir_that_was_emptied_gets_tracked_runs_of_its_own(tmp_path):
    """All but the folder of the tracker was removed: two runs are never one curve."""
    read_back.need("tensorboard")
    given = ("train", *VECTORS, f"--workdir={tmp_path}", "--tracker=tensorboard", "--num_rounds=1")
    assert "beside" not in run(*given).stdout
    for path in tmp_path.iterdir():
        if path.name == "checkpoints":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    lines = run(*given).stdout.splitlines()
    (said,) = (line for line in lines if "beside" in line)
    assert said.startswith("tensorboard has 'hasa hasa prefix full seed 000' of an earlier start")
    known = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert known["trackers"] == {"tensorboard": {"beside_earlier": 1}}
    found = read_back.READERS["tensorboard"](tmp_path / "tensorboard")
    assert [sorted(own.rounds) for own in found] == [[1], [1]]
    # More rounds go on with the second one.
    assert "beside" not in run(*given[:-1]).stdout
    found = read_back.READERS["tensorboard"](tmp_path / "tensorboard")
    assert [sorted(own.rounds) for own in found] == [[1], [1, 2]]


def test_a_missing_package_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    folder = tmp_path / "run"
    done = run("train", *VECTORS, f"--workdir={folder}", "--tracker=csv,wandb")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --tracker wandb is not installed (")
    assert done.stderr.endswith("pip install 'hasa_jax[wandb]'\n")
    assert done.stderr.count("\n") == 1
    assert not folder.exists()


def test_unknown_trackers_are_refused():
    done = run("train", *VECTORS, "--tracker=comet")
    assert done.stderr == (
        "error: --tracker is 'comet': use one of csv, mlflow, tensorboard, wandb\n"
    )

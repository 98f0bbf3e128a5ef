"""A benchmark from end to end on tiny data: shards, going on, a method of one's own."""

import itertools
import signal

import pytest

from experiments.analysis import suite_table
from tests.support.scripts import records_of, run, start_process

NUMBERS = itertools.count()
TASKS = """
[points]
title = "Points, net"
files = []

[[points.left_out]]
arm = "scalefl"
why = "it has one exit"

[points.config]
dataset = "synthetic_images"
model = "mlp"
num_images = 120
image_size = 4
num_classes = 3
num_clients = 4
hidden_dim = 4
norm = "layer"
client_optimizer = "sgd"
client_lr = 0.1
num_rounds = 2
eval_every = 1
"""
SUITE = """
tasks = "tasks.toml"
first_seed = 0
num_seeds = 2
reference = "fedavg:uniform"

[config]
budget_unit = "macs"
budget_projection = "exact"
w_max = 1.0
execution = "masked"

[[arms]]
about = "methods"
budgets = [0.5]
methods = ["fedavg:uniform", "fedrolex", "scalefl"]
"""
OWN = """
import dataclasses
import hasa_jax as hj

def mine():
    return dataclasses.replace(hj.methods.fjord(), name="mine", summary="mine")

def exits():
    return dataclasses.replace(hj.methods.scalefl(), name="exits", summary="needs exits")
"""


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "tasks.toml").write_text(TASKS, encoding="utf-8")
    return [
        f"--suite={tmp_path / 'tiny.toml'}",
        f"--workdir={tmp_path / 'w'}",
        "--mesh=clients:1",
    ]


def files(folder):
    """Content of the tables, whose bytes must not depend on how a benchmark ran."""
    names = (suite_table.TEXT, suite_table.NUMBERS)
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


@pytest.mark.slow
def test_shards_go_on_and_ones_own_method_joins(flags, tmp_path, monkeypatch):
    done = run("benchmark", *flags, "--dry_run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "missing task=points, budget=0.5, seed=1" in done.stdout
    assert "does not apply: scalefl on points: it has one exit" in done.stdout
    assert not (tmp_path / "w").exists()
    done = run("benchmark", *flags, "--shard=1/2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of the 2 runs are of shard 1/2" in done.stdout
    assert "2 runs: 1 done, 1 missing." in done.stdout
    done = run("benchmark", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert "run 1 of 1, compare: task=points, budget=0.5, seed=1" in done.stdout
    lines = records_of(tmp_path / "w" / "benchmark.csv")
    first = [lines[0][name] for name in ("arm", "seeds", "verdict")]
    assert first == ["fedavg:uniform", "2", "reference"]
    assert lines[-1]["verdict"] == "does not apply: it has one exit"
    assert (tmp_path / "w" / "benchmark.png").stat().st_size > 1000
    name = f"own_of_benchmark_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "w").glob("*/checkpoints/fedavg*/*")}
    assert before
    done = run("benchmark", *flags, f"--own_method={name}:mine")
    assert (done.returncode, done.stderr) == (0, "")
    arms = [line["arm"] for line in records_of(tmp_path / "w" / "benchmark.csv")]
    assert arms == ["fedavg:uniform", "fedrolex:uniform", "mine:uniform", "scalefl"]
    # Nothing that was there ran again.
    assert {p: p.stat().st_mtime_ns for p in before} == before
    # A method that cannot run on the task takes no other arm away.
    done = run("benchmark", *flags, f"--own_method={name}:exits")
    assert done.returncode == 2
    found = {r["arm"]: r for r in records_of(tmp_path / "w" / "benchmark.csv")}
    assert [found[arm]["seeds"] for arm in ("fedavg:uniform", "fedrolex:uniform")] == ["2", "2"]
    assert found["exits:uniform"]["seeds"] == "0"
    text = " ".join((tmp_path / "w" / "benchmark.md").read_text(encoding="utf-8").split())
    assert "failed: task=points, budget=0.5, seed=0 (" in text
    # Without the method, the table is as it was.
    done = run("benchmark", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert records_of(tmp_path / "w" / "benchmark.csv") == lines


@pytest.mark.slow
def test_a_killed_benchmark_ends_as_one_that_was_not(flags, tmp_path):
    whole = [*flags, f"--workdir={tmp_path / 'whole'}"]
    assert run("benchmark", *whole).returncode == 0
    process = start_process("benchmark", *flags)
    process.wait_for("run 2 of 2")
    process.send(signal.SIGKILL)
    process.wait()
    done = run("benchmark", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "w") == files(tmp_path / "whole")


def test_a_wrong_command_ends_in_one_line(flags, tmp_path):
    for arguments, words in (
        (["--num_rounds=3"], "--num_rounds is fixed by the suite"),
        (["--suite=large"], "--suite=large: there is no such suite"),
        (["--own_method=nowhere:f"], "there is no module 'nowhere'"),
        (["--workdir="], "name it with --workdir"),
        (["--suite=small", f"--data_dir={tmp_path}"], "task titles needs medium/medium_data.csv"),
    ):
        done = run("benchmark", *flags, *arguments)
        assert done.returncode == 2, arguments
        (line,) = done.stderr.splitlines()
        assert words in line

"""How long a user waits: when a command printed its first result, and when it ended."""

import itertools
import os
import pathlib
import sys

import pytest

from benchmarks import first_row
from benchmarks.processes import ProcessError

ROW = "hasa (hasa)  seed 0  round 1  mean 27.60%  worst 0.00%"


def waited(tmp_path, program):
    """Runs a program of Python as if it were a study."""
    return first_row.wait_for([sys.executable, "-c", program], tmp_path, os.environ)


def test_seconds_to_the_first_result_and_to_the_end(monkeypatch, tmp_path):
    # A clock that goes on by a second whenever it is read.
    ticks = itertools.count()
    monkeypatch.setattr(first_row.time, "perf_counter", lambda: float(next(ticks)))
    lines = ["memory of the process: 1 GiB", ROW, ROW.replace("round 1", "round 2"), "results: x"]
    assert waited(tmp_path, f"print(*{lines!r}, sep='\\n')") == first_row.Waited(1.0, 2.0)


@pytest.mark.parametrize(
    ("program", "status"),
    [
        (f"print({ROW!r}); raise SystemExit(3)", 3),
        ("print('round 1, mean of seed 0')", 1),
    ],
    ids=["fails", "has no result"],
)
def test_a_run_without_a_result_is_no_measurement(tmp_path, program, status):
    with pytest.raises(ProcessError) as caught:
        waited(tmp_path, program)
    assert caught.value.status == status


@pytest.mark.parametrize(("cache", "runs"), [("cold", 2), ("warm", 3)])
def test_a_warm_run_follows_one_that_fills_the_cache(monkeypatch, tmp_path, cache, runs):
    seen = []

    def wait_for(command, root, env):
        flags = dict(flag.split("=", 1) for flag in command if flag.startswith("--"))
        seen.append(flags)
        assert (root, env["PYTHONPATH"]) == (tmp_path, str(tmp_path))
        assert not list(pathlib.Path(flags["--workdir"]).iterdir())
        return first_row.Waited(10.0 - len(seen), 20.0)

    monkeypatch.setattr(first_row, "wait_for", wait_for)
    record = first_row.measure("sliced", cache, tmp_path, repeats=2)
    assert len({flags["--workdir"] for flags in seen}) == len(seen) == runs
    folders = {flags["--compilation_cache"] for flags in seen}
    assert len(folders) == 1
    assert (folders == {""}) == (cache == "cold")
    # The run that fills the cache is not counted.
    assert record["first_row"] == [10.0 - runs + 1, 10.0 - runs]
    assert first_row.line(record).startswith(f"sliced, {cache}: {10.5 - runs:.2f} s (least ")


def test_one_cache_or_both():
    assert first_row.arguments([]).caches == ["cold", "warm"]
    assert first_row.arguments(["--warm"]).caches == ["warm"]
    assert first_row.arguments(["--workload=cnn,demo"]).workload == ["cnn", "demo"]
    with pytest.raises(SystemExit):
        first_row.arguments(["--workload=none"])


def test_commands_are_flags_that_there_are(monkeypatch, tmp_path):
    from experiments.flags import config_from_flags

    monkeypatch.chdir(pathlib.Path(first_row.__file__).parents[1])
    for workload in first_row.WORKLOADS:
        _, _, module, *flags = first_row.command_of(workload, tmp_path, "cold")
        assert module == "experiments.compare"
        config, _ = config_from_flags([module, *flags])
        assert config.execution.compilation_cache == ""

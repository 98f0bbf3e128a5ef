"""Sweeps: shards that meet in one folder, runs that go on, runs that fail, signals."""

import json
import shutil
import signal

import pytest

from experiments.flags import config_from_flags
from experiments.study import sweep_states, workdir
from experiments.study.sweep_points import sweep_of
from experiments.study.sweep_states import State, state_of
from tests.support.scripts import VECTORS, records_of, run, start_process

TINY = [*VECTORS, "--num_rounds=1"]
RATES = "--vary=client_lr=0.1,0.01"


def made(*arguments):
    return sweep_of(*config_from_flags(["sweep", *map(str, arguments)]))


def times(folder):
    """When every file was written, without the tables that all shards write."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.stem != "sweep")
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished sweep of two points on two seeds, run by two shards."""
    folder = tmp_path_factory.mktemp("sweep") / "s"
    flags = [*TINY, RATES, "--num_seeds=2", f"--workdir={folder}"]
    first = run("sweep", *flags, "--shard=1/2")
    assert (first.returncode, first.stderr) == (0, "")
    before = times(folder)
    assert len({p.parent for p in before if p.name == "run.json"}) == 2
    # The table of the first shard says what is missing.
    states = [line["state"] for line in records_of(folder / "sweep.csv")]
    assert states == ["begun", "begun"]
    assert "4 runs: 2 done, 2 missing." in first.stdout
    assert "missing: client_lr=0.1, seed=1; client_lr=0.01, seed=1." in first.stdout
    second = run("sweep", *flags, "--shard=2/2")
    assert (second.returncode, second.stderr) == (0, "")
    # The second did not touch what the first had written.
    assert {p: time for p, time in times(folder).items() if p in before} == before
    return folder, flags


def test_shards_of_one_folder_are_a_sweep(finished):
    folder, flags = finished
    lines = records_of(folder / "sweep.csv")
    assert [(line["client_lr"], line["state"], line["seeds"]) for line in lines] == [
        ("0.1", "done", "2"), ("0.01", "done", "2"),
    ]  # fmt: skip
    assert {state_of(own) for own in made(*flags).runs} == {State("done")}
    assert not list(folder.glob(".sweep.*"))


def test_a_run_of_a_sweep_is_that_of_its_own_command(finished, tmp_path):
    folder, _ = finished
    done = run("train", *TINY, "--client_lr=0.01", "--seed=1", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    for name in ("metrics.csv", "summary.csv", "table.md"):
        own = folder / "client_lr=0.01+seed=1" / name
        assert own.read_bytes() == (tmp_path / name).read_bytes()
    one, other = (
        json.loads((at / "run.json").read_text(encoding="utf-8"))["config"]
        for at in (folder / "client_lr=0.01+seed=1", tmp_path)
    )
    assert one == other


def test_what_is_done_does_not_run_again(finished):
    folder, flags = finished
    before = times(folder)
    done = run("sweep", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert "run 1 of" not in done.stdout
    assert "4 of the 4 runs are of shard 1/1; 4 of them are done" in done.stdout
    assert times(folder) == before


def test_a_dry_run_lists_the_runs_of_a_share_and_writes_nothing(finished, tmp_path):
    _, flags = finished
    done = run("sweep", *flags, "--dry_run", "--shard=2/2", "--vary=client_optimizer=sgd,adam")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len([line for line in lines if line.startswith("missing ")]) == 4
    assert lines[-1] == "4 of the 8 runs are of shard 2/2"
    done = run("sweep", *flags, "--dry_run")
    assert done.stdout.startswith("done    client_lr=0.1, seed=0 (train) in ")
    assert "4 runs: 4 done." in done.stdout
    done = run("sweep", *TINY, f"--workdir={tmp_path / 'none'}", "--dry_run")
    assert done.returncode == 0
    assert not (tmp_path / "none").exists()


def test_a_sweep_grows_by_values_and_seeds(finished, tmp_path):
    folder, flags = finished
    copy = shutil.copytree(folder, tmp_path / "s")
    more = made(*flags, "--vary=client_momentum=,0.5", "--num_seeds=3", f"--workdir={copy}")
    # Points of other fields are other points.
    assert {state_of(own).what for own in more.runs} == {"missing"}
    more = made(*TINY, "--vary=client_lr=0.01,1,0.1", "--num_seeds=3", f"--workdir={copy}")
    assert [state_of(own).what for own in more.runs] == [
        "done", "done", "missing", "missing", "missing", "missing", "done", "done", "missing",
    ]  # fmt: skip
    rounds = made(*flags, "--num_rounds=2", f"--workdir={copy}")
    assert {state_of(own).what for own in rounds.runs} == {"begun"}


def test_a_bad_run_is_one_line_and_the_others_run(tmp_path):
    flags = [*TINY, "--vary=client_lr=0.1", "--num_seeds=1", f"--workdir={tmp_path}"]
    bad = ["--vary=corruption=nan,", "--corrupted=0.3"]
    done = run("sweep", *flags, *bad)
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith("error: client_lr=0.1, corruption=nan, seed=0: client ")
    assert "--drop_nonfinite" in first
    assert last.startswith("error: 1 of the 2 runs of this shard failed")
    assert [line["state"] for line in records_of(tmp_path / "sweep.csv")] == ["failed", "done"]
    # Another shard, or another day, knows why.
    one, other = made(*flags, *bad).runs
    assert state_of(one).what == "failed"
    assert first.endswith(state_of(one).reason)
    assert state_of(other) == State("done")
    assert "1 done, 1 failed." in done.stdout
    # With a remedy, the same point runs, and the reason is gone.
    sweep_states.end(other, "an old reason")
    assert state_of(other) == State("done")
    sweep_states.end(one, "")
    assert state_of(one).what == "begun"


def test_what_ended_badly_comes_last(tmp_path, monkeypatch):
    """A run that kills its process must not keep the others from running."""
    ran = []

    def train(config, given):
        ran.append(config.comparison.seed)

    monkeypatch.setattr("experiments.study.run.train", train)
    flags = [*TINY, "--num_seeds=4", f"--workdir={tmp_path}"]
    killed, failed, *_ = made(*flags).runs
    sweep_states.begin(killed)  # As a process leaves it that is killed.
    sweep_states.end(failed, "a reason")
    assert run("sweep", *flags).returncode == 0
    assert ran == [2, 3, 0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.csv", "sweep.md"]


def test_a_fault_of_the_code_ends_one_run(tmp_path, monkeypatch):
    def broken(config, given):
        raise AssertionError("no such unit")

    monkeypatch.setattr("experiments.study.run.train", broken)
    done = run("sweep", *TINY, "--num_seeds=2", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.count("AssertionError: no such unit") == 2
    assert "error: seed=1: a fault of the code, AssertionError: see above" in done.stderr
    assert "error: 2 of the 2 runs of this shard failed" in done.stderr.splitlines()[-1]


def test_a_workdir_of_another_run_is_left_as_it_is(finished, tmp_path):
    folder, flags = finished
    copy = shutil.copytree(folder, tmp_path / "s")
    before = times(copy)
    others = [*flags, "--batch_size=3", f"--workdir={copy}"]
    assert {state_of(own).what for own in made(*others).runs} == {"failed"}
    done = run("sweep", *others, "--shard=1/4")
    assert done.returncode == 2
    assert " there, 3 here): name another" in done.stderr
    assert {p: t for p, t in times(copy).items() if p in before} == before


@pytest.mark.slow
def test_a_run_that_another_process_has_is_left_to_it(tmp_path):
    flags = [*TINY, "--num_seeds=1", f"--workdir={tmp_path}"]
    (own,) = made(*flags).runs
    own.folder.mkdir()
    with workdir.reserved(own.folder):
        done = run("sweep", *flags)
    assert done.returncode == 2
    assert "another process runs in workdir" in done.stderr
    assert run("sweep", *flags).returncode == 0
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".error"] == []


def test_damaged_results_are_a_failed_run(finished, tmp_path):
    folder, flags = finished
    copy = shutil.copytree(folder, tmp_path / "s")
    (copy / "client_lr=0.1+seed=0" / "run.json").write_text("{", encoding="utf-8")
    (copy / "client_lr=0.1+seed=1" / "metrics.csv").write_text("a\n1\n", encoding="utf-8")
    done = run("sweep", *flags, f"--workdir={copy}", "--dry_run")
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert "4 runs: 3 done, 1 failed." in shown
    assert "run.json is damaged" in shown
    assert "cannot be read: client_lr=0.1: " in shown


@pytest.mark.slow
def test_compare_has_a_line_for_each_arm(tmp_path):
    flags = [*TINY, "--vary=budget=0.5", "--policies=uniform,hasa", "--num_seeds=2"]
    done = run("sweep", *flags, f"--workdir={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = records_of(tmp_path / "sweep.csv")
    assert [line["arm"] for line in lines] == ["hasa:uniform", "hasa:hasa"]
    assert {line["seeds"] for line in lines} == {"2"}
    summary = records_of(tmp_path / "budget=0.5+seed=1" / "summary.csv")
    assert [record["policy"] for record in summary] == ["uniform", "hasa"]


def test_a_shard_without_runs_only_writes_the_table(tmp_path):
    done = run("sweep", *TINY, "--num_seeds=1", "--shard=2/2", f"--workdir={tmp_path / 's'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 of the 1 runs are of shard 2/2; 0 of them are done" in done.stdout
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["sweep.csv", "sweep.md"]


@pytest.mark.slow
def test_sigterm_ends_in_a_checkpoint_and_the_same_command_goes_on(tmp_path):
    flags = [*VECTORS, "--num_rounds=20", "--checkpoint_every=1", f"--workdir={tmp_path}"]
    flags.append("--num_seeds=2")
    process = start_process("sweep", *flags)
    process.wait_for("  round 1  ")
    process.send(signal.SIGTERM)
    done = process.wait()
    assert (done.returncode, done.stderr) == (143, "")
    assert "run the same command again to go on" in done.stdout.splitlines()[-1]
    first, second = made(*flags).runs
    assert (state_of(first).what, state_of(second).what) == ("begun", "missing")
    # The same file of records is continued.
    (records,) = first.folder.rglob("records.jsonl")
    begun, begins = records.stat().st_ino, records.read_bytes()
    done = run("sweep", *flags)
    assert done.returncode == 0, done.stderr
    assert records.stat().st_ino == begun
    assert records.read_bytes().startswith(begins)
    assert "2 runs: 2 done." in done.stdout


@pytest.mark.slow
def test_a_signal_in_the_last_round_of_a_run_begins_no_other(tmp_path):
    flags = [*TINY, "--num_seeds=2", f"--workdir={tmp_path}"]

    def ask(line):
        if "  round 1  " in line:
            signal.raise_signal(signal.SIGTERM)

    done = run("sweep", *flags, seen=ask)
    assert (done.returncode, done.stderr) == (143, "")
    assert [state_of(own).what for own in made(*flags).runs] == ["done", "missing"]

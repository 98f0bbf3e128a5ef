"""Stores of trackers: what is written is read back by the tracker's own reader."""

import os
import signal
import subprocess
import sys

import pytest

from hasa_jax.base import UserError
from hasa_jax.simulation.tracking import STORES
from tests.support import read_back, tracked

NAMES = [
    "tensorboard",
    pytest.param("wandb", marks=pytest.mark.slow),
    pytest.param("mlflow", marks=pytest.mark.slow),
]


def started(*arguments):
    """Starts `tests.support.tracked` as the leader of a session, without the user's trackers."""
    own = {n: v for n, v in os.environ.items() if not n.startswith(("WANDB", "MLFLOW"))}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.support.tracked", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=read_back.ROOT,
        env=own,
        start_new_session=True,
    )


def write(name, folder, rounds, start="0.1"):
    """Writes in this process if that leaves nothing open; returns what is printed."""
    if name == "tensorboard":
        lines = []
        found = tracked.write(name, folder, rounds, lines.append, start=start)
        return "\n".join([*lines, *([str(found)] if found else [])])
    return started(name, folder, start, *rounds).communicate(timeout=100)[0]


def found_by(name, folder):
    """Reads the runs of a tracker."""
    if name == "tensorboard":
        return read_back.READERS[name](folder / name)
    return read_back.read(name, folder / name)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_parameters_come_back_after_a_stop(name, tmp_path):
    read_back.need(name)
    for rounds in ([2, 4], [2, 4, 6]):
        assert write(name, tmp_path, rounds) == ""
    found = found_by(name, tmp_path)
    assert len(found) == 2
    uniform = next(run for run in found if "uniform" in run.name)
    other = next(run for run in found if run is not uniform)
    assert uniform.name.replace(".", " ") == "hasa uniform prefix full seed 002"
    for arm, run in enumerate((uniform, other)):
        assert sorted(run.rounds) == [2, 4, 6]
        for round, numbers in run.rounds.items():
            expected = {"accuracy/mean": tracked.number(arm, round), "seconds/train": 0.1 * round}
            assert numbers == (
                expected if read_back.EXACT[name] else pytest.approx(expected, rel=1e-6)
            )
        shown = {n: str(run.parameters[n]) for n in ("client_lr", "levels", "policy", "dynamic")}
        assert shown == {
            "client_lr": "0.1",
            "levels": "[1.0, 0.5]",
            "policy": tracked.ARMS[arm]["policy"],
            "dynamic": "False",
        }
    # A workdir with links, or with files outside of it, would be refused.
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", ["settings", "0.2"])
def test_two_runs_in_one_folder_are_two_curves(name, start, tmp_path):
    """The user removed all but the tracker's folder, and ran something else, or the same again."""
    read_back.need(name)
    assert write(name, tmp_path, [2, 4, 6]) == ""
    said, counted, kept = write(name, tmp_path, [3], start).splitlines()
    why = (
        "of other settings or data"
        if start == "settings"
        else "of an earlier start, and this one is from round 0"
    )
    usual = "hasa uniform prefix full seed 002"
    assert said == (
        f"{name} has {usual!r} {why}: it stays as it is, and '{usual} run 2' begins beside it"
    )
    assert counted == f"{name}: 2 runs began beside earlier ones of their names"
    assert kept == "{'beside_earlier': 2}"
    # The later one goes on, as it is of the same settings and start as before.
    assert write(name, tmp_path, [3, 6], start).splitlines() == ["{'beside_earlier': 2}"]
    found = found_by(name, tmp_path)
    assert sorted(
        (run.name.endswith("2.run.2" if name == "tensorboard" else "2 run 2"), sorted(run.rounds))
        for run in found
    ) == [*[(False, [2, 4, 6])] * 2, *[(True, [3, 6])] * 2]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STORES))
def test_a_killed_process_loses_no_round_and_repeats_none(name, tmp_path):
    read_back.need(name)
    killed = started(name, tmp_path, 2, 4, "kill")
    assert killed.communicate(timeout=100)[0] == ""
    assert killed.returncode == -signal.SIGKILL
    assert started(name, tmp_path, "0.1", 2, 4, 6).communicate(timeout=100)[0] == ""
    found = read_back.read(name, tmp_path / name)
    assert [sorted(run.rounds) for run in found] == [[2, 4, 6]] * 2


def test_an_event_that_was_cut_is_no_round(tmp_path):
    read_back.need("tensorboard")
    write("tensorboard", tmp_path, [2, 4])
    (folder,) = tmp_path.glob("tensorboard/hasa.uniform*")
    (events,) = folder.iterdir()
    content = events.read_bytes()
    store = STORES["tensorboard"]()
    for cut, last in ((5, 4), (60, 2)):
        events.write_bytes(content[:-cut])
        run = store.open(tmp_path / "tensorboard", "hasa", {}, folder.name)
        # Where the accuracy of a round is there, it is not given twice.
        assert run.last == last
        run.close()


def test_a_folder_with_rounds_that_is_not_known_stays_as_it_is(tmp_path):
    """Someone removed runs.json, or it is of another program."""
    read_back.need("tensorboard")
    assert write("tensorboard", tmp_path, [2, 4]) == ""
    (tmp_path / "tensorboard" / "runs.json").unlink()
    assert write("tensorboard", tmp_path, [2, 4]) == ""
    assert [sorted(run.rounds) for run in found_by("tensorboard", tmp_path)] == [[2, 4]] * 4


@pytest.mark.parametrize("identity", ["../outside", "..", "/tmp", "a/b", "."])
def test_a_note_leads_nowhere_else(identity, tmp_path):
    """A workdir may come from someone else."""
    read_back.need("tensorboard")
    store = STORES["tensorboard"]()
    with pytest.raises(UserError, match=r"is no folder of its own: remove runs\.json"):
        store.open(tmp_path / "tensorboard", "hasa", {}, identity)
    assert not (tmp_path / "outside").exists()


@pytest.mark.slow
def test_wandb_leaves_no_process(tmp_path):
    read_back.need("wandb")
    process = started("wandb", tmp_path, 2, 4)
    assert process.communicate(timeout=100)[0] == ""
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):  # Nothing of its session is left.
        os.killpg(process.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STORES))
def test_a_store_that_cannot_write_ends_nothing(name, tmp_path):
    """A file in place of the folder stops a store as a full disk would."""
    read_back.need(name)
    (tmp_path / name).write_text("", encoding="utf-8")
    first, second, problems = (
        started(name, tmp_path, 2, 4, 6).communicate(timeout=100)[0].splitlines()
    )
    assert first.startswith(f"warning: {name} failed, and the run goes on (")
    assert second.startswith(f"warning: {name} misses 6 evaluations (")
    assert problems.startswith("{'missed': 6, 'why': ")

"""Stores of trackers: what is written is read back by the tracker's own reader."""

import os
import signal
import subprocess
import sys

import pytest

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


def write(name, folder, rounds):
    """Writes in this process if that leaves nothing open; returns what is printed."""
    if name == "tensorboard":
        lines = []
        tracked.write(name, folder, rounds, lines.append)
        return "\n".join(lines)
    return started(name, folder, *rounds).communicate(timeout=100)[0]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_parameters_come_back_after_a_stop(name, tmp_path):
    read_back.need(name)
    for rounds in ([2, 4], [2, 4, 6]):
        assert write(name, tmp_path, rounds) == ""
    if name == "tensorboard":
        found = read_back.READERS[name](tmp_path / name)
    else:
        found = read_back.read(name, tmp_path / name)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STORES))
def test_a_killed_process_loses_no_round_and_repeats_none(name, tmp_path):
    read_back.need(name)
    killed = started(name, tmp_path, 2, 4, "kill")
    assert killed.communicate(timeout=100)[0] == ""
    assert killed.returncode == -signal.SIGKILL
    assert started(name, tmp_path, 2, 4, 6).communicate(timeout=100)[0] == ""
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

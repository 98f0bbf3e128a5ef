"""Several processes write a checkpoint together; any number of processes and devices reads it."""

import shutil

import jax
import numpy as np
import pytest

from hasa_jax.simulation.checkpoint import Checkpoints, read_arrays
from tests.support import saves
from tests.support.processes import run_together


def printed(done):
    """Returns the line of every process, and checks that all ended well."""
    assert [each.returncode for each in done] == [0] * len(done), done
    return [each.stdout.splitlines()[-1] for each in done]


def together(number, folder, *arguments):
    return printed(run_together("tests.support.saves", number, f"--folder={folder}", *arguments))


@pytest.fixture(scope="module")
def by_four(tmp_path_factory):
    """Checkpoints of four processes, with an array that each of them has a fourth of."""
    folder = tmp_path_factory.mktemp("four") / "run"
    # Round, records, equal values, the same places, lines about damage.
    assert together(4, folder) == ["2 2 True True 0"] * 4
    return folder


@pytest.mark.slow
def test_one_process_reads_what_four_wrote(by_four):
    expected = saves.state(jax.devices())
    for like in (expected, jax.tree.map(jax.device_get, expected)):
        saved = Checkpoints(by_four, saves.IDENTITY).latest(like)
        assert (saved.round, len(saved.record)) == (2, 2)
        for name in ("shared", "everywhere", "round", "host"):
            assert np.array_equal(saved.states[name], expected[name])
        keys = (jax.random.key_data(each["key"]) for each in (saved.states, expected))
        assert np.array_equal(*keys)
    assert np.array_equal(read_arrays(by_four)["shared"], expected["shared"])


@pytest.mark.slow
def test_two_processes_read_what_four_wrote_and_what_one_wrote(by_four, tmp_path):
    assert together(2, by_four, "--read") == ["2 2 True True 0"] * 2
    checkpoints = Checkpoints(tmp_path, saves.IDENTITY, every=1)
    checkpoints.save(3, saves.state(jax.devices()), [[{"round": 3}]])
    checkpoints.close()
    assert together(2, tmp_path, "--read") == ["3 1 True True 0"] * 2


@pytest.mark.slow
def test_the_first_process_finds_damage_for_all(by_four, tmp_path):
    folder = shutil.copytree(by_four, tmp_path / "run")
    files = [path for path in folder.glob("2/arrays/**/*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    assert together(2, folder, "--read") == ["1 1 True True 1"] * 2
    assert (folder / "damaged-2-1").is_dir()

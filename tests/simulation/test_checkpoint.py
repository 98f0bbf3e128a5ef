"""A run that goes on from a checkpoint is the run; a checkpoint that is not whole is not used."""

import json
import shutil

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.simulation import checkpoint
from hasa_jax.simulation.checkpoint import Checkpoints, read_arrays
from hasa_jax.simulation.writers import TABLES
from tests.support import small

IDENTITY = {"flags": {"budget": 0.5}, "data": {"0": "abc"}}


@pytest.fixture(scope="module")
def setting():
    algorithm = hj.partial_training(small.mlp(), batch_size=4)
    dataset = small.dataset()
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.POLICIES["random"](),
        scores=np.zeros(4),
        key=small.KEY,
    )
    return algorithm, dataset, allocation


def run(setting, folder, rounds, *, every=1, keep=9, identity=None, stop_after=None, told=None):
    """Runs with checkpoints; `stop_after` evaluations somebody wishes to stop."""
    told = [] if told is None else told
    checkpoints = Checkpoints(
        folder, identity or IDENTITY, every=every, keep=keep, tell=told.append
    )
    asked = []

    def stop():
        asked.append(True)
        return len(asked) == stop_after

    history = hj.run(*setting, key=small.KEY, num_rounds=rounds, checkpoints=checkpoints, stop=stop)
    checkpoints.close()
    return history


def assert_same(one, other):
    small.assert_trees_equal(one.state.params, other.state.params)
    assert np.array_equal(*(jax.random.key_data(h.state.key) for h in (one, other)))
    assert one.state.round == other.state.round
    assert one.metrics == other.metrics
    assert one.summary == other.summary


@pytest.fixture(scope="module")
def whole(setting):
    return hj.run(*setting, key=small.KEY, num_rounds=5)


@pytest.fixture(scope="module")
def stopped(setting, tmp_path_factory):
    """A folder with checkpoints of rounds 1 to 3."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    history = run(setting, folder, 5, stop_after=3)
    assert history.summary[-1]["round"] == 3
    return folder


@pytest.fixture
def folder(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "run")


def test_a_run_that_goes_on_is_the_run(setting, whole, folder):
    history = run(setting, folder, 5)
    assert_same(history, whole)
    assert len(history.timings) == 5
    # And one that is over does nothing but say so again.
    assert_same(run(setting, folder, 5), whole)


def test_more_rounds_go_on_from_the_last(setting, whole, folder):
    run(setting, folder, 4)
    assert_same(run(setting, folder, 5), whole)


def test_writers_get_the_rows_of_the_whole_run(setting, whole, folder):
    rows = {table: [] for table in TABLES}

    class Collect:
        def write(self, table, new):
            rows[table].extend(new)

        def close(self):
            pass

    checkpoints = Checkpoints(folder, IDENTITY)
    hj.run(*setting, key=small.KEY, num_rounds=5, checkpoints=checkpoints, writers=[Collect()])
    checkpoints.close()
    assert rows["metrics"] == whole.metrics
    assert rows["summary"] == whole.summary
    assert rows["sizes"] == whole.sizes == []


def test_seeds_of_one_program_go_on_together(setting, tmp_path):
    algorithm, dataset, allocation = setting
    trials = [hj.Trial(dataset, allocation, jax.random.key(s), {"seed": s}) for s in range(2)]

    def both(rounds, **options):
        return hj.run_trials(algorithm, trials, num_rounds=rounds, **options)

    for rounds in (2, 4):
        checkpoints = Checkpoints(tmp_path / "run", IDENTITY, every=1)
        histories = both(rounds, checkpoints=checkpoints)
        checkpoints.close()
    for one, other in zip(histories, both(4), strict=True):
        assert_same(one, other)


def test_every_and_keep(setting, tmp_path):
    run(setting, tmp_path / "run", 5, every=2, keep=2)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["4", "5"]


def test_arrays_can_be_read_alone(setting, whole, folder, tmp_path):
    run(setting, folder, 5)
    arrays = read_arrays(folder)
    params = {
        f"params/{jax.tree_util.keystr(path, simple=True, separator='/')}": leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(whole.state.params)
    }
    assert params.keys() <= arrays.keys()
    for name, leaf in params.items():
        assert np.array_equal(arrays[name][0], leaf)
    (folder / "5" / "SHA256").write_text("other")
    with pytest.raises(hj.UserError, match="cannot be read"):
        read_arrays(folder)
    with pytest.raises(hj.UserError, match="no checkpoint"):
        read_arrays(tmp_path / "nothing")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(hj.UserError, match="no checkpoint"):
        read_arrays(tmp_path / "nothing")


def files_of(step):
    return sorted(path for path in step.rglob("*") if path.is_file() and path.stat().st_size)


def assert_goes_on(setting, folder, whole, round=3):
    """Goes on where the checkpoint of a round is not whole: from the one before, saying so."""
    told = []
    assert_same(run(setting, folder, 5, told=told), whole)
    (line,) = told
    assert f"checkpoint of round {round}" in line
    assert "cannot be used" in line
    assert "\n" not in line
    assert (folder / f"damaged-{round}-1").is_dir()


def test_damage_of_any_file_is_found_or_does_not_matter(setting, stopped, tmp_path):
    """One bit flipped, or the second half cut off, in turn, in every file."""
    like = jax.tree.map(lambda x: x[None], setting[0].init(small.KEY))
    expected = Checkpoints(stopped, IDENTITY).latest(like)
    generator = np.random.default_rng(0)
    for number in range(len(files_of(stopped / "3"))):
        folder = shutil.copytree(stopped, tmp_path / str(number))
        file = files_of(folder / "3")[number]
        content = bytearray(file.read_bytes())
        if number % 2:
            content = content[: len(content) // 2]
        else:
            content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        file.write_bytes(content)
        told = []
        saved = Checkpoints(folder, IDENTITY, tell=told.append).latest(like)
        ours = file.name == "SHA256" or file.parent.name != "3"
        assert (saved.round, len(told)) == ((2, 1) if ours else (3, 0))
        if not ours:
            small.assert_trees_equal(saved.states.params, expected.states.params)
            assert saved.record == expected.record


def test_a_truncated_checkpoint_is_not_used(setting, whole, folder):
    largest = max(files_of(folder / "3"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-10])
    assert_goes_on(setting, folder, whole)


def test_a_missing_part_is_not_used(setting, whole, folder):
    shutil.rmtree(folder / "3" / "content")
    assert_goes_on(setting, folder, whole)


def test_a_checkpoint_of_another_model_is_not_used(setting, whole, folder, tmp_path):
    algorithm = hj.partial_training(small.mlp(first=6), batch_size=4)
    allocation = hj.allocate(
        setting[1].train,
        algorithm.model,
        policy=hj.POLICIES["uniform"](),
        scores=np.zeros(4),
        key=small.KEY,
    )
    run((algorithm, setting[1], allocation), tmp_path / "other", 3)
    shutil.rmtree(folder / "3")
    shutil.copytree(tmp_path / "other" / "3", folder / "3")
    assert_goes_on(setting, folder, whole)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_checkpoints_of_other_flags_are_refused_and_stay(setting, folder):
    other = json.loads(json.dumps(IDENTITY))
    other["flags"]["budget"] = 0.25
    before = names_in(folder)
    with pytest.raises(hj.UserError, match="other flags or data"):
        run(setting, folder, 5, identity=other)
    assert names_in(folder) == before


def test_what_cannot_be_read_for_now_stays(setting, folder, monkeypatch):
    def busy(step):
        raise OSError(24, "Too many open files")

    before = names_in(folder)
    monkeypatch.setattr(checkpoint, "_sum_of", busy)
    with pytest.raises(OSError, match="Too many"):
        run(setting, folder, 5)
    assert names_in(folder) == before


def test_fewer_rounds_than_there_are_are_refused(setting, folder):
    with pytest.raises(hj.UserError, match="num_rounds is 2"):
        run(setting, folder, 2)


def test_a_checkpoint_of_another_round_is_not_used(setting, whole, folder):
    shutil.rmtree(folder / "3")
    shutil.copytree(folder / "1", folder / "3")
    assert_goes_on(setting, folder, whole)


def test_something_else_in_the_place_of_a_checkpoint_is_not_used(setting, whole, folder):
    (folder / "4").mkdir()
    (folder / "4" / "model.bin").write_bytes(b"foreign")
    assert_goes_on(setting, folder, whole, round=4)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(hj.UserError, match="could not be opened"):
        Checkpoints(tmp_path / "file" / "run", IDENTITY)


@pytest.mark.parametrize("bad", [{"every": 0}, {"keep": 0}])
def test_counts_out_of_range_are_refused(bad, tmp_path):
    with pytest.raises(hj.UserError, match="at least 1"):
        Checkpoints(tmp_path, IDENTITY, **bad)

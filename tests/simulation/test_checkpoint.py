"""A run that goes on from a checkpoint is the run; a damaged checkpoint is not used."""

import itertools
import json
import shutil
import time

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.simulation import checkpoint
from hasa_jax.simulation.checkpoint import Checkpoints, read_arrays
from hasa_jax.simulation.writers import TABLES
from tests.support import small

IDENTITY = {"settings": {"budget": 0.5}, "data": {"0": "abc"}}


EVERY_ROUND = hj.Reporting(eval_every=1)


@pytest.fixture(scope="module")
def setting():
    dataset = small.dataset()
    program = small.program(small.supernet("mlp"), dataset.train)
    return program, [small.trial(program, dataset, policy=hj.POLICIES["random"]())]


def run(setting, folder, num_rounds, *, every=1, keep=9, identity=None, stop_after=None, said=None):
    """Runs with checkpoints, and stops after so many evaluations, if that is a number."""
    said = [] if said is None else said
    checkpoints = Checkpoints(folder, identity or IDENTITY, every=every, keep=keep, say=said.append)
    asked = []

    def stop():
        asked.append(True)
        return len(asked) == stop_after

    histories = hj.run_trials(
        *setting,
        num_rounds=num_rounds,
        reporting=EVERY_ROUND,
        checkpoints=checkpoints,
        stop=stop,
    )
    checkpoints.close()
    return histories[0] if len(histories) == 1 else histories


def assert_same(one, other):
    small.assert_trees_equal(one.state.params, other.state.params)
    assert np.array_equal(*(jax.random.key_data(h.state.key) for h in (one, other)))
    assert one.state.round == other.state.round
    assert one.metrics == other.metrics
    assert one.summary == other.summary


@pytest.fixture(scope="module")
def uninterrupted(setting):
    return hj.run_trials(*setting, num_rounds=5, reporting=EVERY_ROUND)[0]


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


def test_a_run_that_goes_on_is_the_run(setting, uninterrupted, folder):
    history = run(setting, folder, 5)
    assert_same(history, uninterrupted)
    assert len(history.timings) == 5
    # One that is over returns the same again.
    assert_same(run(setting, folder, 5), uninterrupted)


def test_more_rounds_go_on_from_the_last(setting, uninterrupted, folder):
    run(setting, folder, 4)
    assert_same(run(setting, folder, 5), uninterrupted)


def test_writers_get_the_records_of_the_full_run(setting, uninterrupted, folder):
    records = {table: [] for table in TABLES}

    class Collect:
        def write(self, table, new):
            records[table].extend(new)

        def close(self):
            pass

    checkpoints = Checkpoints(folder, IDENTITY)
    hj.run_trials(
        *setting,
        num_rounds=5,
        reporting=EVERY_ROUND,
        checkpoints=checkpoints,
        writers=[Collect()],
    )
    checkpoints.close()
    assert records["metrics"] == uninterrupted.metrics
    assert records["summary"] == uninterrupted.summary
    assert records["sizes"] == uninterrupted.sizes == []


def test_seeds_of_one_program_go_on(setting, tmp_path):
    program, (trial,) = setting
    both = [trial._replace(key=jax.random.key(s), labels={"seed": s}) for s in range(2)]
    for num_rounds in (1, 2):
        histories = run((program, both), tmp_path / "run", num_rounds)
    straight = hj.run_trials(program, both, num_rounds=2, reporting=EVERY_ROUND)
    for one, other in zip(histories, straight, strict=True):
        assert_same(one, other)


def test_every_and_keep(setting, tmp_path):
    run(setting, tmp_path / "run", 5, every=2, keep=2)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["4", "5", checkpoint.RECORDS]


def test_arrays_can_be_read_without_a_run(setting, uninterrupted, folder, tmp_path):
    run(setting, folder, 5)
    arrays = read_arrays(folder)
    params = {
        f"params/{jax.tree_util.keystr(path, simple=True, separator='/')}": leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(uninterrupted.state.params)
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


def assert_goes_on(setting, folder, uninterrupted, round=3):
    """Goes on where the checkpoint of a round is damaged: from the one before, saying so."""
    said = []
    assert_same(run(setting, folder, 5, said=said), uninterrupted)
    (line,) = said
    assert f"checkpoint of round {round}" in line
    assert "cannot be used" in line
    assert "\n" not in line
    assert (folder / f"damaged-{round}-1").is_dir()


def test_damage_of_any_file_is_found_or_does_not_matter(setting, stopped, tmp_path):
    """One bit flipped, or the second half cut off, in turn, in every file."""
    like = jax.tree.map(lambda x: x[None], small.initial(setting[0]))
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
        said = []
        saved = Checkpoints(folder, IDENTITY, say=said.append).latest(like)
        ours = file.name == "SHA256" or file.parent.name != "3"
        assert (saved.round, len(said)) == ((2, 1) if ours else (3, 0))
        if not ours:
            small.assert_trees_equal(saved.states.params, expected.states.params)
            assert saved.record == expected.record


def test_records_are_written_once(setting, stopped, folder):
    """A checkpoint holds none, and a run that goes on appends to those that are there."""
    lines = (stopped / checkpoint.RECORDS).read_bytes().splitlines()
    assert len(lines) == 3
    content = json.loads((stopped / "3" / "content" / "metadata").read_text())
    assert content["records"]["size"] == sum(len(line) + 1 for line in lines)
    assert "accuracy" not in json.dumps(content)
    run(setting, folder, 5)
    assert (folder / checkpoint.RECORDS).read_bytes().splitlines()[:3] == lines


@pytest.mark.parametrize("tail", [b"", b'[{"metrics": []}]\n', b'[{"metr'])
def test_what_no_checkpoint_names_is_cut_off(setting, uninterrupted, folder, tail):
    """A run that was killed between its records and their checkpoint writes them again."""
    with (folder / checkpoint.RECORDS).open("ab") as file:
        file.write(tail)
    assert_same(run(setting, folder, 5), uninterrupted)
    lines = (folder / checkpoint.RECORDS).read_bytes().splitlines()
    assert [json.loads(line)[0]["summary"][0]["round"] for line in lines] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("line", "kept"), [(2, 2), (0, 0)])
def test_damaged_records_are_not_used(setting, uninterrupted, folder, line, kept):
    """The checkpoints that name them are not used; those before them are."""
    lines = (folder / checkpoint.RECORDS).read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"0", b"1", 1)
    (folder / checkpoint.RECORDS).write_bytes(b"".join(lines))
    said = []
    assert_same(run(setting, folder, 5, said=said), uninterrupted)
    assert len(said) == 3 - kept
    assert all("does not hold the records" in text for text in said)
    assert (folder / "damaged-records-1").exists() == (not kept)


def test_missing_records_are_not_used(setting, uninterrupted, folder):
    (folder / checkpoint.RECORDS).unlink()
    assert_same(run(setting, folder, 5), uninterrupted)


def test_a_truncated_checkpoint_is_not_used(setting, uninterrupted, folder):
    largest = max(files_of(folder / "3"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-10])
    assert_goes_on(setting, folder, uninterrupted)


def test_a_missing_part_is_not_used(setting, uninterrupted, folder):
    shutil.rmtree(folder / "3" / "content")
    assert_goes_on(setting, folder, uninterrupted)


def test_a_checkpoint_of_another_model_is_not_used(setting, uninterrupted, folder, tmp_path):
    _, (trial,) = setting
    other = small.program(small.mlp(first=6), trial.dataset.train)
    states = jax.tree.map(lambda x: x[None], small.initial(other))
    checkpoints = Checkpoints(tmp_path / "other", IDENTITY)
    checkpoints.save(3, states, [])
    checkpoints.close()
    shutil.rmtree(folder / "3")
    shutil.copytree(tmp_path / "other" / "3", folder / "3")
    assert_goes_on(setting, folder, uninterrupted)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_checkpoints_of_other_settings_are_refused_and_stay(setting, folder):
    other = json.loads(json.dumps(IDENTITY))
    other["settings"]["budget"] = 0.25
    before = names_in(folder)
    with pytest.raises(hj.UserError, match="other settings, data or switches"):
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
    with pytest.raises(hj.UserError, match="`num_rounds` is 2"):
        run(setting, folder, 2)


def test_a_checkpoint_of_another_round_is_not_used(setting, uninterrupted, folder):
    shutil.rmtree(folder / "3")
    shutil.copytree(folder / "1", folder / "3")
    assert_goes_on(setting, folder, uninterrupted)


def test_something_else_in_the_place_of_a_checkpoint_is_not_used(setting, uninterrupted, folder):
    (folder / "4").mkdir()
    (folder / "4" / "model.bin").write_bytes(b"foreign")
    assert_goes_on(setting, folder, uninterrupted, round=4)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(hj.UserError, match="could not be opened"):
        Checkpoints(tmp_path / "file" / "run", IDENTITY)


@pytest.mark.parametrize("bad", [{"every": 0}, {"keep": 0}])
def test_counts_out_of_range_are_refused(bad, tmp_path):
    with pytest.raises(hj.UserError, match=f"`{next(iter(bad))}` of checkpoints is 0"):
        Checkpoints(tmp_path, IDENTITY, **bad)


@pytest.mark.parametrize("step", [86_400.0, -86_400.0])
@pytest.mark.parametrize("reads", [5, 30, 60, 90, 150])
def test_a_clock_that_is_set_while_a_checkpoint_is_written_changes_nothing(
    step, reads, tmp_path, monkeypatch
):
    """A day forwards or backwards, after so many looks at the clock."""
    real, looks = time.time, itertools.count()
    state = {"x": np.ones(3, np.float32)}
    checkpoints = Checkpoints(tmp_path, IDENTITY, every=1)
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: real() + step * (next(looks) > reads))
        for round in (1, 2):
            checkpoints.save(round, state, [])
        checkpoints.close()
    assert next(looks) > reads
    assert Checkpoints(tmp_path, IDENTITY).latest(state).round == 2


def test_a_folder_is_any_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    state = {"x": np.ones(3, np.float32)}
    for name in (str(tmp_path / "a"), tmp_path / "b", "~/c"):
        checkpoints = Checkpoints(name, IDENTITY, every=1)
        checkpoints.save(1, state, [])
        checkpoints.close()
        assert np.array_equal(read_arrays(name)["x"], state["x"])
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}
    with pytest.raises(hj.UserError, match="no checkpoint is in"):
        read_arrays(str(tmp_path / "none"))


def test_a_checkpoint_of_another_run_is_not_damaged(tmp_path):
    """Though its arrays have other shapes, as those of another supernet or random stream have."""
    checkpoints = Checkpoints(tmp_path, IDENTITY, every=1)
    checkpoints.save(1, {"x": np.ones(3, np.float32)}, [])
    checkpoints.close()
    like = {"x": np.ones(4, np.float32)}
    with pytest.raises(hj.UserError, match="other settings, data or switches of JAX"):
        Checkpoints(tmp_path, {"settings": {}}).latest(like)
    with jax.default_prng_impl("rbg"), pytest.raises(hj.UserError, match="switches of JAX"):
        Checkpoints(tmp_path, IDENTITY).latest(like)
    assert not list(tmp_path.glob("damaged*"))

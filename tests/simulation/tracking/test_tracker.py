"""A tracker of runs, on a store in memory that may fail."""

import json

import pytest

from hasa_jax.base import UserError
from hasa_jax.simulation.tracking import package, tracker

NUMBERS = {"mean_accuracy": 0.5, "worst_accuracy": 0.25}


class Memory:
    """A store that keeps runs by identity, and raises while it is broken."""

    def __init__(self):
        self.runs, self.names, self.parameters, self.open_runs = {}, {}, {}, set()
        self.broken, self.opened = False, []

    def check(self):
        if self.broken:
            raise ConnectionError("no\nnetwork")

    def open(self, folder, name, parameters, identity):
        self.check()
        self.opened.append(name)
        identity = identity or f"id{len(self.runs)}"
        self.runs.setdefault(identity, {})
        self.names[identity], self.parameters[identity] = name, dict(parameters)
        self.open_runs.add(identity)
        return MemoryRun(self, identity)

    def close(self):
        self.open_runs.add("closed")


class MemoryRun:
    def __init__(self, store, identity):
        self.store, self.identity, self.last = store, identity, None

    def log(self, round, numbers):
        self.store.check()
        assert round not in self.store.runs[self.identity]
        self.store.runs[self.identity][round] = numbers

    def close(self):
        self.store.open_runs.remove(self.identity)


def tracker_of(store, folder, lines, num_rounds=6, **parameters):
    return tracker.Tracker("memory", store, folder, parameters, num_rounds, lines.append)


def give(own, rounds, policies=("uniform", "hasa"), seeds=(0, 1), seconds=2.0):
    """Gives records as a run does: for each arm and evaluation, those of all seeds."""
    for policy in policies:
        for round in rounds:
            for seed in seeds:
                front = {"method": "hasa", "policy": policy, "seed": seed, "round": round}
                own.write("metrics", [{"loss": 1.0}])
                own.write("summary", [{**front, **NUMBERS, "mean_accuracy": seed + round / 100}])
                own.write("timings", [{**front, "train_seconds": seconds}])


def test_each_arm_and_seed_has_a_run(tmp_path):
    store, lines = Memory(), []
    own = tracker_of(store, tmp_path, lines, client_lr=0.1, levels=(1.0, 0.5), model=None)
    give(own, [2, 4, 6])
    # A run that is finished is closed, so thousands are not open at once.
    assert store.open_runs == set()
    own.close()
    assert sorted(store.names.values()) == [
        "hasa hasa seed 000",
        "hasa hasa seed 001",
        "hasa uniform seed 000",
        "hasa uniform seed 001",
    ]
    assert store.runs["id1"] == {
        round: {
            "accuracy/mean": 1 + round / 100,
            "accuracy/worst": 0.25,
            "seconds/train": 2.0,
        }
        for round in (2, 4, 6)
    }
    assert store.parameters["id3"] == {
        "client_lr": 0.1,
        "levels": "[1.0, 0.5]",
        "method": "hasa",
        "policy": "hasa",
        "seed": 1,
    }
    assert (lines, own.problems()) == ([], {})


def test_a_run_that_goes_on_adds_to_the_same_and_repeats_nothing(tmp_path):
    store, lines = Memory(), []
    first = tracker_of(store, tmp_path, lines)
    give(first, [2, 4, 6], policies=["uniform"])
    give(first, [2, 4], policies=["hasa"])
    first.close()
    store.opened.clear()
    second = tracker_of(store, tmp_path, lines)
    give(second, [2, 4, 6])  # Checkpoints give all records once more.
    second.close()
    assert len(store.runs) == 4
    assert all(list(run) == [2, 4, 6] for run in store.runs.values())
    # What is finished is not even opened.
    assert store.opened == ["hasa hasa seed 000", "hasa hasa seed 001"]
    assert lines == []


def test_what_the_store_has_already_is_not_given_again(tmp_path):
    """A process may be killed before it notes what the store took."""
    store, lines = Memory(), []
    first = tracker_of(store, tmp_path, lines)
    give(first, [2], policies=["hasa"], seeds=[0])
    noted = json.loads((tmp_path / tracker.NAME).read_text(encoding="utf-8"))
    give(first, [4], policies=["hasa"], seeds=[0])
    (tmp_path / tracker.NAME).write_text(json.dumps(noted), encoding="utf-8")

    class Knows(Memory):
        def open(self, *arguments):
            run = super().open(*arguments)
            run.last = max(self.runs[run.identity], default=0)
            return run

    knows = Knows()
    knows.runs = store.runs
    second = tracker_of(knows, tmp_path, lines)
    give(second, [2, 4, 6], policies=["hasa"], seeds=[0])
    assert list(knows.runs["id0"]) == [2, 4, 6]


def test_what_a_killed_process_noted_too_early_is_given_again(tmp_path):
    """A store that writes later may lack what it took."""
    store, lines = Memory(), []
    first = tracker_of(store, tmp_path, lines)
    give(first, [2, 4], policies=["hasa"], seeds=[0])
    del store.runs["id0"][4]
    usual = store.open

    def knows(*arguments):
        run = usual(*arguments)
        run.last = max(store.runs[run.identity], default=0)
        return run

    store.open = knows
    second = tracker_of(store, tmp_path, lines)
    give(second, [2, 4, 6], policies=["hasa"], seeds=[0])
    assert list(store.runs["id0"]) == [2, 4, 6]
    assert lines == []


def test_a_failure_is_said_once_and_mended_later(tmp_path):
    store, lines = Memory(), []
    own = tracker_of(store, tmp_path, lines)
    give(own, [2], policies=["hasa"], seeds=[0])
    store.broken = True
    give(own, [4], policies=["hasa"], seeds=[0])
    store.broken = False
    give(own, [6], policies=["hasa"], seeds=[0])
    own.close()
    assert lines == ["warning: memory failed, and the run goes on (no network)"]
    assert list(store.runs["id0"]) == [2, 4, 6]
    assert own.problems() == {}


def test_a_tracker_that_stays_broken_loses_no_run_and_is_counted(tmp_path):
    store, lines = Memory(), []
    store.broken = True
    own = tracker_of(store, tmp_path, lines)
    give(own, [2, 4, 6])
    own.close()
    own.close()
    assert len(lines) == 2
    assert lines[1].startswith("warning: memory misses 12 evaluations (no network)")
    assert own.problems() == {"missed": 12, "why": "no network"}
    # The same command adds them, from the checkpoints.
    store.broken = False
    again = tracker_of(store, tmp_path, lines)
    give(again, [2, 4, 6])
    again.close()
    assert all(list(run) == [2, 4, 6] for run in store.runs.values())
    assert again.problems() == {}


def test_a_broken_tracker_is_left_alone(tmp_path):
    store, tried = Memory(), []
    store.check = lambda: tried.append(1) or 1 / 0
    own = tracker_of(store, tmp_path, [])
    give(own, range(1, 50), seeds=[0])
    assert len(tried) == 3


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"hasa": 3}', '{"hasa": {"identity": "a", "round": "2"}}']
)
def test_a_damaged_note_is_said_and_all_runs_are_new(text, tmp_path):
    (tmp_path / tracker.NAME).write_text(text, encoding="utf-8")
    store, lines = Memory(), []
    give(tracker_of(store, tmp_path, lines), [2], seeds=[0])
    assert len(store.runs) == 2
    assert lines == [
        f"memory: {tmp_path / tracker.NAME} is damaged, so all tracked runs are new ones"
    ]


def test_another_start_of_the_same_settings_is_another_run(tmp_path):
    """A fresh start has other seconds; what goes on gives the first evaluation once more."""
    store, lines = Memory(), []
    give(tracker_of(store, tmp_path, lines), [2, 4, 6], policies=["hasa"])
    second = tracker_of(store, tmp_path, lines)
    give(second, [2, 4], policies=["hasa"], seconds=3.0)
    second.close()
    third = tracker_of(store, tmp_path, lines)
    give(third, [2, 4, 6], policies=["hasa"], seconds=3.0)
    third.close()
    assert [sorted(rounds) for rounds in store.runs.values()] == [[2, 4, 6]] * 4
    assert sorted(store.names.values()) == [
        f"hasa hasa seed 00{seed}{end}" for seed in (0, 1) for end in ("", " run 2")
    ]
    assert lines == [
        "memory has 'hasa hasa seed 000' of an earlier start, and this one is from round 0: it "
        "stays as it is, and 'hasa hasa seed 000 run 2' begins beside it",
        "memory: 2 runs began beside earlier ones of their names",
    ]
    assert (second.problems(), third.problems()) == ({"beside_earlier": 2},) * 2
    noted = json.loads((tmp_path / tracker.NAME).read_text(encoding="utf-8"))
    (earlier,) = noted["hasa hasa seed 001"]["earlier"]
    assert (earlier["identity"], earlier["round"]) == ("id1", 6)


def test_a_run_that_is_written_again_from_tables_is_the_same(tmp_path):
    """Tables have milliseconds."""
    store, lines = Memory(), []
    give(tracker_of(store, tmp_path, lines), [2, 4, 6], seconds=2.00049)
    again = tracker_of(store, tmp_path, lines)
    give(again, [2, 4, 6], seconds=2.0)
    again.close()
    assert len(store.runs) == 4
    assert lines == []


def test_another_start_is_another_run_also_where_no_round_was_noted(tmp_path):
    """A process may be killed after the store took a round and before that is noted."""
    store = Memory()
    give(tracker_of(store, tmp_path, []), [2], policies=["hasa"], seeds=[0])
    path = tmp_path / tracker.NAME
    noted = json.loads(path.read_text(encoding="utf-8"))
    noted["hasa hasa seed 000"]["round"] = 0
    path.write_text(json.dumps(noted), encoding="utf-8")
    give(tracker_of(store, tmp_path, []), [2, 4], policies=["hasa"], seeds=[0], seconds=3.0)
    assert [list(rounds) for rounds in store.runs.values()] == [[2], [2, 4]]


def test_other_settings_are_another_run(tmp_path):
    store, lines = Memory(), []
    for digest in ("a", "b", "a"):
        own = tracker_of(store, tmp_path, lines)
        own.identify({"hasa hasa seed 000": digest})
        give(own, [2], policies=["hasa"], seeds=[0])
    assert sorted(store.names.values()) == [
        f"hasa hasa seed 000{end}" for end in ("", " run 2", " run 3")
    ]
    assert [line.partition(": ")[0] for line in lines] == [
        f"memory has 'hasa hasa seed 000{end}' of other settings or data" for end in ("", "")
    ]


def test_a_run_of_which_the_store_has_no_round_is_no_other_run(tmp_path):
    """The first process ended before its first evaluation was taken."""
    store, lines = Memory(), []
    own = tracker_of(store, tmp_path, lines)
    store.broken = True
    give(own, [2], policies=["hasa"], seeds=[0])
    store.broken = False
    give(tracker_of(store, tmp_path, []), [2, 4], policies=["hasa"], seeds=[0], seconds=3.0)
    assert [list(rounds) for rounds in store.runs.values()] == [[2, 4]]


def test_a_note_is_not_written_through_a_link(tmp_path):
    outside, folder, lines = tmp_path / "outside", tmp_path / "memory", []
    outside.write_text("{}", encoding="utf-8")
    folder.mkdir()
    (folder / tracker.NAME).symlink_to(outside)
    own = tracker_of(Memory(), folder, lines)
    give(own, [2], seeds=[0])
    assert outside.read_text(encoding="utf-8") == "{}"
    assert "runs.json is a link" in lines[0]


def test_long_parameters_are_cut(tmp_path):
    store = Memory()
    give(tracker_of(store, tmp_path, [], widths=["0.5"] * 1000), [2], seeds=[0])
    assert len(store.parameters["id0"]["widths"]) == 500


def test_a_missing_package_is_one_line_with_the_command():
    def missing():
        raise ImportError("No module named 'wandb'")

    with pytest.raises(UserError) as caught:
        package.tracker_package(missing, "wandb", "wandb")
    assert str(caught.value) == (
        "`tracker` wandb is not installed (No module named 'wandb'): pip install 'hasa_jax[wandb]'"
    )

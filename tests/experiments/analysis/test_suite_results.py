"""What is read of the runs of a suite: folds, and arms beside others that are not finished."""

import pytest

from experiments.analysis import suite_table
from experiments.analysis.suite_results import outcomes_of
from experiments.flags import config_from_flags
from experiments.study import suite
from experiments.study.sweep_states import BEGUN, DONE, FAILED, MISSING, State
from tests.experiments.analysis.workdirs import record, write

TASKS = """
[points]
title = "Points"
files = []

[points.config]
num_rounds = 3
eval_every = 1
"""
SUITE = """
tasks = "tasks.toml"
first_seed = 0
num_seeds = 2
reference = "fedavg:uniform"

[config]
budget_unit = "macs"
eval_folds = FOLDS

[[arms]]
about = "methods"
budgets = [0.5]
methods = ["fedavg:uniform", "fedavg:random"]
"""


def made(folder, folds=0):
    """A suite of one task and two seeds, and its runs."""
    text = SUITE.replace("eval_folds = FOLDS", f"eval_folds = {folds}" if folds else "")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    (folder / "tasks.toml").write_text(TASKS, encoding="utf-8")
    flags = ["benchmark", f"--suite={folder / 'tiny.toml'}", f"--workdir={folder / 'w'}"]
    config, given = config_from_flags(flags)
    found = suite.read_suite(config.sweep.suite, ())
    return found, suite.sweep_of_suite(found, config, given)


def of_fedavg(policy, seed, accuracy, **others):
    """A record of an arm of the suite."""
    return record(policy, seed, accuracy, **others) | {"method": "fedavg"}


def test_a_seed_is_the_mean_of_all_of_its_folds(tmp_path):
    of, sweep = made(tmp_path, folds=2)
    for run in sweep.runs:
        lines = [
            of_fedavg(policy, run.seed, accuracy + gain, fold=fold)
            for policy, gain in (("uniform", 0), ("random", 0.1))
            for fold, accuracy in enumerate((0.2, 0.6), 1)
        ]
        write(run.folder, lines, {"data": {"eval_folds": 2}})
    outcomes, reasons = outcomes_of(of, sweep, [State(DONE)] * 2)
    assert reasons == []
    assert [own.accuracies for own in outcomes] == [
        pytest.approx({0: 40, 1: 40}), pytest.approx({0: 50, 1: 50}),
    ]  # fmt: skip


def test_an_arm_that_lacks_rounds_takes_no_other_away(tmp_path):
    of, sweep = made(tmp_path)
    first, second = sweep.runs
    write(first.folder, [of_fedavg("uniform", 0, 0.2), of_fedavg("random", 0, 0.3)])
    write(second.folder, [of_fedavg("uniform", 1, 0.4), of_fedavg("random", 1, 0.1, round=2)])
    for state in (State(FAILED, "why"), State(BEGUN)):
        uniform, random = outcomes_of(of, sweep, [State(DONE), state])[0]
        assert uniform.accuracies == pytest.approx({0: 20, 1: 40})
        assert random.accuracies == pytest.approx({0: 30})
        assert random.verdict == "too few seeds"


def test_folds_that_are_missing_take_no_other_arm_away(tmp_path):
    of, sweep = made(tmp_path, folds=2)
    lines = [of_fedavg("uniform", 0, 0.2, fold=fold) for fold in (1, 2)]
    lines.append(of_fedavg("random", 0, 0.2, fold=1))
    write(sweep.runs[0].folder, lines, {"data": {"eval_folds": 2}})
    (uniform, random), reasons = outcomes_of(of, sweep, [State(BEGUN), State(MISSING)])
    assert (list(uniform.accuracies), list(random.accuracies), reasons) == ([0], [], [])


def test_a_folder_of_another_run_is_not_read(tmp_path):
    of, sweep = made(tmp_path)
    for run in sweep.runs:
        write(run.folder, [of_fedavg("uniform", run.seed, 0.2)])
    states = [State(DONE), State(FAILED, "another configuration", readable=False)]
    assert list(outcomes_of(of, sweep, states)[0][0].accuracies) == [0]


def test_damaged_results_take_no_other_seed_away(tmp_path):
    of, sweep = made(tmp_path)
    for run in sweep.runs:
        write(run.folder, [of_fedavg("uniform", run.seed, 0.2)])
    (sweep.runs[1].folder / "metrics.csv").write_text("", encoding="utf-8")
    outcomes, (reason,) = outcomes_of(of, sweep, [State(DONE)] * 2)
    assert list(outcomes[0].accuracies) == [0]
    assert reason.startswith("task=points, budget=0.5, seed=1: ")


def test_a_picture_of_what_is_gone_does_not_stay(tmp_path):
    of, sweep = made(tmp_path)
    sweep.folder.mkdir()
    picture = sweep.folder / suite_table.PICTURE
    picture.write_bytes(b"old")
    suite_table.write(of, [], sweep)
    assert not picture.exists()

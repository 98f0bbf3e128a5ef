"""Benchmark suites: every cell of the repository's can be built, and others are refused."""

import collections
import tomllib

import jax
import numpy as np
import pytest

import hasa_jax as hj
from experiments.config import ROOM_OF
from experiments.flags import config_from_flags
from experiments.study import program, suite
from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.unused import refuse_unused, refuse_unused_of_model
from hasa_jax import UserError
from hasa_jax.allocation import POLICIES
from hasa_jax.methods import METHODS

NAMES = ("small", "full")
TASKS = ("titles", "digits", "cifar10", "ag_news")


def made(name, *arguments):
    """The suite and its runs."""
    flags = [f"--suite={name}", "--workdir=w", "--data_dir=d", *map(str, arguments)]
    config, given = config_from_flags(["benchmark", *flags])
    found = suite.read_suite(name, ())
    return found, suite.sweep_of_suite(found, config, given)


def stand_in(config):
    """Data of the shape that a task reads: a few examples of clients that differ in size."""
    rng = np.random.default_rng(0)
    sizes = (12, 20, 30, 44)
    if config.data.dataset in ("digits_domains", "cifar10"):
        clients = [(rng.random((n, 16, 16, 3)), rng.integers(0, 10, n)) for n in sizes]
        return hj.datasets.from_arrays(clients, jax.random.key(0), num_classes=10)
    tokens, length = config.data.vocab_size, config.data.max_length
    texts = [rng.integers(2, tokens, (n, length)) for n in sizes]
    if config.data.dataset == "titles":
        clients, classes = [(own, own) for own in texts], tokens
    else:
        clients, classes = [(own, rng.integers(0, 4, len(own))) for own in texts], 4
    return hj.datasets.from_arrays(
        clients, jax.random.key(0), num_classes=classes, num_tokens=tokens
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_suites_have_every_method_policy_task_and_budget(name):
    found, sweep = made(name)
    assert tuple(task.name for task in found.tasks) == TASKS
    assert len(found.seeds) == {"small": 3, "full": 10}[name]
    cells = [(p.shown["task"], p.shown["budget"]) for p in sweep.points]
    assert cells == [(task, budget) for task in TASKS for budget in ("0.25", "0.5", "0.75")]
    assert len(sweep.runs) == len(cells) * len(found.seeds)
    of_all = {arm for task in found.tasks for arm in task.arms[0.5]} | {
        own.arm for own in found.left_out
    }
    robust = {"trimmed_mean", "coordinate_median"}  # Aggregations against hostile clients.
    assert {arm.partition(":")[0] for arm in of_all} == set(METHODS) - robust
    policies = {arm.partition(":")[2] for arm in of_all if arm.startswith("fedavg:")}
    unbudgeted = {"full", "smallest", "exclusive", "levels", "fixed", "capacity"}
    assert policies == set(POLICIES) - unbudgeted


def test_what_does_not_apply_is_counted():
    found, _ = made("full")
    without = {(own.task, own.arm): own.budgets for own in found.left_out}
    assert without["titles", "scalefl"] == (0.25, 0.5, 0.75)
    assert without["titles", "fjord"] == (0.75,)
    assert found.arms_left_out == sum(map(len, without.values()))
    for task in found.tasks:
        for budget, arms in task.arms.items():
            gone = {
                arm for (name, arm), at in without.items() if name == task.name and budget in at
            }
            assert len(arms) + len(gone) == 14
            assert not gone & set(arms)


@pytest.mark.parametrize("name", NAMES)
def test_need_measures_at_least_twice_in_every_task(name):
    _, sweep = made(name)
    of_need = [run for run in sweep.runs if Arm("fedavg", "need") in run.arms]
    assert {run.point.shown["task"] for run in of_need} == set(TASKS)
    for run in of_need:
        every, rounds = run.config.allocation.reallocate_every, run.config.training.num_rounds
        assert (rounds - 1) // every >= 2
    # Runs without need have no such field, which they would refuse.
    for run in sweep.runs:
        assert ("reallocate_every" in run.given) == (run in of_need)
        refuse_unused(run.config, run.given, run.arms)


def test_a_field_that_no_arm_of_a_task_reads_is_still_refused(tmp_path):
    for own in suite.FOLDER.glob("*.toml"):
        text = own.read_text(encoding="utf-8").replace("reallocate_every = 4", "rolling_step = 2")
        text = text.replace('    "fedrolex",\n', "")
        (tmp_path / own.name).write_text(text, encoding="utf-8")
    _, sweep = made(str(tmp_path / "small.toml"))
    for run in sweep.runs:
        with pytest.raises(UserError, match="`rolling_step` is read only with extraction rolling"):
            refuse_unused(run.config, run.given, run.arms)


SLOW = {"cifar10", "ag_news", "digits"}


@pytest.mark.parametrize(
    "task", [pytest.param(t, marks=[pytest.mark.slow] * (t in SLOW)) for t in TASKS]
)
def test_every_cell_can_be_built(task):
    """Shapes, exits and budgets fit; nothing is compiled or trained."""
    found, sweep = made("full")
    cells = [own for own in sweep.runs if own.point.shown["task"] == task]
    cells = cells[:: len(found.seeds)]
    data, programs = stand_in(cells[0].config), {}
    for own in cells:
        refuse_unused(own.config, own.given, own.arms)
        refuse_unused_of_model(own.config.model.model, own.given)
        for arm in own.arms:
            if arm.method not in programs:
                built = program.build_programs(own.config, data, [arm])
                programs[arm.method] = built[arm]
            allocated = program.build_allocation(
                own.config, programs[arm.method], data, arm, Block(0)
            )
            # ScaleFL's sizes are whole exits, of which there are few.
            within = 0.13 if arm.method == "scalefl" else 0.03
            budget = own.config.allocation.budget
            assert budget - within < allocated.ledger.macs <= budget + 1e-9, arm


def test_what_does_not_apply_cannot_be_built():
    _, sweep = made("full")
    titles = {run.point.shown["budget"]: run for run in sweep.runs[:30]}
    data = stand_in(sweep.runs[0].config)
    with pytest.raises(UserError, match="exits"):
        program.build_programs(titles["0.25"].config, data, [Arm("scalefl", "uniform")])
    for name, budget in (("fiarse", "0.25"), ("fjord", "0.75")):
        arm, config = Arm(name, "uniform"), titles[budget].config
        built = program.build_programs(config, data, [arm])
        with pytest.raises(UserError, match="is infeasible"):
            program.build_allocation(config, built[arm], data, arm, Block(0))


def test_shards_partition_the_runs():
    _, sweep = made("small")
    shares = [sweep.share(index, 5) for index in range(1, 6)]
    folders = [run.folder for share in shares for run in share]
    assert sorted(folders) == sorted(run.folder for run in sweep.runs)
    assert len(set(folders)) == len(folders) == 36
    # Tasks are spread, too: no share has all of the slow one.
    counts = collections.Counter(run.point.shown["task"] for run in shares[0])
    assert max(counts.values()) <= 3


def test_ones_own_methods_run_everywhere():
    found = suite.read_suite("small", ("mine",))
    assert all("mine" in arms for task in found.tasks for arms in task.arms.values())


def test_runs_read_their_data_below_one_folder():
    _, sweep = made("small")
    places = {
        run.point.shown["task"]: (run.config.data.data_path, run.config.data.data_dir)
        for run in sweep.runs
    }
    assert places == {
        "titles": ("d/medium/medium_data.csv", ""),
        "digits": ("", "d"),
        "cifar10": ("", "d/cifar10"),
        "ag_news": ("", "d/ag_news"),
    }


@pytest.mark.parametrize("flag", ["--num_rounds=2", "--methods=hasa", "--vary=seed=1", "--seed=3"])
def test_what_the_suite_fixes_is_refused(flag):
    with pytest.raises(UserError, match="is fixed by the suite"):
        made("small", flag)


def test_how_the_machine_is_used_is_free():
    _, sweep = made("small", "--client_block=2", "--checkpoint_every=0")
    assert sweep.runs[0].config.execution.client_block == 2
    assert "client_block" in sweep.runs[0].given


def test_missing_files_name_the_task(tmp_path):
    found, _ = made("small")
    with pytest.raises(
        UserError, match=r"task titles reads medium/medium_data\.csv: name the folder"
    ):
        suite.refuse_missing_files(found, {"titles", "digits"}, "")
    (tmp_path / "mnist").mkdir()
    with pytest.raises(UserError, match="task digits needs mnist_m, usps, optdigits in "):
        suite.refuse_missing_files(found, {"digits"}, str(tmp_path))
    suite.refuse_missing_files(found, set(), str(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seeds = 3\n", "has 'seeds', which is none of"),
        ("tasks = [\n", "cannot be read"),
        ("num_seeds = 'many'\n", "`num_seeds` is 'many': write an integer from 1 on"),
        ("num_seeds = 0\n", "`num_seeds` is 0: write an integer from 1 on"),
        ("num_seeds = 2.7\n", "`num_seeds` is 2.7: write an integer"),
        ("first_seed = -1\n", "`first_seed` is -1: write an integer from 0 on"),
        ("reference = 'fjord'\n", "lacks the reference"),
        ("[changes.nothing]\n", "has 'nothing', which is none of"),
        ("[changes.titles]\nnum_round = 3\n", "no field 'num_round'"),
        ("[changes.titles]\nnum_rounds = 0\n", "task titles: `num_rounds` is 0"),
    ],
)
def test_damaged_suites_are_refused(tmp_path, change, words):
    text = (suite.FOLDER / "small.toml").read_text(encoding="utf-8")
    key = change.partition(" ")[0]
    head, _, tail = text.partition("[changes.titles]")
    lines = [line for line in head.splitlines() if not line.startswith(f"{key} =")]
    if change.startswith("["):
        rest = "" if change.startswith("[changes.titles]") else f"[changes.titles]{tail}"
        content = "\n".join([*lines, change, rest])
    else:
        content = "\n".join([change, *lines, f"[changes.titles]{tail}"])
    (tmp_path / "own.toml").write_text(content, encoding="utf-8")
    tasks = (suite.FOLDER / "tasks.toml").read_text(encoding="utf-8")
    (tmp_path / "tasks.toml").write_text(tasks, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        made(str(tmp_path / "own.toml"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("budgets = [0.25, 0.5, 0.75]", "budgets = []", "arms without `budgets`"),
        ("budgets = [0.25, 0.5, 0.75]", "budgets = [7]", "a budget is 7: write fractions"),
        ("budgets = [0.25, 0.5, 0.75]", "budgets = [nan]", "a budget is nan"),
        ('tasks = "tasks.toml"', "", "has no text `tasks`"),
        ('tasks = "tasks.toml"', 'tasks = "empty.toml"', "has no tasks"),
    ],
)
def test_suites_without_a_part_are_refused(tmp_path, old, new, words):
    text = (suite.FOLDER / "small.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "own.toml").write_text(text.replace(old, new), encoding="utf-8")
    tasks = (suite.FOLDER / "tasks.toml").read_text(encoding="utf-8")
    (tmp_path / "tasks.toml").write_text(tasks, encoding="utf-8")
    (tmp_path / "empty.toml").touch()
    with pytest.raises(UserError, match=words):
        made(str(tmp_path / "own.toml"))


def test_unknown_suites_are_refused():
    with pytest.raises(UserError, match="there is no such suite; use full, small or a TOML file"):
        suite.read_suite("large", ())


def test_tasks_have_no_fields_but_those_of_the_configuration():
    tasks = tomllib.loads((suite.FOLDER / "tasks.toml").read_text(encoding="utf-8"))
    assert all(name in ROOM_OF for task in tasks.values() for name in task["config"])

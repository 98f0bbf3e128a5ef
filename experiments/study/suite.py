"""A benchmark suite: tasks, arms and budgets as files have them, and the runs that these are."""

from __future__ import annotations

import dataclasses
import pathlib
import tomllib
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from experiments import fields
from experiments.config import ROOM_OF, ROOMS, RunConfig, with_fields
from experiments.rooms import SweepConfig, number_text
from experiments.study.arm import arms_of_compare
from experiments.study.own_methods import own_methods
from experiments.study.sweep_points import Point, Sweep, runs_of
from experiments.study.unused import unread
from hasa_jax.base import UserError

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "suites"
"""Where the suites of the repository are."""

_KEYS = {"tasks", "first_seed", "num_seeds", "reference", "config", "arms", "changes"}
_PLACES = ("data_path", "data_dir")
_OF_TASK = {"title", "files", "data_path", "data_dir", "left_out", "config"}
_OF_LEFT_OUT = {"arm", "budgets", "why"}
_OF_ARMS = {"about", "budgets", "methods"}

_FREE = frozenset({"data_dir", "deterministic_ops", "dry_run", "own_method", "shard", "suite"})
"""Fields that a user may give beside those that decide nothing."""

_FIXED = frozenset(
    {
        *("vary", "points_path", "reference", "matched", "until_halfwidth", "max_seeds"),
        *("coordinator", "num_processes", "process_id"),
    }
)
"""Fields that decide no result, and that a suite has no use for."""


class LeftOut(NamedTuple):
    """An arm that does not apply to a task.

    Attributes:
      task: name of the task.
      arm: as the suite writes it.
      budgets: at which it would have run.
      reason: why it does not.
    """

    task: str
    arm: str
    budgets: tuple[float, ...]
    reason: str


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes:
      name: in folders and tables.
      title: in pictures.
      files: files and folders that it needs, below `data_dir`.
      places: fields that say where its data are, below `data_dir`.
      values: other fields of its runs.
      arms: methods, or `method:policy`, at each budget.
    """

    name: str
    title: str
    files: tuple[str, ...]
    places: Mapping[str, str]
    values: Mapping[str, Any]
    arms: Mapping[float, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Suite:
    """What a benchmark runs.

    Attributes:
      name: of the file.
      reference: `method:policy` that all others are compared with.
      seeds: matched seeds of all arms.
      tasks: in the order of the file.
      left_out: what does not apply.
    """

    name: str
    reference: str
    seeds: range
    tasks: tuple[Task, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def arms_left_out(self) -> int:
        """How many arms of all tasks and budgets do not apply."""
        return sum(len(own.budgets) for own in self.left_out)


def read_suite(name: str, own: Sequence[str]) -> Suite:
    """Reads a suite.

    Args:
      name: of a suite of the repository, or a TOML file.
      own: names of methods of the user's own; they run at all budgets of all tasks.

    Returns:
      The suite.

    Raises:
      UserError: if a file is missing or damaged, or holds what a suite does not have.
    """
    path = pathlib.Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml") if p.stem != "tasks"))
        raise UserError(f"`suite={name}`: there is no such suite; use {known} or a TOML file")
    content = _toml(path)
    if not isinstance(content.get("tasks"), str):
        raise UserError(f"suite {path} has no text `tasks`, the name of the file of its tasks")
    tasks = _toml(path.parent / content["tasks"])
    try:
        return _suite(path, content, tasks, own)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"suite {path} is damaged ({type(error).__name__}: {error}): compare it with "
            f"{FOLDER / 'full.toml'}"
        ) from None


def sweep_of_suite(suite: Suite, config: RunConfig, given: Set[str]) -> Sweep:
    """Makes the runs of a suite: a run of compare for each task, budget and seed.

    Args:
      suite: the suite.
      config: the workdir, the folder of the data and how runs use the machine.
      given: fields that the user gave.

    Returns:
      The sweep; a point is a task at a budget.

    Raises:
      UserError: for a field that the suite fixes, or a bad value in the suite.
    """
    if not config.reporting.workdir:
        raise UserError("a benchmark has a folder for each of its runs: name it with `workdir`")
    for name in sorted(given):
        decides = fields.knobs(ROOMS[ROOM_OF[name]])[name].decides
        if name in _FIXED or (decides and name not in _FREE):
            raise UserError(
                f"`{name}` is fixed by the suite, so that results can be compared: leave it out, "
                "or name a suite of your own with `suite`"
            )
    points = tuple(
        _point(suite, task, budget, config, given) for task in suite.tasks for budget in task.arms
    )
    folder = pathlib.Path(config.reporting.workdir)
    return Sweep(
        folder, ("task", "budget"), points, runs_of("compare", folder, points, suite.seeds)
    )


def refuse_missing_files(suite: Suite, names: Set[str], data_dir: str) -> None:
    """Refuses to begin without the files of a task.

    Args:
      suite: the suite.
      names: of the tasks that run.
      data_dir: the folder of all data.

    Raises:
      UserError: naming the task, and what it needs.
    """
    for task in suite.tasks:
        missing = [file for file in task.files if not (pathlib.Path(data_dir) / file).exists()]
        if task.name in names and missing and not data_dir:
            raise UserError(
                f"task {task.name} reads {', '.join(missing)}: name the folder that has them with "
                "`data_dir`"
            )
        if task.name in names and missing:
            raise UserError(
                f"task {task.name} needs {', '.join(missing)} in {data_dir}, which lacks them: "
                "name the folder that has them with `data_dir`; docs/benchmark.md says which files"
            )


def _toml(path: pathlib.Path) -> dict[str, Any]:
    """Reads a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # Of damaged UTF-8 and TOML, too.
        raise UserError(f"suite {path} cannot be read: {error}") from None


def _suite(
    path: pathlib.Path, content: Mapping[str, Any], tasks: Mapping[str, Any], own: Sequence[str]
) -> Suite:
    """Makes a suite of what its files hold."""
    _check_keys(path, content, _KEYS)
    if not tasks or not content["arms"]:
        raise UserError(f"suite {path} has no {'arms' if tasks else 'tasks'}: name some")
    changes = content.get("changes", {})
    _check_keys(path, changes, set(tasks))
    found, left_out = [], []
    for name, task in tasks.items():
        _check_keys(path, task, _OF_TASK)
        arms, without = _arms(path, name, content["arms"], task.get("left_out", []), own)
        places = {key: str(task[key]) for key in _PLACES if key in task}
        values = {**content["config"], **task["config"], **changes.get(name, {})}
        found.append(Task(name, str(task["title"]), tuple(task["files"]), places, values, arms))
        left_out += without
        if any(content["reference"] not in own_arms for own_arms in arms.values()):
            raise ValueError(f"task {name} lacks the reference at some budget")
    first, count = (
        _integer(path, name, content[name], least)
        for name, least in (("first_seed", 0), ("num_seeds", 1))
    )
    seeds = range(first, first + count)
    return Suite(path.stem, str(content["reference"]), seeds, tuple(found), tuple(left_out))


def _integer(path: pathlib.Path, name: str, value: Any, least: int) -> int:
    """Returns a value that must be an integer."""
    if type(value) is not int or value < least:
        raise UserError(f"suite {path}: `{name}` is {value!r}: write an integer from {least} on")
    return value


def _budgets(path: pathlib.Path, group: Mapping[str, Any]) -> list[float]:
    """Returns the budgets of a group of arms."""
    budgets = list(map(float, group["budgets"]))
    if not budgets or not group["methods"]:
        raise UserError(f"suite {path} has arms without `budgets` or without `methods`: name some")
    for budget in budgets:
        if not 0 < budget <= 1:
            raise UserError(
                f"suite {path}: a budget is {budget:g}: write fractions of the supernet, above 0 "
                "and at most 1"
            )
    return budgets


def _arms(
    path: pathlib.Path,
    task: str,
    groups: Sequence[Mapping[str, Any]],
    without: Sequence[Mapping[str, Any]],
    own: Sequence[str],
) -> tuple[dict[float, tuple[str, ...]], list[LeftOut]]:
    """Returns the arms of a task at each budget, and those that do not apply to it."""
    wanted: dict[float, list[str]] = {}
    for group in groups:
        _check_keys(path, group, _OF_ARMS)
        for budget in _budgets(path, group):
            wanted.setdefault(budget, []).extend(group["methods"])
    left_out = []
    for entry in without:
        _check_keys(path, entry, _OF_LEFT_OUT)
        arm, at = entry["arm"], entry.get("budgets", list(wanted))
        budgets = tuple(
            budget for budget in sorted(wanted) if budget in at and arm in wanted[budget]
        )
        for budget in budgets:
            wanted[budget].remove(arm)
        if budgets:
            left_out.append(LeftOut(task, arm, budgets, str(entry["why"])))
    return {budget: (*wanted[budget], *own) for budget in sorted(wanted)}, left_out


def _check_keys(path: pathlib.Path, content: Mapping[str, Any], known: Set[str]) -> None:
    """Refuses what a file of a suite does not have."""
    if unknown := sorted(set(content) - known):
        raise UserError(
            f"suite {path} has {unknown[0]!r}, which is none of {', '.join(sorted(known))}"
        )


def _point(suite: Suite, task: Task, budget: float, config: RunConfig, given: Set[str]) -> Point:
    """Makes the point of a task at a budget."""
    data = pathlib.Path(config.data.data_dir)
    plain = {name: fields.defaults(SweepConfig)[name] for name in fields.knobs(SweepConfig)}
    places = {name: str(data / place) for name, place in task.places.items()}
    values = {**task.values, **places, "budget": budget, "methods": task.arms[budget]}
    try:
        own = with_fields(config, {**plain, "data_dir": "", **values})
        for name in _read_elsewhere(task, own):
            del values[name]
        own = with_fields(config, {**plain, "data_dir": "", **values})
    except UserError as error:
        raise UserError(f"suite {suite.name}, task {task.name}: {error}") from None
    chosen = {*given - {*plain, "data_dir"}, *values}
    shown = {"task": task.name, "budget": number_text(budget)}
    return Point(shown, own, frozenset(chosen))


def _read_elsewhere(task: Task, config: RunConfig) -> frozenset[str]:
    """Returns fields of a task that no arm of a point reads, but one at another budget does."""
    every = tuple(dict.fromkeys(arm for arms in task.arms.values() for arm in arms))
    of_task = with_fields(config, {"methods": every})
    idle, nowhere = (unread(own, arms_of_compare(own, frozenset())) for own in (config, of_task))
    return (idle - nowhere) & task.values.keys()


def names_of_own(config: RunConfig) -> tuple[str, ...]:
    """Returns the names of the user's own methods, which join every task."""
    return tuple(own_methods(config.method.own_method))

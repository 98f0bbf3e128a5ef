"""The tables of a benchmark suite, of all finished shards: benchmark.md, .csv and others."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import pathlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from experiments.analysis import statistics
from experiments.analysis.markdown import notes, paragraph
from experiments.analysis.pictures import style
from experiments.analysis.pictures import suite as suite_picture
from experiments.analysis.rendering import markdown, terminal
from experiments.analysis.rendering.files import files_of, replace
from experiments.analysis.statistics import ALPHA
from experiments.analysis.suite_results import Outcome, measuring_remarks, outcomes_of, ranks
from experiments.analysis.table import Cell, Table
from experiments.rooms import number_text
from experiments.study import sweep_states
from experiments.study.suite import Suite, Task
from experiments.study.sweep_points import Sweep
from experiments.study.sweep_states import State
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.entries import check_files

STEM = "benchmark"
TEXT, NUMBERS, PICTURE = f"{STEM}.md", f"{STEM}.csv", f"{STEM}.png"
"""Names of the files in the workdir of a benchmark."""

_COSTS = ("budget_macs", "bytes_down", "bytes_up", "budget_executed")
"""Columns of benchmark.csv."""

_MEGABYTE = 1e6


def write(suite: Suite, formats: Sequence[str], found: Sweep) -> str:
    """Writes the tables and the picture of what is there when the last shard ends.

    Args:
      suite: what runs.
      formats: beside Markdown and CSV, which are always written, some of `rooms.TABLE_FORMATS`.
      found: all runs; other processes may be at work on some.

    Returns:
      The tables for a terminal, and why there is no picture if that is so.

    Raises:
      UserError: if something in the folder leads out of it.
    """
    others = [name for name in formats if name not in ("markdown", "csv")]
    states, before, text = sweep_states.states_of(found.runs), None, ""
    # A shard that ends meanwhile may write its table first; this one must not hide its runs.
    while states != before:
        own = made(suite, found, states)
        files = {TEXT: own.text, NUMBERS: own.numbers, **files_of(STEM, own.tables, others)}
        check_files(found.folder, (*files, PICTURE), "workdir")
        for name, content in files.items():
            replace(found.folder / name, content)
        why = _drawn(suite, own.outcomes, found.folder / PICTURE)
        shown = terminal.document(own.tables)
        text = f"{shown}\n\n{why}" if why else shown
        states, before = sweep_states.states_of(found.runs), states
    return text


@dataclasses.dataclass(frozen=True)
class Made:
    """What there is of a suite.

    Attributes:
      suite: what runs.
      outcomes: of every task, budget and arm.
      tables: as `tables_of` makes them.
      numbers: all numbers, as CSV.
    """

    suite: Suite
    outcomes: Sequence[Outcome]
    tables: tuple[Table, ...]
    numbers: str

    @property
    def text(self) -> str:
        """All tables in Markdown, the content of benchmark.md."""
        return text_of(self.suite, self.tables)

    @property
    def ranks(self) -> str:
        """The first table in Markdown: mean ranks and counts of verdicts."""
        return markdown.grid(self.tables[0], at_left=True)


def made(suite: Suite, found: Sweep, states: Sequence[State]) -> Made:
    """Makes the tables of what is there.

    Args:
      suite: what runs.
      found: all runs.
      states: of every run, in their order.

    Returns:
      The tables; nothing is written.
    """
    outcomes, reasons = outcomes_of(suite, found, states)
    tables = tables_of(suite, outcomes, remarks_of(found, states, reasons))
    return Made(suite, outcomes, tables, csv_of(suite, outcomes))


def shown(suite: Suite, found: Sweep, states: Sequence[State]) -> str:
    """Returns the tables of what is there, for a terminal.

    Args:
      suite: what runs.
      found: all runs.
      states: of every run, in their order.
    """
    return terminal.document(made(suite, found, states).tables)


def tables_of(
    suite: Suite, outcomes: Sequence[Outcome], remarks: Sequence[str]
) -> tuple[Table, ...]:
    """Makes the tables.

    Args:
      suite: what ran.
      outcomes: of every task, budget and arm, in their order.
      remarks: one line each.

    Returns:
      The ranks of all arms, and a table for each task. The notes of the first are what the numbers
      are, what does not apply, and remarks.
    """
    without = [
        f"does not apply: {own.arm} on {own.task}, {_numbers(own.budgets)}: {own.reason}."
        for own in suite.left_out
    ]
    count = f"{suite.arms_left_out} arms of all tasks and budgets do not apply and are left out."
    measuring = measuring_remarks(outcomes, suite.reference)
    about = (_caption(suite), *without, count, *measuring, *remarks)
    first = dataclasses.replace(_ranks(suite, outcomes), notes=about)
    return first, *(
        _of_task(task, [outcome for outcome in outcomes if outcome.task == task.name])
        for task in suite.tasks
    )


def text_of(suite: Suite, tables: Sequence[Table]) -> str:
    """Writes the tables in Markdown.

    Args:
      suite: what ran.
      tables: as `tables_of` makes them.

    Returns:
      The content of benchmark.md: a section for each task, and the remarks at its end.
    """
    first, *of_tasks = tables
    caption, *lines = map(markdown.escape, first.notes)
    parts = [f"# Benchmark suite {suite.name}", paragraph(caption)]
    parts.append(markdown.grid(first, at_left=True))
    for table in of_tasks:
        parts += [f"## {table.title}", markdown.grid(table, at_left=True)]
    return "\n\n".join([*parts, notes(lines)]) + "\n"


def csv_of(suite: Suite, outcomes: Sequence[Outcome]) -> str:
    """Writes the numbers of all tables as CSV.

    Args:
      suite: what ran.
      outcomes: of every task, budget and arm, in their order.

    Returns:
      A line for each outcome, and for each arm that does not apply, with the reason.
    """
    columns = [
        *("suite", "task", "budget", "arm", "seeds", "of", "mean_accuracy", "mean_interval"),
        *("worst_accuracy", "worst_interval", "difference", "difference_interval", "p_holm"),
        *("verdict", "rank", *_COSTS),
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for outcome in outcomes:
        values = [list(each.values()) for each in (outcome.accuracies, outcome.worst)]
        numbers = [cell for own in (*values, list(outcome.differences)) for cell in _cells(own)]
        writer.writerow(
            [
                *map(escapes.csv_cell, [suite.name, outcome.task]),
                *(
                    number_text(outcome.budget),
                    escapes.csv_cell(outcome.arm),
                    len(outcome.accuracies),
                    outcome.of,
                ),
                *(*numbers, _cell(outcome.p), outcome.verdict, _cell(outcome.rank)),
                *(_cell(outcome.costs[name]) for name in _COSTS),
            ]
        )
    for own in suite.left_out:
        for budget in own.budgets:
            cells = [suite.name, own.task, number_text(budget), own.arm]
            reason = f"does not apply: {own.reason}"
            writer.writerow(
                [*cells, 0, 0, *[""] * 7, escapes.csv_cell(reason), *[""] * (1 + len(_COSTS))]
            )
    return text.getvalue()


def remarks_of(found: Sweep, states: Sequence[State], reasons: Sequence[str]) -> list[str]:
    """Counts the runs by their state, and names those that are not done.

    Args:
      found: all runs.
      states: of every run, in their order.
      reasons: why results cannot be read.

    Returns:
      One line each.
    """
    lines = sweep_states.lines_of(found.runs, states)
    return [*lines, *(f"cannot be read: {reason}." for reason in reasons)]


def _caption(suite: Suite) -> str:
    """Says what the numbers are."""
    return (
        f"{len(suite.seeds)} matched seeds, from {suite.seeds[0]} on. Last round: mean over "
        "clients of the test accuracy of each client's own subnet, mean over seeds ± half the 95 % "
        f"Student interval. Δ is in points, paired by seed, to {suite.reference} at the same "
        "budget; p of the paired t test, adjusted by Holm over the arms of a task and budget, and "
        f"at most {ALPHA:g} for better or worse. B is the budget and MACs what was achieved, "
        "fractions of the supernet's; MB is what a client receives and sends in a round. Rank 1 is "
        "the highest mean of a task and budget; ranks are means over tasks."
    )


def _ranks(suite: Suite, outcomes: Sequence[Outcome]) -> Table:
    """Makes the table of ranks: means over tasks, by budget, and how often arms win."""
    found = ranks(outcomes)
    named = [statistics.verdict(gain, 0.0) for gain in (1.0, 0.0, -1.0)]
    budgets = sorted({outcome.budget for outcome in outcomes})
    rows = []
    for arm, by_budget in found.items():
        own = [outcome for outcome in outcomes if outcome.arm == arm]
        verdicts = Counter(outcome.verdict for outcome in own)
        means = [_mean(by_budget.get(budget, [])) for budget in budgets]
        tasks = len({outcome.task for outcome in own if outcome.accuracies})
        counts = [tasks, *(verdicts[what] for what in named)]
        rows.append((Cell(arm), *means, *(Cell(str(count), float(count)) for count in counts)))
    budgeted = (f"B {number_text(budget)}" for budget in budgets)
    headers = ("mean rank", *budgeted, "tasks", *named)
    title = f"Ranks in benchmark suite {suite.name}, and how often arms differ from the reference"
    return Table(f"{STEM}_ranks", title, headers, tuple(rows))


def _of_task(task: Task, outcomes: Sequence[Outcome]) -> Table:
    """Makes the table of one task."""
    rows = []
    for outcome in outcomes:
        values = np.array(list(outcome.accuracies.values()))
        gains = np.array(outcome.differences)
        half = statistics.interval(gains) if len(gains) else math.nan
        mean = float(gains.mean()) if len(gains) else None
        gain = "" if mean is None else statistics.number(mean, half, signed=True)
        p = f" ({statistics.p_text(outcome.p)})" if not math.isnan(outcome.p) else ""
        accuracy = statistics.accuracy_text(values) if len(values) else ""
        short = f" [{len(values)} of {outcome.of}]" if len(values) < outcome.of else ""
        rows.append(
            (
                Cell(outcome.arm),
                Cell(number_text(outcome.budget), outcome.budget),
                Cell(f"{accuracy}{short}".strip(), float(values.mean()) if len(values) else None),
                Cell(f"{gain}{p}", mean),
                Cell(outcome.verdict),
                _number(outcome.costs["budget_macs"], "{:.3f}"),
                _number(outcome.bytes / _MEGABYTE, "{:.3g}"),
            )
        )
    headers = ("arm", "budget", "mean %", "Δ (p)", "verdict", "MACs", "MB")
    return Table(f"{STEM}_{task.name}", f"{task.title} ({task.name})", headers, tuple(rows))


def _drawn(suite: Suite, outcomes: Sequence[Outcome], target: pathlib.Path) -> str:
    """Draws the picture, or takes an old one away; returns why there is none, or nothing."""
    target.unlink(missing_ok=True)
    if not any(outcome.accuracies for outcome in outcomes):
        return ""
    try:
        style.save(suite_picture.figure_of(suite, outcomes), target)
    except UserError as error:  # The tables must not be lost without matplotlib.
        return f"no picture: {error}"
    return ""


def _numbers(budgets: Sequence[float]) -> str:
    """Names some budgets."""
    return f"B {', '.join(map(number_text, budgets))}"


def _mean(values: Sequence[float]) -> Cell:
    """Makes the cell of a mean rank."""
    return Cell(f"{np.mean(values):.1f}", float(np.mean(values))) if values else Cell("")


def _number(value: float, form: str) -> Cell:
    """Makes the cell of a number, empty if it is not known."""
    return Cell("") if math.isnan(value) else Cell(form.format(value), value)


def _cell(value: float) -> float | str:
    """Returns a number for CSV; empty if it is not known."""
    return "" if math.isnan(value) else value


def _cells(values: Sequence[float]) -> tuple[float | str, float | str]:
    """Returns a mean and half its interval, empty where there is none."""
    if not values:
        return "", ""
    return float(np.mean(values)), _cell(statistics.interval(np.array(values)))

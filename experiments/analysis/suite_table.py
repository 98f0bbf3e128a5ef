"""The tables of a benchmark suite, benchmark.md and benchmark.csv, of all finished shards."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import pathlib
import socket
from collections import Counter
from collections.abc import Sequence

import numpy as np

from experiments.analysis import markdown, statistics
from experiments.analysis.pictures import style
from experiments.analysis.pictures import suite as suite_picture
from experiments.analysis.statistics import ALPHA
from experiments.analysis.suite_results import Outcome, measuring_remarks, outcomes_of, ranks
from experiments.rooms import number_text
from experiments.study import sweep_states
from experiments.study.suite import Suite
from experiments.study.sweep_points import Sweep
from experiments.study.sweep_states import State
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.entries import check_files

TEXT, NUMBERS, PICTURE = "benchmark.md", "benchmark.csv", "benchmark.png"
"""Names of the files in the workdir of a benchmark."""

_COSTS = ("budget_macs", "bytes_down", "bytes_up", "budget_executed")
"""Columns of benchmark.csv."""

_MEGABYTE = 1e6


def write(suite: Suite, found: Sweep) -> str:
    """Writes the tables and the picture of what is there when the last shard ends.

    Args:
      suite: what runs.
      found: all runs; other processes may be at work on some.

    Returns:
      The text of benchmark.md, and why there is no picture if that is so.

    Raises:
      UserError: if something in the folder leads out of it.
    """
    check_files(found.folder, (TEXT, NUMBERS, PICTURE), "workdir")
    states, before, text = sweep_states.states_of(found.runs), None, ""
    # A shard that ends meanwhile may write its table first; this one must not hide its runs.
    while states != before:
        own = made(suite, found, states)
        _replace(found.folder / TEXT, own.text)
        _replace(found.folder / NUMBERS, own.numbers)
        why = _drawn(suite, own.outcomes, found.folder / PICTURE)
        text = f"{own.text}\n{why}\n" if why else own.text
        states, before = sweep_states.states_of(found.runs), states
    return text


@dataclasses.dataclass(frozen=True)
class Made:
    """What there is of a suite.

    Attributes:
      suite: what runs.
      outcomes: of every task, budget and arm.
      text: all tables, in Markdown.
      numbers: all numbers, as CSV.
    """

    suite: Suite
    outcomes: Sequence[Outcome]
    text: str
    numbers: str

    @property
    def ranks(self) -> str:
        """The first table: mean ranks and counts of verdicts."""
        table = self.text[self.text.index("\n|") + 1 :]
        return table[: table.index("\n\n")]


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
    text = text_of(suite, outcomes, remarks_of(found, states, reasons))
    return Made(suite, outcomes, text, csv_of(suite, outcomes))


def shown(suite: Suite, found: Sweep, states: Sequence[State]) -> str:
    """Returns the tables of what is there.

    Args:
      suite: what runs.
      found: all runs.
      states: of every run, in their order.

    Returns:
      Markdown.
    """
    return made(suite, found, states).text


def text_of(suite: Suite, outcomes: Sequence[Outcome], remarks: Sequence[str]) -> str:
    """Writes the tables.

    Args:
      suite: what ran.
      outcomes: of every task, budget and arm, in their order.
      remarks: one line each.

    Returns:
      Markdown: the ranks of all arms, a table for each task, what does not apply, and remarks.
    """
    parts = [
        f"# Benchmark suite {suite.name}",
        markdown.paragraph(_caption(suite)),
        _ranks(outcomes),
    ]
    for task in suite.tasks:
        own = [outcome for outcome in outcomes if outcome.task == task.name]
        parts += [f"## {task.title} ({task.name})", _of_task(own)]
    without = [
        f"does not apply: {own.arm} on {own.task}, {_numbers(own.budgets)}: {own.reason}."
        for own in suite.left_out
    ]
    count = f"{suite.arms_left_out} arms of all tasks and budgets do not apply and are left out."
    measuring = measuring_remarks(outcomes, suite.reference)
    lines = [*map(escapes.markdown, [*without, count, *measuring, *remarks])]
    return "\n\n".join([*parts, markdown.notes(lines)]) + "\n"


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


def _ranks(outcomes: Sequence[Outcome]) -> str:
    """Makes the table of ranks: means over tasks, by budget, and how often arms win."""
    found = ranks(outcomes)
    named = [statistics.verdict(gain, 0.0) for gain in (1.0, 0.0, -1.0)]
    budgets = sorted({outcome.budget for outcome in outcomes})
    lines = []
    for arm, by_budget in found.items():
        own = [outcome for outcome in outcomes if outcome.arm == arm]
        verdicts = Counter(outcome.verdict for outcome in own)
        cells = [_mean(by_budget.get(budget, [])) for budget in budgets]
        tasks = len({outcome.task for outcome in own if outcome.accuracies})
        counts = [str(verdicts[what]) for what in named]
        lines.append([arm, *cells, str(tasks), *counts])
    headers = ["mean rank", *(f"B {number_text(b)}" for b in budgets), "tasks"]
    return markdown.table([*headers, *named], lines)


def _of_task(outcomes: Sequence[Outcome]) -> str:
    """Makes the table of one task."""
    lines = []
    for outcome in outcomes:
        values = np.array(list(outcome.accuracies.values()))
        gains = np.array(outcome.differences)
        half = statistics.interval(gains) if len(gains) else math.nan
        gain = statistics.number(float(gains.mean()), half, signed=True) if len(gains) else ""
        p = f" ({statistics.p_text(outcome.p)})" if not math.isnan(outcome.p) else ""
        accuracy = statistics.accuracy_text(values) if len(values) else ""
        short = f" [{len(values)} of {outcome.of}]" if len(values) < outcome.of else ""
        lines.append(
            [
                outcome.arm,
                *(
                    number_text(outcome.budget),
                    f"{accuracy}{short}".strip(),
                    f"{gain}{p}",
                    outcome.verdict,
                ),
                *(_number(outcome.costs["budget_macs"], "{:.3f}"), _megabytes(outcome.bytes)),
            ]
        )
    return markdown.table(["arm", "B", "mean %", "Δ (p)", "verdict", "MACs", "MB"], lines)


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


def _replace(path: pathlib.Path, text: str) -> None:
    """Replaces a file at once; shards on other machines write theirs."""
    own = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    own.write_text(text, encoding="utf-8")
    own.replace(path)


def _numbers(budgets: Sequence[float]) -> str:
    """Names some budgets."""
    return f"B {', '.join(map(number_text, budgets))}"


def _mean(values: Sequence[float]) -> str:
    """Makes the cell of a mean rank."""
    return f"{np.mean(values):.1f}" if values else ""


def _number(value: float, form: str) -> str:
    """Writes a number, or nothing if it is not known."""
    return "" if math.isnan(value) else form.format(value)


def _megabytes(value: float) -> str:
    """Writes bytes as megabytes."""
    return _number(value / _MEGABYTE, "{:.3g}")


def _cell(value: float) -> float | str:
    """Returns a number for CSV; empty if it is not known."""
    return "" if math.isnan(value) else value


def _cells(values: Sequence[float]) -> tuple[float | str, float | str]:
    """Returns a mean and half its interval, empty where there is none."""
    if not values:
        return "", ""
    return float(np.mean(values)), _cell(statistics.interval(np.array(values)))

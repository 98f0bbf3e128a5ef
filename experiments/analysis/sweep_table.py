"""The table of a sweep: a row for each point and arm, whichever shards have finished."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis import results
from experiments.analysis.markdown import notes, paragraph
from experiments.analysis.rendering import markdown, terminal
from experiments.analysis.rendering.files import files_of, replace
from experiments.analysis.results import METRICS, Results
from experiments.analysis.statistics import accuracy_text, interval
from experiments.analysis.table import Cell, Table
from experiments.study import sweep_states
from experiments.study.arm import Arm
from experiments.study.sweep_points import Run, Sweep
from experiments.study.sweep_states import BEGUN, DONE, FAILED, MISSING, State
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.entries import check_files

STEM = "sweep"
NAME = f"{STEM}.csv"
"""Name of the file with all numbers in the workdir of a sweep."""

_VALIDATION = "validation"

_CAPTION = (
    "Last round: mean over the seeds that are done ± half the 95 % Student interval, of client "
    "test accuracy (mean, worst, tail) and of the mean on the clients' validation examples, by "
    "which values are chosen."
)
"""What the numbers are."""


class Line(NamedTuple):
    """One point and arm.

    Attributes:
      shown: text of every varied field.
      arm: method and policy; empty where the configuration of the point is refused.
      state: that of the point: done if all of its seeds are.
      seeds: how many are done.
      of: how many there are.
      round: of the accuracies, the last one.
      accuracies: of every seed that is done, by metric: those of the clients' tests, and
        `validation`, the mean over clients on their validation examples.
      reason: why the results of the point cannot be read; empty if they can.
    """

    shown: dict[str, str]
    arm: Arm
    state: str
    seeds: int
    of: int
    round: int
    accuracies: dict[str, np.ndarray]
    reason: str = ""

    @property
    def label(self) -> str:
        """The arm as `method:policy`; empty if there is none."""
        return ":".join(filter(None, self.arm))


def lines_of(sweep: Sweep, states: Sequence[State]) -> list[Line]:
    """Reads what there is of every point.

    Args:
      sweep: all runs.
      states: of every run, in their order.

    Returns:
      A line for each point and arm, in the order of the points.
    """
    found: list[Line] = []
    pairs = list(zip(sweep.runs, states, strict=True))
    seeds = len(pairs) // len(sweep.points)
    for place, point in enumerate(sweep.points):
        own = pairs[place * seeds : (place + 1) * seeds]
        done = [run for run, state in own if state.what == DONE]
        read, reason = _read(done)
        counts = Counter(state.what for _, state in own)
        state = next((s for s in (FAILED, BEGUN) if counts[s]), BEGUN if done else MISSING)
        if reason:
            state = FAILED
        elif len(done) == len(own):
            state = DONE
        last = point.config.training.num_rounds
        found += [
            Line(
                dict(point.shown),
                arm,
                state,
                len(done),
                len(own),
                last,
                _accuracies(read, arm, last) if read else {},
                reason,
            )
            for arm in _arms(own[0][0])
        ]
    return found


def write(formats: Sequence[str], sweep: Sweep) -> str:
    """Writes the table into the workdir of a sweep, as it is when the last shard ends.

    Args:
      formats: beside sweep.csv, which is always written, some of `rooms.TABLE_FORMATS`.
      sweep: all runs; other processes may be at work on some.

    Returns:
      The table for a terminal.

    Raises:
      UserError: if something in the folder leads out of it.
    """
    others = [name for name in formats if name != "csv"]
    states, before, text = sweep_states.states_of(sweep.runs), None, ""
    # A shard that ends meanwhile may write its table first; this one must not hide its runs.
    while states != before:
        lines = lines_of(sweep, states)
        table = table_of(lines, sweep, states)
        files = {NAME: csv_of(sweep, lines)}
        files |= files_of(STEM, (table,), others, text_of(table))
        check_files(sweep.folder, tuple(files), "workdir")
        for name, content in files.items():
            replace(sweep.folder / name, content)
        text = terminal.render(table)
        states, before = sweep_states.states_of(sweep.runs), states
    return text


def shown(sweep: Sweep, states: Sequence[State]) -> str:
    """Returns the table of a sweep for a terminal.

    Args:
      sweep: all runs.
      states: of every run, in their order.
    """
    return terminal.render(table_of(lines_of(sweep, states), sweep, states))


def table_of(lines: Sequence[Line], sweep: Sweep, states: Sequence[State]) -> Table:
    """Makes the table.

    Args:
      lines: as `lines_of` returns them.
      sweep: all runs.
      states: of every run, in their order.

    Returns:
      The table; its notes say what the numbers are, how many runs are done, and which are not.
    """
    first = sweep.fields[:1] or ("point",)
    several = len({(*line.shown.values(),) for line in lines}) < len(lines)
    metrics = (*METRICS, _VALIDATION)
    headers = (*first, *sweep.fields[1:], *["arm"] * several, "state", "seeds")
    rows = []
    for line in lines:
        texts = [*(line.shown.values() or ["all"]), *[line.label] * several, line.state]
        known = [line.accuracies.get(metric, np.array([])) for metric in metrics]
        seeds = Cell(f"{line.seeds} of {line.of}", float(line.seeds))
        rows.append((*map(Cell, texts), seeds, *map(_accuracy, known)))
    about = (_CAPTION, *_remarks(lines, sweep.runs, states))
    title = "Every point of the sweep"
    headers = (*headers, *(f"{metric} %" for metric in metrics))
    return Table(STEM, title, headers, tuple(rows), about)


def text_of(table: Table) -> str:
    """Writes the table in Markdown.

    Args:
      table: as `table_of` makes it.

    Returns:
      The content of sweep.md.
    """
    caption, *lines = map(markdown.escape, table.notes)
    grid = markdown.grid(table, at_left=True)
    return "\n\n".join([paragraph(caption), grid, notes(lines)]) + "\n"


def _arms(run: Run) -> list[Arm]:
    """Returns the arms of a run, or an empty one if its configuration is refused."""
    try:
        return run.arms
    except UserError:
        return [Arm("", "")]


def _read(done: Sequence[Run]) -> tuple[Results | None, str]:
    """Reads the seeds of a point that are done; returns them, or why they cannot be read."""
    if not done:
        return None, ""
    try:
        return results.read([run.folder for run in done]), ""
    except UserError as error:
        return None, f"{done[0].point.label}: {error}"


def _accuracies(found: Results, arm: Arm, last: int) -> dict[str, np.ndarray]:
    """Returns the accuracies of an arm in a round, one for each seed (the mean of its folds)."""

    def own(records: Sequence[results.Record]) -> list[results.Record]:
        wanted = (arm.method, arm.policy, str(last))
        return [r for r in records if (r["method"], r["policy"], r["round"]) == wanted]

    summary = own(found.summary)
    of_seeds = {seed: [r for r in summary if r["seed"] == seed] for seed in _seeds(summary)}
    values = {
        m: np.array([np.mean([float(r[f"{m}_accuracy"]) for r in of]) for of in of_seeds.values()])
        for m in METRICS
    }
    by_seed: dict[str, list[float]] = {}
    for record in own(found.metrics):
        if record["split"] == _VALIDATION:
            by_seed.setdefault(record["seed"], []).append(float(record["accuracy"]))
    # Clients without validation examples have no accuracy.
    known = [np.array(of_seed)[~np.isnan(of_seed)] for of_seed in by_seed.values()]
    values[_VALIDATION] = np.array([of_seed.mean() for of_seed in known if len(of_seed)])
    return values


def _seeds(records: Sequence[results.Record]) -> list[str]:
    """Returns the seeds of records, in their order."""
    return list(dict.fromkeys(record["seed"] for record in records))


def csv_of(sweep: Sweep, lines: Sequence[Line]) -> str:
    """Writes all numbers.

    Args:
      sweep: all runs.
      lines: as `lines_of` returns them.

    Returns:
      The content of sweep.csv.
    """
    metrics = (*METRICS, _VALIDATION)
    columns = [f"{metric}_{what}" for metric in metrics for what in ("accuracy", "interval")]
    columns = [*sweep.fields, "arm", "state", "seeds", "of", "round", *columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        numbers = [line.accuracies.get(metric, np.array([])) for metric in metrics]
        writer.writerow(
            [
                *map(escapes.csv_cell, [*line.shown.values(), line.label]),
                *(line.state, line.seeds, line.of, line.round),
                *(cell for values in numbers for cell in _cells(values)),
            ]
        )
    return text.getvalue()


def _accuracy(values: np.ndarray) -> Cell:
    """Makes the cell of the accuracies of seeds, empty without any."""
    if not len(values):
        return Cell("")
    return Cell(accuracy_text(100 * values), 100 * float(values.mean()))


def _cells(values: np.ndarray) -> tuple[float | str, float | str]:
    """Returns a mean and half its interval, empty where there is none."""
    half = interval(values)
    return float(values.mean()) if len(values) else "", "" if np.isnan(half) else half


def _remarks(lines: Sequence[Line], runs: Sequence[Run], states: Sequence[State]) -> list[str]:
    """Counts the runs by their state, and names those that are not done."""
    unread = dict.fromkeys(line.reason for line in lines if line.reason)
    counts = sweep_states.lines_of(runs, states)
    return [*counts, *(f"cannot be read: {reason}" for reason in unread)]

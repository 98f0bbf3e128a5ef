"""The table of a sweep: a line for each point and arm, whichever shards have finished."""

from __future__ import annotations

import csv
import os
import socket
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis import markdown, results
from experiments.analysis.results import METRICS, Results
from experiments.analysis.statistics import accuracy_text, interval
from experiments.study import sweep_states
from experiments.study.arm import Arm
from experiments.study.sweep_points import Run, Sweep
from experiments.study.sweep_states import BEGUN, DONE, FAILED, MISSING, State
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.entries import check_files

NAME = "sweep.csv"
"""Name of the table in the workdir of a sweep."""

_VALIDATION = "validation"


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


def write(sweep: Sweep) -> str:
    """Writes sweep.csv into the workdir of a sweep, as it is when the last shard ends.

    Args:
      sweep: all runs; other processes may be at work on some.

    Returns:
      The table as text.

    Raises:
      UserError: if something in the folder leads out of it.
    """
    check_files(sweep.folder, (NAME,), "workdir")
    states, before = sweep_states.states_of(sweep.runs), None
    lines: list[Line] = []
    # A shard that ends meanwhile may write its table first; this one must not hide its runs.
    while states != before:
        lines = lines_of(sweep, states)
        _write_csv(sweep, lines)
        states, before = sweep_states.states_of(sweep.runs), states
    return text_of(lines, sweep, states)


def shown(sweep: Sweep, states: Sequence[State]) -> str:
    """Returns the table of a sweep for a terminal, as `text_of`.

    Args:
      sweep: all runs.
      states: of every run, in their order.
    """
    return text_of(lines_of(sweep, states), sweep, states)


def text_of(lines: Sequence[Line], sweep: Sweep, states: Sequence[State]) -> str:
    """Writes the table for a terminal.

    Args:
      lines: as `lines_of` returns them.
      sweep: all runs.
      states: of every run, in their order.

    Returns:
      Markdown: the table, how many runs are done, and which are not.
    """
    first = sweep.fields[:1] or ("point",)
    several = len({(*line.shown.values(),) for line in lines}) < len(lines)
    metrics = (*METRICS, _VALIDATION)
    headers = [*first, *sweep.fields[1:], *["arm"] * several, "state", "seeds"]
    cells = []
    for line in lines:
        point = [*line.shown.values()] or ["all"]
        arm = [escapes.markdown(line.label)] * several
        known = [line.accuracies.get(metric, np.array([])) for metric in metrics]
        cells.append(
            [
                point[0],
                *map(escapes.markdown, point[1:]),
                *arm,
                line.state,
                f"{line.seeds} of {line.of}",
                *(accuracy_text(100 * own) if len(own) else "" for own in known),
            ]
        )
    table = markdown.table([*headers, *(f"{metric} %" for metric in metrics)], cells)
    caption = markdown.paragraph(
        "Last round: mean over the seeds that are done ± half the 95 % Student interval, of client "
        "test accuracy (mean, worst, tail) and of the mean on the clients' validation examples, by "
        "which values are chosen."
    )
    return "\n\n".join([caption, table, markdown.notes(_remarks(lines, sweep.runs, states))])


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


def _write_csv(sweep: Sweep, lines: Sequence[Line]) -> None:
    """Replaces sweep.csv at once."""
    metrics = (*METRICS, _VALIDATION)
    columns = [f"{metric}_{what}" for metric in metrics for what in ("accuracy", "interval")]
    columns = [*sweep.fields, "arm", "state", "seeds", "of", "round", *columns]
    # Shards on other machines write theirs.
    own = sweep.folder / f".{NAME}.{socket.gethostname()}.{os.getpid()}"
    with own.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
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
    own.replace(sweep.folder / NAME)


def _cells(values: np.ndarray) -> tuple[float | str, float | str]:
    """Returns a mean and half its interval, empty where there is none."""
    half = interval(values)
    return float(values.mean()) if len(values) else "", "" if np.isnan(half) else half


def _remarks(lines: Sequence[Line], runs: Sequence[Run], states: Sequence[State]) -> list[str]:
    """Counts the runs by their state, and names those that are not done."""
    remarks = map(escapes.markdown, sweep_states.lines_of(runs, states))
    unread = dict.fromkeys(line.reason for line in lines if line.reason)
    return [*remarks, *(escapes.markdown(f"cannot be read: {reason}") for reason in unread)]

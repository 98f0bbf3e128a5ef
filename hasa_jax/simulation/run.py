"""Many rounds: the host loop around stretches of rounds, measurements and evaluations."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.allocation.connection import Connection
from hasa_jax.base import ServerState, UserError
from hasa_jax.execution import sharding
from hasa_jax.numerics import in_32_bits
from hasa_jax.simulation import cohorts, health, records
from hasa_jax.simulation.ahead import Wait, compile_ahead, nothing_ahead
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.columns import Columns, joined
from hasa_jax.simulation.course import Course, remeasured, start_course
from hasa_jax.simulation.evaluation import (
    Evaluation,
    EvaluationResult,
    compile_views,
    evaluate_views,
    level_connections,
)
from hasa_jax.simulation.health import Updates
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.resuming import (
    budgets_of,
    latest,
    resumed_trials,
    seconds_of,
    updates_of,
)
from hasa_jax.simulation.spending import allocation_after, budget_after
from hasa_jax.simulation.stopwatch import Spent, stopwatch
from hasa_jax.simulation.stretch import compile_rounds, initial_states, places, run_rounds
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import TABLES, Writer


@dataclasses.dataclass(frozen=True)
class History:
    """What a run leaves behind.

    Attributes:
      state: the server's final state.
      metrics: a record for each evaluated round, split and client.
      summary: a record for each evaluated round.
      sizes: a record for each evaluated round and level.
      measured: a record for each measurement, width and client, of a policy that reallocates.
      timings: a record for each evaluated round; only these differ between equal runs.
      allocation: the trial's, with all sizes that measurements gave and the ledger of what ran.
    """

    state: ServerState
    metrics: Sequence[dict[str, Any]]
    summary: Sequence[dict[str, Any]]
    sizes: Sequence[dict[str, Any]]
    measured: Sequence[dict[str, Any]]
    timings: Sequence[dict[str, Any]]
    allocation: Allocation


def never() -> bool:
    """Asks no run to stop."""
    return False


def unseen(phase: str) -> None:
    """Takes what a run does, and shows it nowhere.

    Args:
      phase: `restoring`, `compiling`, `training` or `evaluating`.
    """
    del phase


@in_32_bits
def run_trials(
    program: Program,
    trials: Sequence[Trial],
    *,
    num_rounds: int,
    reporting: Reporting | None = None,
    sizes_in_run: np.ndarray | None = None,
    writers: Sequence[Writer] = (),
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] = never,
    phase: Callable[[str], None] = unseen,
) -> list[History]:
    """Trains some seeds in one program for some rounds, evaluating as they go.

    Every `eval_every` rounds, and after the last one, each client's own subnet is evaluated on
    its own validation and test examples, and the supernet beside it (splits
    `supernet_validation` and `supernet_test`). With `eval_clients`, only so many clients are
    evaluated, the same in every round. Under a policy that reallocates, clients measure before the
    rounds that need it, and their sizes change; no program is compiled again for other sizes.

    Args:
      program: what is run; runs that share it share compiled code. Its devices share the
        cohorts of one trial, or take several trials to run.
      trials: the seeds; their data have one shape.
      num_rounds: rounds to train.
      reporting: what is evaluated, and when.
      sizes_in_run: sizes that clients have in any run that shall share compiled code with this
        one, with repeats; those of the trials if None.
      writers: take the records as they come, those of `TABLES`.
      checkpoints: where the run begins, if it is of the same run, and what it leaves there; a
        run that goes on gives `writers` its earlier records once more.
      stop: asked after each evaluation; if true, the run ends there, with a checkpoint.
      phase: gets what the run does next: `restoring`, `compiling`, `training` or `evaluating`. A
        program that is not compiled ahead is compiled when it first runs; that is `compiling`, too.

    Returns:
      The final state and all records of each trial. Summary accuracies are those of the clients'
      own subnets on their test examples. `train_seconds` and `compile_seconds` add up over the
      rounds so far, leave evaluation out, and are a trial's share of the program's;
      `evaluation_compile_seconds` and the number of `programs` made are shares, too.

    Raises:
      UserError: for a count out of range, training that diverged, or trials that a policy which
        reallocates cannot measure.
    """
    if num_rounds < 1:
        raise UserError(f"`num_rounds` is {num_rounds}: it must be at least 1")
    reporting = reporting or Reporting()
    if sizes_in_run is None:
        sizes_in_run = cohorts.sizes_in_run([trial.allocation for trial in trials], num_rounds)
    course = start_course(program, trials, sizes_in_run, num_rounds, reporting)
    phase("compiling")
    ahead = _compile_ahead(course, min(reporting.eval_every, num_rounds), checkpoints, phase)
    states = initial_states(program, [trial.key for trial in trials])
    states = sharding.put(states, places(program, states))
    done, states, record = latest(checkpoints, states, trials, num_rounds)
    if record:
        phase("restoring")
    for evaluated in record:
        _write(evaluated, writers)
    if done:  # A checkpoint's arrays are on the host.
        states = sharding.put(states, places(program, states))
    course = course.with_trials(resumed_trials(trials, record))
    seconds, updates = seconds_of(record), updates_of(record, len(trials))
    budgets = budgets_of(program, trials, record)
    stopping = compiled = False
    while done < num_rounds and not stopping:
        first, done = done, min(done + reporting.eval_every, num_rounds)
        phase("training" if compiled else "compiling")
        course, states, spent, found, notes = _train(course, states, first, done, ahead)
        if reporting.draw == "next":
            course, new = remeasured(course, states, done)
            notes += new
        updates = [
            Updates(*map(sum, zip(*pair, strict=True))) for pair in zip(updates, found, strict=True)
        ]
        phase("evaluating" if compiled else "compiling")
        results, took = _evaluate(course.evaluation, states, done, ahead)
        ahead, compiled = _AT_HAND, True
        spent["evaluation_compile_seconds"] = took.compile
        spent["programs"] += took.programs
        seconds = {name: seconds[name] + spent[name] / len(trials) for name in seconds}
        budgets = [
            budget_after(program, trial, budget, first, done)
            for trial, budget in zip(course.trials, budgets, strict=True)
        ]
        evaluated = _records(
            course.evaluation, reporting, budgets, states, results, done, seconds, updates, notes
        )
        record.append(evaluated)
        _write(evaluated, writers)
        stopping = stop()
        due = checkpoints is not None and checkpoints.due(first, done)
        if checkpoints is not None and (stopping or done == num_rounds or due):
            checkpoints.save(done, states, record)
    return [
        History(
            jax.tree.map(lambda x, e=e: x[e], states),
            **{table: joined([p for own in record if (p := own[e][table])]) for table in TABLES},
            allocation=allocation_after(program, course.trials[e], budgets[e], done),
        )
        for e in range(len(trials))
    ]


def _train(
    course: Course, states: ServerState, first: int, done: int, ahead: _Ahead
) -> tuple[Course, ServerState, dict[str, float], list[Updates], list[list[Columns]]]:
    """Runs the rounds up to the next evaluation, and the measurements between them.

    Returns:
      The course and the states, the seconds of training and of compiling it, the updates of every
      trial, and the records of every measurement.
    """
    program, before = course.evaluation.program, ahead.training()
    found, notes = [], []
    with stopwatch() as timer:
        for start, end in course.stretches(first, done):
            course, new = remeasured(course, states, start)
            notes += new
            source = course.evaluation.feed
            states, own = run_rounds(program, course.trials, source, states, start, end)
            found += own
    seconds = {
        "train_seconds": timer.wall - timer.compile,
        "compile_seconds": timer.compile + before.compile,
        "programs": timer.programs + before.programs,
    }
    return course, states, seconds, health.updates_of(program, found), notes


class _Ahead(NamedTuple):
    """Waits for the programs that are compiled ahead."""

    training: Wait
    evaluation: Wait


_AT_HAND = _Ahead(nothing_ahead, nothing_ahead)
"""Nothing is compiled ahead."""


def _compile_ahead(
    course: Course,
    num_rounds: int,
    checkpoints: Checkpoints | None,
    phase: Callable[[str], None],
) -> _Ahead:
    """Compiles the first rounds and the evaluation after them, while parameters are initialised.

    A run that goes on does not: its first stretch of rounds is not known yet. A streamed one does
    not either, as placing the data of its clients takes long.
    """
    evaluation = course.evaluation
    program, trials = evaluation.program, evaluation.trials
    if program.execution.stream or not (checkpoints is None or checkpoints.empty):
        return _AT_HAND
    shapes = jax.eval_shape(functools.partial(initial_states, program), [t.key for t in trials])
    shapes = sharding.placed_shapes(shapes, places(program, shapes))
    ((data, drawn),) = evaluation.feed.rounds(*course.stretches(0, num_rounds)[0])
    training = functools.partial(compile_rounds, program, shapes, data, drawn)
    scored = functools.partial(compile_views, evaluation, shapes, num_rounds)
    return _Ahead(
        functools.partial(_then, compile_ahead(in_32_bits(training)), phase, "training"),
        functools.partial(_then, compile_ahead(in_32_bits(scored)), phase, "evaluating"),
    )


def _then(wait: Wait, phase: Callable[[str], None], name: str) -> Spent:
    """Waits for a program, and says what comes then."""
    spent = wait()
    phase(name)
    return spent


def _evaluate(
    evaluation: Evaluation, states: ServerState, done: int, ahead: _Ahead
) -> tuple[list[list[EvaluationResult]], Spent]:
    """Evaluates all views, and refuses losses that are not finite.

    Returns:
      A list for each trial, and what it took.
    """
    before = ahead.evaluation()
    with stopwatch() as timer:
        by_view = evaluate_views(evaluation, states, done)
    by_trial = [list(found) for found in zip(*by_view, strict=True)]
    for trial, found in zip(evaluation.trials, by_trial, strict=True):
        health.check_losses(trial, found, done)
    made = before.programs + timer.programs
    return by_trial, Spent(timer.wall, before.compile + timer.compile, made)


def _records(
    evaluation: Evaluation,
    reporting: Reporting,
    budgets: Sequence[Mapping[str, Any]],
    states: ServerState,
    results: Sequence[Sequence[EvaluationResult]],
    done: int,
    seconds: Mapping[str, float],
    updates: Sequence[Updates],
    notes: Sequence[Sequence[Columns]],
) -> list[records.Records]:
    """Returns the records of one evaluation and of the measurements before it, for each trial."""
    program, trials = evaluation.program, evaluation.trials
    left = _connections(program, states, len(trials), reporting.levels)
    tail = reporting.tail_fraction
    return [
        {
            **records.records_of(
                program, trials[e], results[e], done, tail, seconds, left[e], updates[e], budgets[e]
            ),
            "measured": joined([note[e] for note in notes]),
        }
        for e in range(len(trials))
    ]


def _connections(
    program: Program, states: ServerState, trials: int, levels: Mapping[str, int]
) -> list[dict[str, Connection]]:
    """Returns what is left of the network at every level, for each trial."""
    one = [jax.tree.map(lambda x, e=e: x[e], states) for e in range(trials if levels else 0)]
    return [level_connections(program, state, levels) for state in one] or [{}] * trials


def _write(evaluated: Sequence[records.Records], writers: Sequence[Writer]) -> None:
    """Gives the records of one evaluation to all writers."""
    for own in evaluated:
        for writer in writers:
            for table in TABLES:
                writer.write(table, own[table])

"""Many rounds: a pure scan between evaluations, and the host loop around it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.allocation.connection import Connection
from hasa_jax.base import ClientData, ClientReport, ServerState, UserError
from hasa_jax.effort import by_effort
from hasa_jax.execution import sharding
from hasa_jax.execution.layout import Cohort
from hasa_jax.numerics import in_32_bits
from hasa_jax.server.aggregation import all_finite
from hasa_jax.simulation import cohorts, feed, health, records
from hasa_jax.simulation.ahead import Wait, compile_ahead, nothing_ahead
from hasa_jax.simulation.checkpoint import Checkpoints, Saved
from hasa_jax.simulation.columns import Columns, joined
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
from hasa_jax.simulation.round import init_state, scan_trials
from hasa_jax.simulation.stopwatch import Spent, stopwatch
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import chosen_clients, views
from hasa_jax.simulation.writers import TABLES, Writer


@dataclasses.dataclass(frozen=True)
class History:
    """What a run leaves behind.

    Attributes:
      state: the server's final state.
      metrics: a record for each evaluated round, split and client.
      summary: a record for each evaluated round.
      sizes: a record for each evaluated round and level.
      timings: a record for each evaluated round; only these differ between equal runs.
    """

    state: ServerState
    metrics: Sequence[dict[str, Any]]
    summary: Sequence[dict[str, Any]]
    sizes: Sequence[dict[str, Any]]
    timings: Sequence[dict[str, Any]]


SECONDS = ("train_seconds", "compile_seconds", "evaluation_compile_seconds", "programs")
"""Columns of `timings` that are measured."""


def never() -> bool:
    """Asks no run to stop."""
    return False


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
) -> list[History]:
    """Trains some seeds in one program for some rounds, evaluating as they go.

    Every `eval_every` rounds, and after the last one, each client's own subnet is evaluated on
    its own validation and test examples, and the supernet beside it (splits
    `supernet_validation` and `supernet_test`). With `eval_clients`, only so many clients are
    evaluated, the same in every round.

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

    Returns:
      The final state and all records of each trial. Summary accuracies are those of the clients'
      own subnets on their test examples. `train_seconds` and `compile_seconds` add up over the
      rounds so far, leave evaluation out, and are a trial's share of the program's;
      `evaluation_compile_seconds` and the number of `programs` made are shares, too.

    Raises:
      UserError: for a count out of range, or training that diverged.
    """
    if num_rounds < 1:
        raise UserError(f"`num_rounds` is {num_rounds}: it must be at least 1")
    reporting = reporting or Reporting()
    if sizes_in_run is None:
        sizes_in_run = cohorts.sizes_in_run([trial.allocation for trial in trials], num_rounds)
    source = _feed(program, trials, sizes_in_run, num_rounds)
    evaluation = _evaluation(program, trials, source, sizes_in_run, reporting)
    ahead = _compile_ahead(evaluation, min(reporting.eval_every, num_rounds), checkpoints)
    states = initial_states(program, [trial.key for trial in trials])
    states = sharding.put(states, places(program, states))
    done, states, record = _latest(checkpoints, states, trials, num_rounds)
    for evaluated in record:
        _write(evaluated, writers)
    if done:  # A checkpoint's arrays are on the host.
        states = sharding.put(states, places(program, states))
    seconds, updates = _seconds_of(record), _updates_of(record, len(trials))
    budgets = [records.budget_columns(program, trial.allocation) for trial in trials]
    stopping = False
    while done < num_rounds and not stopping:
        first, done = done, min(done + reporting.eval_every, num_rounds)
        states, spent, found = _train(program, states, source, trials, first, done, ahead)
        updates = [
            Updates(*map(sum, zip(*pair, strict=True))) for pair in zip(updates, found, strict=True)
        ]
        results, took = _evaluate(evaluation, states, done, ahead)
        ahead = _AT_HAND
        spent["evaluation_compile_seconds"] = took.compile
        spent["programs"] += took.programs
        seconds = {name: seconds[name] + spent[name] / len(trials) for name in seconds}
        evaluated = _records(
            evaluation, reporting, budgets, states, results, done, seconds, updates
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
            **{table: joined([evaluated[e][table] for evaluated in record]) for table in TABLES},
        )
        for e in range(len(trials))
    ]


def _feed(
    program: Program, trials: Sequence[Trial], sizes_in_run: np.ndarray, num_rounds: int
) -> feed.Feed:
    """Returns where the run's data come from."""
    layout = cohorts.training_layout(program, trials, sizes_in_run)
    if program.execution.stream:
        return feed.streamed(program, trials, layout, num_rounds)
    return feed.resident(program, trials, layout)


def _train(
    program: Program,
    states: ServerState,
    source: feed.Feed,
    trials: Sequence[Trial],
    first: int,
    done: int,
    ahead: _Ahead,
) -> tuple[ServerState, dict[str, float], list[Updates]]:
    """Runs the rounds up to the next evaluation, and checks their numbers.

    Returns:
      The states, the seconds of training and of compiling it, and the updates of every trial.
    """
    before = ahead.training()
    with stopwatch() as timer:
        stretches = []
        finite = np.ones(len(trials), bool)
        for data, drawn in source.rounds(first, done):
            run_rounds = _ADVANCE[program.quick]
            states, found, flags = run_rounds(program, states, data, drawn)
            stretches.append((drawn, found))
            finite = sharding.on_host(flags)
    health.check_rounds(program, finite, stretches, trials, first)
    seconds = {
        "train_seconds": timer.wall - timer.compile,
        "compile_seconds": timer.compile + before.compile,
        "programs": timer.programs + before.programs,
    }
    return states, seconds, health.updates_of(program, stretches)


def advance(
    program: Program, states: ServerState, data: ClientData, drawn: Cohort
) -> tuple[ServerState, health.RoundHealth, jax.Array]:
    """Runs a stretch of rounds of every trial; metrics of training are not computed.

    Args:
      program: what is run (static).
      states: the server's state in each trial `[E]`.
      data: training examples `[E, P, ...]`.
      drawn: cohorts `[E, R, P, ...]`.

    Returns:
      The states, the health of the rounds, and whether all parameters are finite at their end.
    """
    mesh = drawn.layout.mesh
    states, reports = scan_trials(program, states, data, drawn)
    rounds = jax.vmap(round_health)(reports, drawn)
    finite = jax.vmap(all_finite)(states.params)
    if mesh.model > 1:
        states = jax.lax.with_sharding_constraint(states, places(program, states))
    return states, *sharding.everywhere((rounds, finite), mesh)


_ADVANCE = by_effort(advance, static_argnames="program", donate_argnames="states")


def round_health(report: ClientReport, cohort: Cohort) -> health.RoundHealth:
    """Sums up the reports of some rounds and their cohorts `[R, P, V, L]`."""
    weight, share = (x.sum(axis=(1, 2, 3)) for x in (report.weight, report.share))
    arrived = (report.weight > 0) & (cohort.slots.steps > 0)
    count = jnp.sum(arrived, axis=(1, 2, 3), dtype=jnp.int32)
    return health.RoundHealth(report.finite | (report.weight == 0), weight, share, count)


class _Ahead(NamedTuple):
    """Waits for the programs that are compiled ahead."""

    training: Wait
    evaluation: Wait


_AT_HAND = _Ahead(nothing_ahead, nothing_ahead)
"""Nothing is compiled ahead."""


def _compile_ahead(
    evaluation: Evaluation, num_rounds: int, checkpoints: Checkpoints | None
) -> _Ahead:
    """Compiles the first rounds and the evaluation after them, while parameters are initialised.

    A run that goes on does not: its first stretch of rounds is not known yet. A streamed one does
    not either, as placing the data of its clients takes long.
    """
    program, trials = evaluation.program, evaluation.trials
    if program.execution.stream or not (checkpoints is None or checkpoints.empty):
        return _AT_HAND
    shapes = jax.eval_shape(functools.partial(initial_states, program), [t.key for t in trials])
    shapes = sharding.placed_shapes(shapes, places(program, shapes))
    ((data, drawn),) = evaluation.feed.rounds(0, num_rounds)
    training = functools.partial(_compile_rounds, program, shapes, data, drawn)
    scored = functools.partial(compile_views, evaluation, shapes, num_rounds)
    return _Ahead(compile_ahead(in_32_bits(training)), compile_ahead(in_32_bits(scored)))


def _compile_rounds(program: Program, shapes: ServerState, data: ClientData, drawn: Cohort) -> None:
    """Compiles a stretch of rounds."""
    _ADVANCE[program.quick].lower(program, shapes, data, drawn).compile()


def initial_states(program: Program, roots: Sequence[jax.Array]) -> ServerState:
    """Returns the states of some trials before round 0.

    Args:
      program: supplies the supernet and the server's optimizer.
      roots: root key of each trial.

    Returns:
      The states `[E, ...]`, on one device.
    """
    return jax.tree.map(lambda *x: jnp.stack(x), *[init_state(program, key) for key in roots])


def places(program: Program, states: ServerState) -> ServerState:
    """Returns where the states of some trials are on the mesh.

    Args:
      program: what is run.
      states: the states, or their shapes `[E, ...]`.

    Returns:
      A tree of shardings like the states.
    """
    mesh = program.mesh(states.round.shape[0])
    return sharding.state_shardings(program.model, program.server_optimizer, states, mesh)


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


def _evaluation(
    program: Program,
    trials: Sequence[Trial],
    source: feed.Feed,
    sizes_in_run: np.ndarray,
    reporting: Reporting,
) -> Evaluation:
    """Returns what all evaluations of a run have in common."""
    return Evaluation(
        program=program,
        views=views(program, reporting.levels),
        feed=source,
        trials=trials,
        sizes_in_run=sizes_in_run,
        draw=reporting.draw,
        clients=[chosen_clients(trial, reporting.eval_clients) for trial in trials],
    )


def _records(
    evaluation: Evaluation,
    reporting: Reporting,
    budgets: Sequence[Mapping[str, Any]],
    states: ServerState,
    results: Sequence[Sequence[EvaluationResult]],
    done: int,
    seconds: Mapping[str, float],
    updates: Sequence[Updates],
) -> list[records.Records]:
    """Returns the records of one evaluation, for each trial."""
    program, trials = evaluation.program, evaluation.trials
    left = _connections(program, states, len(trials), reporting.levels)
    tail = reporting.tail_fraction
    return [
        records.records_of(program, trial, found, done, tail, seconds, connections, own, budget)
        for trial, found, connections, own, budget in zip(
            trials, results, left, updates, budgets, strict=True
        )
    ]


def _connections(
    program: Program, states: ServerState, trials: int, levels: Mapping[str, int]
) -> list[dict[str, Connection]]:
    """Returns what is left of the network at every level, for each trial."""
    one = [jax.tree.map(lambda x, e=e: x[e], states) for e in range(trials if levels else 0)]
    return [level_connections(program, state, levels) for state in one] or [{}] * trials


def _latest(
    checkpoints: Checkpoints | None, states: ServerState, trials: Sequence[Trial], num_rounds: int
) -> Saved:
    """Returns where a run goes on, or its beginning; refuses a checkpoint beyond its end."""
    saved = checkpoints and checkpoints.latest(states)
    if not saved:
        return Saved(0, states, [])
    if saved.round > num_rounds:
        raise UserError(
            f"`num_rounds` is {num_rounds}, but the checkpoint is of round {saved.round}: take "
            "another folder for a shorter run"
        )
    record = [
        [_with_names(own, trial) for own, trial in zip(evaluated, trials, strict=True)]
        for evaluated in saved.record
    ]
    return saved._replace(record=record)


def _with_names(own: records.Records, trial: Trial) -> records.Records:
    """Returns the records of a checkpoint, which holds no names, with those of the clients."""
    names = trial.dataset.client_names
    return {
        table: part.with_names(names) if isinstance(part, Columns) else part
        for table, part in own.items()
    }


def _write(evaluated: Sequence[records.Records], writers: Sequence[Writer]) -> None:
    """Gives the records of one evaluation to all writers."""
    for own in evaluated:
        for writer in writers:
            for table in TABLES:
                writer.write(table, own[table])


def _seconds_of(record: Sequence[Sequence[records.Records]]) -> dict[str, float]:
    """Returns the seconds that a run has taken so far."""
    latest = record[-1][0]["timings"][0] if record else {}
    return {name: latest.get(name, 0.0) for name in SECONDS}


def _updates_of(record: Sequence[Sequence[records.Records]], trials: int) -> list[Updates]:
    """Returns the updates that every trial of a run has had so far."""
    if not record:
        return [Updates(0, 0)] * trials
    return [records.updates_in(own["summary"][0]) for own in record[-1]]

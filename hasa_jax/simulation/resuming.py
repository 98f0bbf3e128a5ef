"""Where a run goes on: what its checkpoint and the records in it say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hasa_jax.base import ServerState, UserError
from hasa_jax.simulation import records
from hasa_jax.simulation.checkpoint import Checkpoints, Saved
from hasa_jax.simulation.columns import Columns
from hasa_jax.simulation.health import Updates
from hasa_jax.simulation.measuring import with_measured
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial

SECONDS = ("train_seconds", "compile_seconds", "evaluation_compile_seconds", "programs")
"""Columns of `timings` that are measured."""


def latest(
    checkpoints: Checkpoints | None, states: ServerState, trials: Sequence[Trial], num_rounds: int
) -> Saved:
    """Returns where a run goes on, or its beginning.

    Args:
      checkpoints: of the run, if it keeps any.
      states: the server's states at the beginning.
      trials: the seeds.
      num_rounds: rounds of the run.

    Returns:
      Rounds done, states and records.

    Raises:
      UserError: for a checkpoint beyond the end of the run.
    """
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


def seconds_of(record: Sequence[Sequence[records.Records]]) -> dict[str, float]:
    """Returns the seconds that a run has taken so far, by the names of `SECONDS`.

    Args:
      record: records of all trials, evaluation by evaluation.
    """
    last = record[-1][0]["timings"][0] if record else {}
    return {name: last.get(name, 0.0) for name in SECONDS}


def updates_of(record: Sequence[Sequence[records.Records]], trials: int) -> list[Updates]:
    """Returns the updates that every trial of a run has had so far.

    Args:
      record: records of all trials, evaluation by evaluation.
      trials: how many there are.
    """
    if not record:
        return [Updates(0, 0)] * trials
    return [records.updates_in(own["summary"][0]) for own in record[-1]]


def resumed_trials(
    trials: Sequence[Trial], record: Sequence[Sequence[records.Records]]
) -> list[Trial]:
    """Returns the trials with the sizes that measurements so far gave.

    Args:
      trials: the seeds as they start.
      record: records of all trials, evaluation by evaluation.
    """
    return [
        with_measured(trial, [evaluated[e] for evaluated in record])
        for e, trial in enumerate(trials)
    ]


def budgets_of(
    program: Program, trials: Sequence[Trial], record: Sequence[Sequence[records.Records]]
) -> list[Mapping[str, Any]]:
    """Returns the columns of budgets of every trial: those of its latest record, if it has one.

    Args:
      program: what is run.
      trials: the seeds.
      record: records of all trials, evaluation by evaluation.
    """
    found = []
    for e, trial in enumerate(trials):
        budget = records.budget_columns(program, trial.allocation)
        if record and trial.allocation.reallocation is not None:
            budget = {name: record[-1][e]["summary"][0][name] for name in budget}
        found.append(budget)
    return found

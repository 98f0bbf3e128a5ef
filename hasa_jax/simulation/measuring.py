"""Between rounds: clients measure what nested widths are worth to them, and get new sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hasa_jax.base import ServerState, UserError
from hasa_jax.simulation import health
from hasa_jax.simulation.columns import Block, Columns, Named
from hasa_jax.simulation.evaluation import Evaluation, EvaluationResult, evaluate_views
from hasa_jax.simulation.feed import Feed
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.records import Records
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import View


def reallocates(trials: Sequence[Trial]) -> int:
    """Returns the rounds between measurements; 0 if nothing is measured.

    Args:
      trials: the seeds of a program.

    Raises:
      UserError: if they measure at different rounds or sizes.
    """
    found = {
        None if own is None else (own.every, *own.sizes.tolist())
        for own in (trial.allocation.reallocation for trial in trials)
    }
    if len(found) > 1:
        raise UserError(
            "seeds that share a program must measure in the same rounds and at the same sizes: "
            "run seeds one by one (`seeds_per_program` 1)"
        )
    first = trials[0].allocation.reallocation
    return 0 if first is None else first.every


def measurement(
    program: Program, trials: Sequence[Trial], source: Feed, sizes_in_run: np.ndarray
) -> Evaluation:
    """Returns the evaluation that is a measurement: every client at every measured size.

    Static norms are calibrated, and classes are hidden, as for a client's own subnet. So it is the
    loss that a client's own subnet of this size has.

    Args:
      program: what is run.
      trials: the seeds, whose policy reallocates.
      source: supplies the training data.
      sizes_in_run: sizes that clients have in this run, with repeats.

    Returns:
      The evaluation, on the held-out examples.

    Raises:
      UserError: for a policy that does not reallocate, or a trial that sets no examples apart.
    """
    own = trials[0].allocation.reallocating()
    held_out = source.measuring()
    return Evaluation(
        program=program,
        views=[View("validation", f"size_{size}", int(size), False) for size in own.sizes],
        feed=held_out,
        trials=held_out.trials,
        sizes_in_run=sizes_in_run,
        draw="last",
        clients=[np.arange(len(trial.dataset.client_names)) for trial in trials],
    )


def measured(
    asked: Evaluation, trials: Sequence[Trial], states: ServerState, round: int
) -> tuple[list[Trial], list[Columns]]:
    """Has all clients measure, and gives them new sizes.

    Args:
      asked: from `measurement`.
      trials: the seeds.
      states: the server's state in each of them `[E]`.
      round: rounds done.

    Returns:
      The trials with the new sizes, and the records of the measurement of each.

    Raises:
      UserError: for a loss that is not finite.
    """
    by_view = evaluate_views(asked, states, round)
    found, notes = [], []
    for trial, results in zip(trials, zip(*by_view, strict=True), strict=True):
        health.check_losses(trial, results, round)
        losses = np.stack([result.loss for result in results], axis=1).astype(np.float64)
        targets = np.asarray(results[0].loss_targets, np.float64)
        allocation = trial.allocation.after(losses, targets)
        after = trial._replace(allocation=allocation)
        found.append(after)
        notes.append(Columns([_block(asked.program, after, results, round)]))
    return found, notes


def _block(
    program: Program, trial: Trial, results: Sequence[EvaluationResult], round: int
) -> Block:
    """Returns a record for each measured width and client, width by width."""
    own = trial.allocation.reallocating()
    count, shape = len(own.sizes), program.extraction.shape
    given = own.given[-1]
    clients = len(given)
    distinct, which = np.unique(given, return_inverse=True)
    widths = np.array([float(shape(program.model, int(size)).width) for size in distinct])
    measured_at = [float(shape(program.model, int(size)).width) for size in own.sizes]
    losses = np.concatenate([result.loss for result in results]).astype(np.float64)
    columns = {
        **trial.labels,
        "round": round,
        "client": Named(trial.dataset.client_names, np.tile(np.arange(clients), count)),
        "measured_width": np.repeat(measured_at, clients),
        "loss": np.where(own.held.T.ravel(), losses, np.nan),
        "targets": np.tile(np.asarray(results[0].loss_targets, np.int64), count),
        "given_size": np.tile(given, count),
        "given_width": np.tile(widths[which], count),
    }
    return Block(clients * count, columns)


def with_measured(trial: Trial, record: Sequence[Records]) -> Trial:
    """Returns a trial with the sizes that its measurements so far gave.

    Args:
      trial: the trial as it starts.
      record: its records so far, evaluation by evaluation.

    Returns:
      The trial.
    """
    if trial.allocation.reallocation is None:
        return trial
    clients = len(trial.dataset.client_names)
    given = [
        np.asarray(block.columns["given_size"])[:clients]
        for own in record
        if isinstance(own["measured"], Columns)
        for block in own["measured"].blocks
    ]
    return trial._replace(allocation=trial.allocation.with_given(given))

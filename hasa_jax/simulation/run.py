"""Many rounds: a pure scan between evaluations, and the host loop around it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.allocation import Allocation
from hasa_jax.base import ClientData, ClientReport, Cohort, FederatedDataset, ServerState, UserError
from hasa_jax.execution import seeds as together
from hasa_jax.execution.loop import on_devices
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.seeds import Trial
from hasa_jax.server.aggregation import all_finite
from hasa_jax.simulation import cohorts, health
from hasa_jax.simulation import feed as feeding
from hasa_jax.simulation import records as reporting
from hasa_jax.simulation import views as scoring
from hasa_jax.simulation.checkpoint import Checkpoints, Saved
from hasa_jax.simulation.stopwatch import stopwatch
from hasa_jax.simulation.writers import TABLES, Writer


@functools.partial(jax.jit, static_argnames="algorithm")
def scan_rounds(
    algorithm: FederatedAlgorithm,
    state: ServerState,
    data: ClientData,
    stretch: Cohort,
) -> tuple[ServerState, ClientReport]:
    """Runs rounds in one `lax.scan`, without a word to the host.

    Args:
      algorithm: supplies the round (static).
      state: the server's state before the first of the rounds.
      data: training examples of all clients.
      stretch: the clients of each round, stacked: leaves `[R, ...]`.

    Returns:
      The state afterwards, and what the clients tell `[R, P, V, L]`.
    """

    def rounds(stretch: Cohort, state: ServerState, data: ClientData):
        def body(state: ServerState, cohort: Cohort) -> tuple[ServerState, ClientReport]:
            return algorithm.round(state, data, cohort)

        return jax.lax.scan(body, state, stretch)

    return on_devices(rounds, stretch, state, data, axis=1)


@functools.partial(jax.jit, static_argnames="algorithm", donate_argnames="states")
def _advance(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    data: ClientData,
    stretches: Cohort,
) -> tuple[ServerState, health.Told]:
    """Runs a stretch of every seed, `[E, ...]`; metrics of training are not even computed.

    Returns:
      The states, and what is told of the rounds' health.
    """

    def advance(state: ServerState, data: ClientData, stretch: Cohort):
        state, report = scan_rounds(algorithm, state, data, stretch)
        weight, share = (x.sum(axis=(1, 2, 3)) for x in (report.weight, report.share))
        return state, health.Told(report.finite | (report.weight == 0), weight, share)

    return together.over_seeds(advance, algorithm.devices, states, data, stretches)


@dataclasses.dataclass(frozen=True)
class History:
    """What a run leaves behind.

    Attributes:
      state: the server's final state.
      metrics: a row for each evaluated round, split and client.
      summary: a row for each evaluated round.
      sizes: a row for each evaluated round and level.
      timings: a row for each evaluated round; the only rows that differ between equal runs.
    """

    state: ServerState
    metrics: list[dict[str, Any]]
    summary: list[dict[str, Any]]
    sizes: list[dict[str, Any]]
    timings: list[dict[str, Any]]


def run(
    algorithm: FederatedAlgorithm,
    dataset: FederatedDataset,
    allocation: Allocation,
    *,
    key: jax.Array,
    labels: Mapping[str, Any] | None = None,
    **options: Any,
) -> History:
    """Trains for some rounds, evaluating as it goes: `run_trials` of a single trial.

    Args:
      algorithm: from `partial_training`; runs that share it share compiled programs.
      dataset: train, validation and test examples of every client.
      allocation: every client's width.
      key: root key of the run; it is not consumed.
      labels: columns to put in front of every row.
      **options: those of `run_trials`; `num_rounds` is required.

    Returns:
      The final state and all rows.
    """
    return run_trials(algorithm, [Trial(dataset, allocation, key, labels or {})], **options)[0]


def run_trials(
    algorithm: FederatedAlgorithm,
    trials: Sequence[Trial],
    *,
    num_rounds: int,
    clients_per_round: int = 0,
    eval_every: int = 1,
    client_weights: str = "examples",
    tail_fraction: float = 0.25,
    possible: np.ndarray | None = None,
    levels: Mapping[str, int] | None = None,
    stream: bool = False,
    writers: Sequence[Writer] = (),
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[History]:
    """Trains some seeds in one program for some rounds, evaluating as they go.

    Every `eval_every` rounds, and after the last one, each client's own subnet is evaluated on
    its own validation and test examples, and the whole supernet beside it (splits
    `supernet_validation` and `supernet_test`).

    Args:
      algorithm: from `partial_training`; runs that share it share compiled programs. Its
        devices share the cohorts of one trial, or take several trials to run.
      trials: the seeds; their data have one shape.
      num_rounds: rounds to train.
      clients_per_round: clients drawn for each round, without replacement; 0 for all.
      eval_every: rounds between evaluations.
      client_weights: `examples` or `uniform`.
      tail_fraction: share of clients that the tail accuracy averages over.
      possible: sizes (in units) that clients have in any run that shall share programs with
        this one, with repeats; those of the trials if None.
      levels: sizes (in units), by name, whose accuracies on the test examples of all clients go
        into the table `sizes`, whether or not clients have them.
      stream: whether only the clients of a round lie on the device, for populations that are
        larger than its memory.
      writers: take the rows as they come, those of `TABLES`.
      checkpoints: where the run begins, if it is of the same run, and what it leaves there; a
        run that goes on gives `writers` its earlier rows once more.
      stop: asked after each evaluation; if true, the run ends there, with a checkpoint.

    Returns:
      The final state and all rows of each trial. Summary accuracies are those of the clients'
      own subnets on their test examples. `train_seconds` and `compile_seconds` add up over the
      rounds so far, leave evaluation out, and are a trial's share of the program's.

    Raises:
      UserError: for a count out of range, an unknown weighting, or training that diverged.
    """
    for name, value in (("num_rounds", num_rounds), ("eval_every", eval_every)):
        if value < 1:
            raise UserError(f"{name} is {value}: it must be at least 1")
    if possible is None:
        own = [cohorts.possible_units(trial.allocation, num_rounds + 1) for trial in trials]
        possible = np.concatenate(own)
    plan = feeding.Plan(num_rounds, clients_per_round, client_weights, possible)
    feed = (feeding.streamed if stream else feeding.resident)(algorithm, trials, plan)
    states = jax.tree.map(lambda *x: jnp.stack(x), *[algorithm.init(t.key) for t in trials])
    done, states, record = _latest(checkpoints, states, num_rounds)
    for evaluated in record:
        _write(evaluated, writers)
    states = together.put(states, algorithm.devices, len(trials))
    seconds = _seconds_of(record)
    stopping = False
    while done < num_rounds and not stopping:
        first, done = done, min(done + eval_every, num_rounds)
        with stopwatch() as timer:
            told = []
            for data, stretches in feed.rounds(first, done):
                states, rounds = _advance(algorithm, states, data, stretches)
                told.append((stretches, rounds))
            finite = jax.device_get(_finite(states.params))
        health.check_rounds(algorithm, finite, told, trials, first)
        seconds["train_seconds"] += (timer["wall"] - timer["compile"]) / len(trials)
        seconds["compile_seconds"] += timer["compile"] / len(trials)

        scores = scoring.score(algorithm, states, feed, trials, done, possible, levels or {})
        for trial, found in zip(trials, scores, strict=True):
            health.check_losses(trial, found, done)
        evaluated = [
            reporting.rows(algorithm, trial, found, done, tail_fraction, seconds)
            for trial, found in zip(trials, scores, strict=True)
        ]
        record.append(evaluated)
        _write(evaluated, writers)
        stopping = stop()
        if checkpoints is not None and (
            stopping or done == num_rounds or checkpoints.due(first, done)
        ):
            checkpoints.save(done, states, record)
    return [
        History(
            jax.tree.map(lambda x, e=e: x[e], states),
            **{table: [row for rows in record for row in rows[e][table]] for table in TABLES},
        )
        for e in range(len(trials))
    ]


def _latest(checkpoints: Checkpoints | None, states: ServerState, num_rounds: int) -> Saved:
    """Returns where a run goes on, or its beginning; refuses a checkpoint beyond its end."""
    saved = checkpoints and checkpoints.latest(states)
    if not saved:
        return Saved(0, states, [])
    if saved.round > num_rounds:
        raise UserError(
            f"num_rounds is {num_rounds}, but the checkpoint is of round {saved.round}: take "
            "another folder for a shorter run"
        )
    return saved


def _write(evaluated: Sequence[reporting.Rows], writers: Sequence[Writer]) -> None:
    """Hands the rows of one evaluation to all writers."""
    for rows in evaluated:
        for writer in writers:
            for table in TABLES:
                writer.write(table, rows[table])


def _seconds_of(record: Sequence[Sequence[reporting.Rows]]) -> dict[str, float]:
    """Returns the seconds that a run has taken so far."""
    latest = record[-1][0]["timings"][0] if record else {}
    return {name: latest.get(name, 0.0) for name in ("train_seconds", "compile_seconds")}


_finite = jax.jit(jax.vmap(all_finite))
"""Tells for each trial whether all parameters are numbers `[E]`."""

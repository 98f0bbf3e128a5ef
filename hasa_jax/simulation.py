"""Many rounds: a pure scan between evaluations, and the host loop around it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax import cohorts, evaluation, scoring, together
from hasa_jax.algorithm import FederatedAlgorithm
from hasa_jax.allocation import Allocation
from hasa_jax.base import (
    ClientData,
    ClientMetrics,
    Cohort,
    FederatedDataset,
    Params,
    ServerState,
    UserError,
)
from hasa_jax.execution.turns import on_devices
from hasa_jax.stopwatch import stopwatch
from hasa_jax.together import Trial
from hasa_jax.tracking import Writer


@functools.partial(jax.jit, static_argnames="algorithm")
def scan_rounds(
    algorithm: FederatedAlgorithm,
    state: ServerState,
    data: ClientData,
    stretch: Cohort,
) -> tuple[ServerState, ClientMetrics]:
    """Runs rounds in one `lax.scan`, without a word to the host.

    Args:
      algorithm: supplies the round (static).
      state: the server's state before the first of the rounds.
      data: training examples of all clients.
      stretch: the clients of each round, stacked: leaves `[R, ...]`.

    Returns:
      The state afterwards, and training metrics `[R, P, V, L]`.
    """

    def rounds(stretch: Cohort, state: ServerState, data: ClientData):
        def body(state: ServerState, cohort: Cohort) -> tuple[ServerState, ClientMetrics]:
            return algorithm.round(state, data, cohort)

        return jax.lax.scan(body, state, stretch)

    return on_devices(rounds, stretch, state, data, axis=1)


@functools.partial(jax.jit, static_argnames="algorithm", donate_argnames="states")
def _advance(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    data: ClientData,
    stretches: Cohort,
) -> ServerState:
    """Runs a stretch of every seed, `[E, ...]`; metrics of training are not even computed."""

    def advance(state: ServerState, data: ClientData, stretch: Cohort) -> ServerState:
        return scan_rounds(algorithm, state, data, stretch)[0]

    return together.over_seeds(advance, algorithm.devices, states, data, stretches)


@dataclasses.dataclass(frozen=True)
class History:
    """What a run leaves behind.

    Attributes:
      state: the server's final state.
      metrics: a row for each evaluated round, split and client.
      summary: a row for each evaluated round.
    """

    state: ServerState
    metrics: list[dict[str, Any]]
    summary: list[dict[str, Any]]


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
    writers: Sequence[Writer] = (),
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
      writers: take the rows as they come, tables `metrics` and `summary`.

    Returns:
      The final state and all rows of each trial. Summary accuracies are those of the clients'
      own subnets on their test examples. `train_seconds` and `compile_seconds` add up over the
      rounds so far, leave evaluation out, and are a trial's share of the program's.

    Raises:
      UserError: for a count out of range, an unknown weighting, or training that diverged.
    """
    for trial in trials:
        _check_counts(trial.allocation, num_rounds, clients_per_round, eval_every, client_weights)
    if possible is None:
        own = [cohorts.possible_units(trial.allocation, num_rounds + 1) for trial in trials]
        possible = np.concatenate(own)

    def stretch_of(trial: Trial, first: int, last: int) -> Cohort:
        return cohorts.stacked(
            [
                cohorts.draw(
                    algorithm,
                    trial.dataset.train,
                    trial.allocation,
                    trial.key,
                    clients_per_round,
                    client_weights,
                    possible,
                    round,
                    alone=len(trials) > 1,
                )
                for round in range(first, last)
            ]
        )

    put = functools.partial(together.put, devices=algorithm.devices, count=len(trials))
    states = put(jax.tree.map(lambda *x: jnp.stack(x), *[algorithm.init(t.key) for t in trials]))
    train = put(together.stack_data([trial.dataset.train for trial in trials]))
    histories = [History(state=states, metrics=[], summary=[]) for _ in trials]
    seconds = {"train_seconds": 0.0, "compile_seconds": 0.0}
    checks: list[scoring.Check] = []
    done = 0
    while done < num_rounds:
        first, done = done, min(done + eval_every, num_rounds)
        with stopwatch() as timer:
            stretches = cohorts.stacked([stretch_of(trial, first, done) for trial in trials])
            states = _advance(algorithm, states, train, stretches)
            jax.block_until_ready(states)
        _check_finite(states.params, first + 1, done)
        seconds["train_seconds"] += (timer["wall"] - timer["compile"]) / len(trials)
        seconds["compile_seconds"] += timer["compile"] / len(trials)

        if not checks or any(trial.allocation.redraw for trial in trials):
            # What the next round would send, as extraction in evaluation does.
            checks = scoring.lay_out(algorithm, trials, done, possible)
        scores = [scoring.score(algorithm, states, train, check) for check in checks]
        for number, (trial, history) in enumerate(zip(trials, histories, strict=True)):
            front = {**trial.labels, "round": done}
            rows = [
                row
                for check, own in zip(checks, scores, strict=True)
                for row in scoring.client_rows(front, check, own[number], trial, number)
            ]
            result = evaluation.summarize(
                np.array([row["accuracy"] for row in rows if row["split"] == "test"]),
                trial.dataset.test.num_examples,
                tail_fraction,
            )
            line = {**front, **_summary_columns(result, trial.allocation), **seconds}
            history.metrics.extend(rows)
            history.summary.append(line)
            for writer in writers:
                writer.write("metrics", rows)
                writer.write("summary", [line])
    return [
        dataclasses.replace(history, state=jax.tree.map(lambda x, e=e: x[e], states))
        for e, history in enumerate(histories)
    ]


def _check_counts(
    allocation: Allocation,
    num_rounds: int,
    clients_per_round: int,
    eval_every: int,
    client_weights: str,
) -> None:
    """Refuses arguments of `run` that are out of range."""
    for name, value in (("num_rounds", num_rounds), ("eval_every", eval_every)):
        if value < 1:
            raise UserError(f"{name} is {value}: it must be at least 1")
    able = int(allocation.takes_part.sum())
    if not 0 <= clients_per_round <= able:
        raise UserError(
            f"clients_per_round is {clients_per_round}: {able} clients take part, and 0 means all"
        )
    known = cohorts.CLIENT_WEIGHTS
    if client_weights not in known:
        raise UserError(f"unknown client weights {client_weights!r}: use one of {', '.join(known)}")


def _check_finite(params: Params, first: int, last: int) -> None:
    """Refuses to go on with parameters that are not numbers."""
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)):
        raise UserError(
            f"parameters stopped being finite in rounds {first} to {last}: lower the learning rate"
        )


def _summary_columns(result: evaluation.Summary, allocation: Allocation) -> dict[str, float]:
    """Names the columns of accuracies and budgets."""
    accuracies = {f"{name}_accuracy": v for name, v in dataclasses.asdict(result).items()}
    ledger = allocation.ledger
    return {
        **accuracies,
        "budget_requested": ledger.requested,
        "budget_width": ledger.width,
        "budget_params": ledger.params,
        "budget_macs": ledger.macs,
        "budget_executed": ledger.executed,
    }

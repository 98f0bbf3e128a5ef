"""Many rounds: a pure scan between evaluations, and the host loop around it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax import cohorts, evaluation
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
from hasa_jax.stopwatch import stopwatch
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

    def body(state: ServerState, cohort: Cohort) -> tuple[ServerState, ClientMetrics]:
        return algorithm.round(state, data, cohort)

    return jax.lax.scan(body, state, stretch)


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
    num_rounds: int,
    clients_per_round: int = 0,
    eval_every: int = 1,
    client_weights: str = "examples",
    tail_fraction: float = 0.25,
    labels: Mapping[str, Any] | None = None,
    writers: Sequence[Writer] = (),
) -> History:
    """Trains for some rounds, evaluating as it goes.

    Every `eval_every` rounds, and after the last one, each client's own subnet is evaluated on
    its own validation and test examples, and the whole supernet beside it (splits
    `supernet_validation` and `supernet_test`).

    Args:
      algorithm: from `partial_training`; runs that share it share compiled programs.
      dataset: train, validation and test examples of every client.
      allocation: every client's width.
      key: root key of the run; it is not consumed.
      num_rounds: rounds to train.
      clients_per_round: clients drawn for each round, without replacement; 0 for all.
      eval_every: rounds between evaluations.
      client_weights: `examples` or `uniform`.
      tail_fraction: share of clients that the tail accuracy averages over.
      labels: columns to put in front of every row.
      writers: take the rows as they come, tables `metrics` and `summary`.

    Returns:
      The final state and all rows. Summary accuracies are those of the clients' own subnets
      on their test examples. `train_seconds` and `compile_seconds` add up over the rounds so
      far and leave evaluation out.

    Raises:
      UserError: for a count out of range, an unknown weighting, or training that diverged.
    """
    _check_counts(allocation, num_rounds, clients_per_round, eval_every, client_weights)
    draw = functools.partial(
        cohorts.draw,
        algorithm,
        dataset.train,
        allocation,
        key,
        clients_per_round,
        client_weights,
        cohorts.possible_units(allocation, num_rounds + 1),
    )
    state = algorithm.init(key)
    train = jax.device_put(dataset.train)
    metrics: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    seconds = {"train_seconds": 0.0, "compile_seconds": 0.0}
    checks: list[_Check] = []
    done = 0
    while done < num_rounds:
        first, done = done, min(done + eval_every, num_rounds)
        with stopwatch() as timer:
            stretch = cohorts.stacked([draw(round) for round in range(first, done)])
            state, _ = scan_rounds(algorithm, state, train, stretch)
            jax.block_until_ready(state)
        _check_finite(state.params, first + 1, done)
        seconds["train_seconds"] += timer["wall"] - timer["compile"]
        seconds["compile_seconds"] += timer["compile"]

        if allocation.redraw or not checks:
            # What the next round would send, as extraction in evaluation does.
            checks = _lay_out_checks(algorithm, dataset, allocation.units_at(done))
        front = {**(labels or {}), "round": done}
        rows = [
            row
            for check in checks
            for row in _client_rows(front, algorithm, state, train, check, dataset.client_names)
        ]
        result = evaluation.summarize(
            np.array([row["accuracy"] for row in rows if row["split"] == "test"]),
            dataset.test.num_examples,
            tail_fraction,
        )
        line = {**front, **_summary_columns(result, allocation), **seconds}
        metrics.extend(rows)
        summary.append(line)
        for writer in writers:
            writer.write("metrics", rows)
            writer.write("summary", [line])
    return History(state, metrics, summary)


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


class _Check(NamedTuple):
    """One split at one choice of widths, laid out for evaluation."""

    split: str
    data: ClientData
    cohort: Cohort
    num_examples: np.ndarray
    widths: np.ndarray


def _lay_out_checks(
    algorithm: FederatedAlgorithm, dataset: FederatedDataset, units: np.ndarray
) -> list[_Check]:
    """Lays out every split at the clients' own widths and at full width."""
    model, shape = algorithm.model, algorithm.extraction.shape
    finest = max(model.groups.values())
    full, clients = np.full_like(units, finest), np.arange(len(units))
    checks = []
    for prefix, kept in (("", units), ("supernet_", full)):
        for split, data in (("validation", dataset.validation), ("test", dataset.test)):
            sizes = data.num_examples
            widths = np.array([shape(model, int(k)).width for k in kept])
            cohort = algorithm.evaluation.place(
                clients, kept, np.ones(len(kept)), sizes, algorithm.batch_size
            )
            checks.append(_Check(prefix + split, jax.device_put(data), cohort, sizes, widths))
    return checks


def _client_rows(
    front: Mapping[str, Any],
    algorithm: FederatedAlgorithm,
    state: ServerState,
    train: ClientData,
    check: _Check,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Evaluates one split; a row for each client, in client order."""
    # A client's own subnet is for its own classes; the supernet is for all.
    whole = check.split.startswith("supernet_")
    sums = evaluation.evaluate(algorithm, state, check.data, train, check.cohort, whole=whole)
    scores = evaluation.per_client(sums, check.cohort)
    return [
        {
            **front,
            "client": name,
            "num_examples": int(check.num_examples[client]),
            "width": float(check.widths[client]),
            "split": check.split,
            "loss": float(scores.loss[client]),
            "accuracy": float(scores.accuracy[client]),
        }
        for client, name in enumerate(names)
    ]


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

"""Many rounds: a pure scan between evaluations, and the host loop around it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.monitoring
import numpy as np

from hasa_jax import evaluation
from hasa_jax.allocation import Allocation
from hasa_jax.base import (
    ClientData,
    ClientMetrics,
    Cohort,
    FederatedAlgorithm,
    FederatedDataset,
    ServerState,
    UserError,
)
from hasa_jax.tracking import Writer

CLIENT_WEIGHTS = ("examples", "uniform")
"""A client's weight in the server's mean: its number of training examples, or 1."""


@functools.partial(jax.jit, static_argnames=("algorithm", "num_rounds"))
def scan_rounds(
    algorithm: FederatedAlgorithm,
    state: ServerState,
    data: ClientData,
    cohort: Cohort,
    num_rounds: int,
) -> tuple[ServerState, ClientMetrics]:
    """Runs rounds in one `lax.scan`, without a word to the host.

    Args:
      algorithm: supplies the round (static).
      state: the server's state before the first of the rounds.
      data: training examples of all clients.
      cohort: the clients of every round.
      num_rounds: how many (static).

    Returns:
      The state afterwards, and training metrics `[num_rounds, C]`.
    """

    def body(state: ServerState, _: None) -> tuple[ServerState, ClientMetrics]:
        return algorithm.round(state, data, cohort)

    return jax.lax.scan(body, state, None, length=num_rounds)


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
    eval_every: int = 1,
    client_weights: str = "examples",
    tail_fraction: float = 0.25,
    labels: Mapping[str, Any] | None = None,
    writers: Sequence[Writer] = (),
) -> History:
    """Trains for some rounds, evaluating as it goes.

    All clients take part in every round. Every `eval_every` rounds, and after the last one,
    each client's own subnet is evaluated on its own validation and test examples, and the
    whole supernet beside it (splits `supernet_validation` and `supernet_test`).

    Args:
      algorithm: from `partial_training`; runs that share it share compiled programs.
      dataset: train, validation and test examples of every client.
      allocation: every client's width.
      key: root key of the run; it is not consumed.
      num_rounds: rounds to train.
      eval_every: rounds between evaluations.
      client_weights: `examples` or `uniform`.
      tail_fraction: share of clients that the tail accuracy averages over.
      labels: columns to put in front of every row.
      writers: take the rows as they come, tables `metrics` and `summary`.

    Returns:
      The final state and all rows. Summary accuracies are those of the clients' own subnets
      on their test examples; seconds count from the start of the run.

    Raises:
      UserError: for a count below one or an unknown weighting.
    """
    for name, value in (("num_rounds", num_rounds), ("eval_every", eval_every)):
        if value < 1:
            raise UserError(f"{name} is {value}: it must be at least 1")
    num_examples = dataset.train.num_examples
    if client_weights not in CLIENT_WEIGHTS:
        raise UserError(
            f"unknown client weights {client_weights!r}: use one of {', '.join(CLIENT_WEIGHTS)}"
        )
    weights = num_examples if client_weights == "examples" else np.ones_like(num_examples)
    cohort = algorithm.execution.place(
        allocation.units, num_examples, weights, algorithm.batch_size
    )
    checks = _evaluation_cohorts(algorithm, dataset, allocation)
    ledger = allocation.ledger
    budgets = {
        "budget_requested": ledger.requested,
        "budget_width": ledger.width,
        "budget_params": ledger.params,
        "budget_macs": ledger.macs,
    }

    state = algorithm.init(key)
    train = jax.device_put(dataset.train)
    history = History(state, [], [])
    seconds = {"train_seconds": 0.0, "compile_seconds": 0.0}
    done = 0
    while done < num_rounds:
        block = min(eval_every, num_rounds - done)
        with _timer() as timer:
            state, _ = jax.block_until_ready(
                scan_rounds(algorithm, state, train, cohort, num_rounds=block)
            )
        seconds["train_seconds"] += timer["wall"] - timer["compile"]
        seconds["compile_seconds"] += timer["compile"]
        done += block

        front = {**(labels or {}), "round": done}
        metrics, accuracies = [], {}
        for split, (data, check) in checks.items():
            scores = evaluation.per_client(
                evaluation.evaluate(algorithm, state, data, check), check
            )
            accuracies[split] = scores.accuracy
            metrics += _client_rows(front, split, dataset, data, check, scores)
        summary = evaluation.summarize(accuracies["test"], dataset.test.num_examples, tail_fraction)
        columns = {f"{name}_accuracy": v for name, v in dataclasses.asdict(summary).items()}
        row = {**front, **columns, **budgets, **seconds}
        history.metrics.extend(metrics)
        history.summary.append(row)
        for writer in writers:
            writer.write("metrics", metrics)
            writer.write("summary", [row])
    return dataclasses.replace(history, state=state)


def _evaluation_cohorts(
    algorithm: FederatedAlgorithm, dataset: FederatedDataset, allocation: Allocation
) -> dict[str, tuple[ClientData, Cohort]]:
    """Lays out every split at the clients' own widths and at full width."""
    full = np.full_like(allocation.units, max(algorithm.model.groups.values()))
    checks = {}
    for prefix, kept in (("", allocation.units), ("supernet_", full)):
        for split, data in (("validation", dataset.validation), ("test", dataset.test)):
            cohort = algorithm.execution.place(
                kept, data.num_examples, np.ones(len(kept)), algorithm.batch_size
            )
            checks[prefix + split] = (jax.device_put(data), cohort)
    return checks


def _client_rows(
    front: Mapping[str, Any],
    split: str,
    dataset: FederatedDataset,
    data: ClientData,
    cohort: Cohort,
    scores: evaluation.ClientScores,
) -> list[dict[str, Any]]:
    """Makes the rows of one evaluated split, in client order."""
    widths = dict(zip(cohort.index.tolist(), cohort.widths.tolist(), strict=True))
    return [
        {
            **front,
            "client": name,
            "num_examples": int(data.num_examples[client]),
            "width": widths[client],
            "split": split,
            "loss": float(scores.loss[client]),
            "accuracy": float(scores.accuracy[client]),
        }
        for client, name in enumerate(dataset.client_names)
    ]


@contextlib.contextmanager
def _timer() -> Iterator[dict[str, float]]:
    """Measures wall seconds, and how many of them went into tracing and compiling."""
    seconds = {"wall": 0.0, "compile": 0.0}

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del kwargs
        if event.startswith("/jax/core/compile/"):
            seconds["compile"] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        seconds["wall"] = time.perf_counter() - start
        jax.monitoring.unregister_event_duration_listener(listen)

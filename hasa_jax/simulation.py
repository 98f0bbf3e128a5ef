"""Many rounds: a pure scan between evaluations, and the host loop around it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np

from hasa_jax import evaluation
from hasa_jax.allocation import Allocation
from hasa_jax.base import (
    ClientData,
    ClientMetrics,
    Cohort,
    FederatedAlgorithm,
    FederatedDataset,
    Params,
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
      on their test examples. `train_seconds` and `compile_seconds` add up over the rounds so
      far and leave evaluation out.

    Raises:
      UserError: for a count below one, an unknown weighting, or training that diverged.
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
    checks = _lay_out_checks(algorithm, dataset, allocation)
    state = algorithm.init(key)
    train = jax.device_put(dataset.train)
    metrics: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    seconds = {"train_seconds": 0.0, "compile_seconds": 0.0}
    done = 0
    while done < num_rounds:
        block = min(eval_every, num_rounds - done)
        with _timer() as timer:
            state, _ = jax.block_until_ready(
                scan_rounds(algorithm, state, train, cohort, num_rounds=block)
            )
        _check_finite(state.params, done + 1, done + block)
        seconds["train_seconds"] += timer["wall"] - timer["compile"]
        seconds["compile_seconds"] += timer["compile"]
        done += block

        front = {**(labels or {}), "round": done}
        rows = [
            row
            for check in checks
            for row in _client_rows(front, algorithm, state, check, dataset.client_names)
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
    algorithm: FederatedAlgorithm, dataset: FederatedDataset, allocation: Allocation
) -> list[_Check]:
    """Lays out every split at the clients' own widths and at full width."""
    finest = max(algorithm.model.groups.values())
    full = np.full_like(allocation.units, finest)
    checks = []
    for prefix, kept in (("", allocation.units), ("supernet_", full)):
        for split, data in (("validation", dataset.validation), ("test", dataset.test)):
            sizes, widths = data.num_examples, kept / finest
            cohort = algorithm.execution.place(
                kept, sizes, np.ones(len(kept)), algorithm.batch_size
            )
            checks.append(_Check(prefix + split, jax.device_put(data), cohort, sizes, widths))
    return checks


def _client_rows(
    front: Mapping[str, Any],
    algorithm: FederatedAlgorithm,
    state: ServerState,
    check: _Check,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Evaluates one split; a row for each client, in client order."""
    sums = evaluation.evaluate(algorithm, state, check.data, check.cohort)
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
    }


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

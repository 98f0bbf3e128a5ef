"""The records of an evaluation: what a run writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.allocation.connection import Connection
from hasa_jax.simulation.columns import Block, Columns, Named
from hasa_jax.simulation.evaluation import EvaluationResult
from hasa_jax.simulation.health import Updates
from hasa_jax.simulation.program import Program, executed_share
from hasa_jax.simulation.summary import Summary, summarize
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import GLOBAL, OWN_TEST, SUPERNET

_OF_CLIENTS = ("", SUPERNET, GLOBAL)
"""Levels whose results go to the table of clients."""

Records = dict[str, Sequence[dict[str, Any]]]
"""Records by table, one of `writers.TABLES`; those of clients are `Columns`."""


def records_of(
    program: Program,
    trial: Trial,
    found: Sequence[EvaluationResult],
    done: int,
    tail_fraction: float,
    seconds: Mapping[str, float],
    connections: Mapping[str, Connection],
    updates: Updates,
    budget: Mapping[str, float],
) -> Records:
    """Makes the records of one evaluation of one trial.

    Args:
      program: supplies the widths.
      trial: what was evaluated.
      found: a result of every view.
      done: rounds done.
      tail_fraction: share of clients that the tail accuracy averages over.
      seconds: columns of `timings`.
      connections: what is left of the network at every level.
      updates: those of the rounds so far.
      budget: from `budget_columns`.

    Returns:
      The records.
    """
    front = {**trial.labels, "round": done}
    own = next(result for result in found if result.view == OWN_TEST)
    examples = trial.dataset.test.num_examples[_ids(own)]
    summary = summarize(own.accuracy, examples, tail_fraction)
    # Where the objective hides no class, the supernet on all classes is the same.
    on_global = {r.view.level: r for r in found if r.view.split == "test"}
    of_global = on_global.get(GLOBAL, on_global[SUPERNET])
    global_summary = summarize(of_global.accuracy, examples, tail_fraction)
    clients = [result for result in found if result.view.level in _OF_CLIENTS]
    levels = [result for result in found if result.view.level not in _OF_CLIENTS]
    return {
        "metrics": client_records(front, program, trial, clients),
        "summary": [
            {
                **front,
                **_accuracy_columns("", summary),
                **budget,
                **_accuracy_columns("global_", global_summary),
                "updates": updates.arrived,
                "updates_asked": updates.asked,
            }
        ],
        "sizes": _size_records(front, program, levels, connections),
        "timings": [{**front, **seconds}],
    }


def updates_in(summary: Mapping[str, Any]) -> Updates:
    """Returns the updates that a record of `summary` counts."""
    return Updates(int(summary["updates"]), int(summary["updates_asked"]))


def client_records(
    front: Mapping[str, Any],
    program: Program,
    trial: Trial,
    found: Sequence[EvaluationResult],
) -> Columns:
    """Returns a record for each split and client that was evaluated, in client order."""
    width_of = _widths(program, found)
    examples = {
        split: getattr(trial.dataset, split).num_examples for split in ("validation", "test")
    }
    blocks = []
    for result in found:
        ids = _ids(result)
        distinct, which = np.unique(result.sizes, return_inverse=True)
        columns = {
            **front,
            "client": Named(trial.dataset.client_names, ids),
            "num_examples": examples[result.view.split][ids].astype(np.int64),
            "size": result.sizes.astype(np.int64),
            "width": np.array([width_of[int(size)] for size in distinct])[which],
            "split": result.view.name,
            "loss": result.loss.astype(np.float64),
            "accuracy": result.accuracy.astype(np.float64),
        }
        blocks.append(Block(len(ids), columns))
    return Columns(blocks)


def _ids(result: EvaluationResult) -> np.ndarray:
    """Returns the ids of the clients of a result."""
    return np.arange(len(result.client_names)) if result.clients is None else result.clients


def _size_records(
    front: Mapping[str, Any],
    program: Program,
    found: Sequence[EvaluationResult],
    connections: Mapping[str, Connection],
) -> list[dict[str, Any]]:
    """Returns a record for each level: its subnet on the test examples of all clients.

    The global accuracy is that over all of them, on all classes. The local one is the mean over
    clients, on their own classes where the objective hides others. `empty_layers` is the share of
    weight arrays without a weight, and `severed` is 1 where no path leads from input to output.
    Both are NaN where each client's own data decide.
    """
    width_of = _widths(program, found)
    # Where the objective hides nothing, one result is both.
    on_all = {result.view.level: result for result in found if result.view.all_classes}
    on_own = on_all | {r.view.level: r for r in found if not r.view.all_classes}
    lines = []
    for level, result in on_all.items():
        right = np.nansum(result.accuracy * result.targets)
        columns = {
            "size": int(result.sizes[0]),
            "width": width_of[int(result.sizes[0])],
            "global_accuracy": float(right / result.targets.sum()),
            "local_accuracy": float(np.nanmean(on_own[level].accuracy)),
            "empty_layers": connections[level].empty_layers,
            "severed": connections[level].severed,
        }
        lines.append({**front, "level": level, **columns})
    return lines


def _widths(program: Program, found: Sequence[EvaluationResult]) -> dict[int, float]:
    """Returns the width of every size that was evaluated."""
    sizes = {int(size) for result in found for size in np.unique(result.sizes)}
    shape = program.extraction.shape
    return {size: float(shape(program.model, size).width) for size in sizes}


def _accuracy_columns(prefix: str, summary: Summary) -> dict[str, float]:
    """Names the columns of accuracies."""
    return {f"{prefix}{name}_accuracy": v for name, v in dataclasses.asdict(summary).items()}


def budget_columns(program: Program, allocation: Allocation) -> dict[str, float]:
    """Names the columns of budgets and bytes, which are the same in all rounds.

    Args:
      program: supplies the supernet, the extraction and the mode.
      allocation: sizes of the clients; of a large population this takes long.

    Returns:
      Columns of the table `summary`.
    """
    ledger = allocation.ledger
    return {
        "budget_requested": ledger.requested,
        "budget_width": ledger.width,
        "budget_params": ledger.params,
        "budget_uncut": ledger.uncut,
        "budget_macs": ledger.macs,
        "budget_bytes": ledger.bytes,
        "budget_executed": executed_share(program, allocation),
        "bytes_down": ledger.bytes_down,
        "bytes_up": ledger.bytes_up,
        "bytes_once": ledger.bytes_once,
        "severed": ledger.severed,
    }

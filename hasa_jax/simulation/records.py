"""The records of an evaluation: what a run writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.simulation.evaluation import OWN_TEST, SUPERNET, EvaluationResult
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.summary import Summary, summarize
from hasa_jax.simulation.trial import Trial

Records = dict[str, list[dict[str, Any]]]
"""Records by table, one of `writers.TABLES`."""


def records_of(
    program: Program,
    trial: Trial,
    found: Sequence[EvaluationResult],
    done: int,
    tail_fraction: float,
    seconds: Mapping[str, float],
) -> Records:
    """Makes the records of one evaluation of one trial.

    Args:
      program: supplies the widths.
      trial: what was evaluated.
      found: a result of every view.
      done: rounds done.
      tail_fraction: share of clients that the tail accuracy averages over.
      seconds: columns of `timings`.

    Returns:
      The records.
    """
    front = {**trial.labels, "round": done}
    own = next(result for result in found if result.view == OWN_TEST)
    examples = trial.dataset.test.num_examples
    summary = summarize(own.accuracy, examples, tail_fraction)
    clients = [result for result in found if result.view.level in ("", SUPERNET)]
    levels = [result for result in found if result.view.level not in ("", SUPERNET)]
    return {
        "metrics": client_records(front, program, trial, clients),
        "summary": [{**front, **_summary_columns(summary, trial.allocation)}],
        "sizes": _size_records(front, program, levels),
        "timings": [{**front, **seconds}],
    }


def client_records(
    front: Mapping[str, Any],
    program: Program,
    trial: Trial,
    found: Sequence[EvaluationResult],
) -> list[dict[str, Any]]:
    """Returns a record for each split and client of a trial, in client order."""
    width_of = _widths(program, found)
    examples = {
        split: getattr(trial.dataset, split).num_examples for split in ("validation", "test")
    }
    return [
        {
            **front,
            "client": name,
            "num_examples": int(examples[result.view.split][client]),
            "size": int(result.sizes[client]),
            "width": width_of[int(result.sizes[client])],
            "split": result.view.name,
            "loss": float(result.loss[client]),
            "accuracy": float(result.accuracy[client]),
        }
        for result in found
        for client, name in enumerate(trial.dataset.client_names)
    ]


def _size_records(
    front: Mapping[str, Any], program: Program, found: Sequence[EvaluationResult]
) -> list[dict[str, Any]]:
    """Returns a record for each level: its subnet on the test examples of all clients.

    The global accuracy is that over all of them, on all classes. The local one is the mean over
    clients, on their own classes where the objective hides others.
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
        }
        lines.append({**front, "level": level, **columns})
    return lines


def _widths(program: Program, found: Sequence[EvaluationResult]) -> dict[int, float]:
    """Returns the width of every size that was evaluated."""
    sizes = {int(size) for result in found for size in np.unique(result.sizes)}
    shape = program.extraction.shape
    return {size: float(shape(program.model, size).width) for size in sizes}


def _summary_columns(summary: Summary, allocation: Allocation) -> dict[str, float]:
    """Names the columns of accuracies and budgets."""
    accuracies = {f"{name}_accuracy": v for name, v in dataclasses.asdict(summary).items()}
    ledger = allocation.ledger
    return {
        **accuracies,
        "budget_requested": ledger.requested,
        "budget_width": ledger.width,
        "budget_params": ledger.params,
        "budget_macs": ledger.macs,
        "budget_executed": ledger.executed,
    }

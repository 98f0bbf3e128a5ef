"""What a run with sizes that follow measurements has spent so far, measuring included."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.allocation.ledger import mean_costs, moved_bytes
from hasa_jax.allocation.reallocation import Reallocation
from hasa_jax.execution.layout import sizes_of_buckets
from hasa_jax.simulation.program import PASSES, Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet import costs

_NUMBER_BYTES = 4
"""A loss is sent as float32."""


def budget_after(
    program: Program, trial: Trial, budget: Mapping[str, Any], first: int, done: int
) -> Mapping[str, Any]:
    """Returns the columns of budgets after some more rounds.

    Of a policy that reallocates, they are means over the sizes that ran in all rounds so far:

    * `budget_width`, `params`, `macs` and `bytes` are those of the training rounds, which the
      budget bounds.
    * `budget_executed` also counts the measurements. One costs `sum_i p_i sum_j e(w_j)` forward
      passes of the `p_i` held-out examples of each client, over the `3 E s sum_i n_i` of a round
      in which clients train the supernet: a training step counts as 3 forward passes, for `E`
      epochs, by a share `s` of the clients. `e` is 1 in masked execution.
    * `bytes_down` and `bytes_up` also count the widest measured subnet, which contains the
      others, and a number for each loss and for the targets.

    Args:
      program: supplies the supernet, the extraction and the mode.
      trial: the sizes that ran.
      budget: the columns after `first` rounds; before, from `records.budget_columns`.
      first: rounds done before.
      done: rounds done now.

    Returns:
      The columns; those of other policies stay as they are.

    Raises:
      UserError: for a trial that sets no examples apart, under a policy that measures on them.
    """
    allocation = trial.allocation
    own = allocation.reallocation
    if own is None:
        return budget
    rounds = [allocation.sizes_at(round) for round in range(first, done)]
    weights = allocation.stats.shares * allocation.takes_part
    tables = {
        f"budget_{unit}": costs.cost_table(program.model, program.extraction, unit)
        for unit in costs.BUDGET_UNITS
    }
    tables["budget_executed"] = _executed(program, own)
    found = mean_costs(rounds, weights, tables)
    found |= moved_bytes(program.model, program.extraction, rounds, allocation.takes_part)
    share = sum(own.begins(round) for round in range(first, done)) / len(rounds)
    for name, cost in _cost_of_measuring(program, trial, own, tables["budget_executed"]).items():
        found[name] += share * cost
    # Sums of float64 in one order, wherever a run stopped in between.
    return {
        **budget,
        **{n: (budget[n] * first + new * (done - first)) / done for n, new in found.items()},
    }


def allocation_after(
    program: Program, trial: Trial, budget: Mapping[str, Any], done: int
) -> Allocation:
    """Returns the allocation with the ledger of what ran; that of other policies stays as it is.

    Args:
      program: supplies the supernet and the extraction.
      trial: the sizes that ran.
      budget: columns of budgets after these rounds.
      done: rounds done.

    Returns:
      The allocation.
    """
    allocation = trial.allocation
    if allocation.reallocation is None:
        return allocation
    table = costs.cost_table(program.model, program.extraction, "executed")
    weights = allocation.stats.shares * allocation.takes_part
    rounds = [allocation.sizes_at(round) for round in range(done)]
    own = {unit: budget[f"budget_{unit}"] for unit in costs.BUDGET_UNITS}
    moved = {name: budget[name] for name in ("bytes_down", "bytes_up")}
    ledger = dataclasses.replace(
        allocation.ledger, **own, **moved, **mean_costs(rounds, weights, {"executed": table})
    )
    return dataclasses.replace(allocation, ledger=ledger)


def _executed(program: Program, own: Reallocation) -> np.ndarray:
    """Returns the MACs that a client of each size executes `[H + 1]`; the supernet's are 1."""
    model, extraction = program.model, program.extraction
    table = costs.cost_table(model, extraction, "executed").copy()
    if program.execution.mode != "sliced":
        return np.full_like(table, costs.masked_macs(model, extraction))
    ends = sizes_of_buckets(model, extraction, own.grid, program.bucket_share)
    table[own.grid] = table[ends]
    return table


def _cost_of_measuring(
    program: Program, trial: Trial, own: Reallocation, executed: np.ndarray
) -> dict[str, float]:
    """Returns what a measurement costs, in the units of a round."""
    allocation, training = trial.allocation, program.training
    examples = np.asarray(trial.measured_on().examples.num_examples, np.float64)
    held = own.held & (examples > 0)[:, None]
    narrow = program.execution.mode == "sliced"
    passes = held @ (executed[own.sizes] if narrow else np.ones(len(own.sizes)))
    taking_part = int(allocation.takes_part.sum())
    share = (training.clients_per_round or taking_part) / taking_part
    trained = PASSES * training.local_epochs * share * allocation.stats.num_examples.sum()
    count = held.sum(axis=1)
    model, extraction = program.model, program.extraction
    shapes = [extraction.shape(model, int(size)) for size in own.sizes]
    down = np.array([0.0, *(costs.bytes_down(model, extraction, shape) for shape in shapes)])
    return {
        "budget_executed": float(examples @ passes / trained),
        "bytes_down": float(down[count].mean() / share),
        "bytes_up": float((_NUMBER_BYTES * (count + (count > 0))).mean() / share),
    }

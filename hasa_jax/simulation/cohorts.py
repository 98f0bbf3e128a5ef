"""Which clients take part in a round, at which size, and with which weight."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.base import UserError
from hasa_jax.execution.layout import Cohort, Homes, Layout, make_layout, place
from hasa_jax.server.faults import hostile_clients, steps_in_time
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.sampling import draw_clients
from hasa_jax.simulation.trial import Trial

_REPEATS = 2000
"""About as many sizes represent those of all clients in all rounds."""


def sizes_in_run(allocations: Sequence[Allocation], num_rounds: int) -> np.ndarray:
    """Returns the sizes that clients have in some round, repeated about as they occur.

    Args:
      allocations: of all trials that share a program.
      num_rounds: rounds of the run.

    Returns:
      Sizes, int64. The evaluation after the last round counts as a round. Of a policy that
      reallocates, they are all sizes that a client can get, once each.
    """
    return np.concatenate([_sizes_of(allocation, num_rounds + 1) for allocation in allocations])


def _sizes_of(allocation: Allocation, num_rounds: int) -> np.ndarray:
    """Returns the sizes of one allocation."""
    if allocation.reallocation is not None:
        return allocation.reallocation.grid
    rounds = range(num_rounds) if allocation.redraw else range(1)
    occurs: Counter[int] = Counter()
    for round in rounds:
        drawn = allocation.sizes_at(round)
        first, own = np.unique(drawn, return_index=True, return_counts=True)[1:]
        # In the order in which clients have them.
        order = np.argsort(first)
        occurs.update(dict(zip(drawn[first[order]].tolist(), own[order].tolist(), strict=True)))
    sizes, counts = (np.array(list(part)) for part in (occurs.keys(), occurs.values()))
    # So few that sorting them in every round costs nothing.
    return np.repeat(sizes, np.ceil(counts * min(1.0, _REPEATS / counts.sum())).astype(np.int64))


def training_layout(program: Program, trials: Sequence[Trial], sizes: np.ndarray) -> Layout:
    """Makes the layout of a run's cohorts.

    Args:
      program: what is run.
      trials: the seeds that share the program.
      sizes: sizes that clients have in this run, with repeats.

    Returns:
      The layout.

    Raises:
      UserError: if fewer clients take part than are drawn, or trials have different numbers.
    """
    counts = {_clients_of_cohort(program, trial) for trial in trials}
    if len(counts) > 1:
        raise UserError(
            "cohorts of different sizes cannot share a program: take the same number of clients "
            "in every round and seed, or run seeds one by one (`seeds_per_program` 1)"
        )
    return layout_of(
        program,
        sizes_in_run=sizes,
        num_clients=counts.pop(),
        most_examples=max(int(t.dataset.train.num_examples.max()) for t in trials),
        trials=len(trials),
    )


def layout_of(
    program: Program,
    *,
    sizes_in_run: np.ndarray,
    num_clients: int,
    most_examples: int,
    trials: int,
    kinds: int = 1,
) -> Layout:
    """Makes a layout of a program's cohorts.

    Args:
      program: what is run.
      sizes_in_run: sizes that clients have, with repeats.
      num_clients: clients of a cohort.
      most_examples: examples of the largest client of all.
      trials: how many share the program.
      kinds: entries of one client in a cohort.

    Returns:
      The layout.
    """
    return make_layout(
        program.model,
        program.extraction,
        mode=program.execution.mode,
        sizes_in_run=sizes_in_run,
        num_clients=num_clients,
        most_examples=most_examples,
        batch_size=program.training.batch_size,
        lanes=program.lanes,
        mesh=program.mesh(trials),
        bucket_share=program.bucket_share,
        kinds=kinds,
    )


def _clients_of_cohort(program: Program, trial: Trial) -> int:
    """Returns how many clients a cohort of a trial has."""
    taking_part = int(trial.allocation.takes_part.sum())
    drawn, candidates = program.training.clients_per_round, program.training.candidates
    for name, count in (("clients_per_round", drawn), ("candidates", candidates)):
        if not 0 <= count <= taking_part:
            raise UserError(
                f"`{name}` is {count}: {taking_part} clients take part, and 0 means all"
            )
    return candidates or drawn or taking_part


def draw(
    program: Program, layout: Layout, trial: Trial, round: int, homes: Homes | None = None
) -> Cohort:
    """Draws and places the cohort of one round.

    Args:
      program: how many clients are drawn, their weights and deadlines.
      layout: from `training_layout`.
      trial: the clients, their sizes, and the root key of the run.
      round: communication round.
      homes: which devices may run a client; any if None.

    Returns:
      The cohort.
    """
    training, num_examples = program.training, trial.dataset.train.num_examples
    clients = draw_clients(
        training.sampling,
        training.candidates or training.clients_per_round,
        trial.allocation.takes_part,
        num_examples,
        trial.key,
        round,
        training.availability,
    )
    if not len(clients):
        return _without_clients(program, layout, trial, round, homes)
    by_examples = program.method.client_weights == "examples"
    weights = num_examples[clients] if by_examples else np.ones(len(clients))
    sizes = trial.allocation.sizes_at(round)
    cohort = place(layout, clients, sizes[clients], weights, num_examples, homes)
    return _with_faults(program, cohort, trial, sizes)


def _without_clients(
    program: Program, layout: Layout, trial: Trial, round: int, homes: Homes | None
) -> Cohort:
    """Returns a cohort of empty lanes only."""
    first = np.flatnonzero(trial.allocation.takes_part)[:1]
    sizes, examples = trial.allocation.sizes_at(round)[first], trial.dataset.train.num_examples
    cohort = place(layout, first, sizes, np.zeros(1), examples, homes)
    slots = cohort.slots
    none = np.full_like(slots.client, -1)
    slots = dataclasses.replace(slots, entry=none, client=none, local=np.zeros_like(none))
    return dataclasses.replace(cohort, slots=slots, turns=np.zeros_like(cohort.turns))


def _with_faults(program: Program, cohort: Cohort, trial: Trial, sizes: np.ndarray) -> Cohort:
    """Says which clients run out of time, and which corrupt their updates."""
    faults, slots = program.training.faults, cohort.slots
    if faults.deadline:
        steps = steps_in_time(faults, program.model, program.extraction, sizes[slots.client])
        slots = dataclasses.replace(slots, steps=steps)
    if faults.corrupted:
        hostile = hostile_clients(faults, trial.key, trial.dataset.train.num_clients)
        slots = dataclasses.replace(slots, hostile=hostile[slots.client])
    return dataclasses.replace(cohort, slots=slots)


def stack(cohorts: Sequence[Cohort]) -> Cohort:
    """Stacks cohorts of one layout: leaves `[R, ...]`."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *cohorts)

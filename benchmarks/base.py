"""What a workload is, which clients a round of it has, and how much of their work is useful."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import numpy as np

import hasa_jax as hj
from hasa_jax.simulation import cohorts, traced
from hasa_jax.simulation.round import init_state
from hasa_jax.supernet import costs

KEY = jax.random.key(0)
"""Root key of every workload."""


class Engine(NamedTuple):
    """How the engine runs a workload.

    Attributes:
      client_block: clients in one `vmap`, or 0 for the engine's own choice.
      mesh: devices by what they share.
    """

    client_block: int = 0
    mesh: str = "clients:1"


class Work(NamedTuple):
    """What one client has to do in a round.

    Attributes:
      size: units of the largest group that it keeps.
      steps: local steps.
      useful: fraction of the targets in its batches, padding included, that have a loss.
    """

    size: int
    steps: int
    useful: float


@dataclasses.dataclass(frozen=True)
class Workload:
    """What a benchmark runs.

    Attributes:
      name: how it is called.
      program: what is compiled.
      trial: data and sizes of all clients.
      clients_per_round: equally many of each size, drawn in each round; 0 for all clients.
      optimizer_arrays: arrays of the parameters' shapes that a local optimizer's step changes.
      rounds: rounds in one scan, unless asked otherwise.
    """

    name: str
    program: hj.Program
    trial: hj.Trial
    clients_per_round: int
    optimizer_arrays: int
    rounds: int

    @property
    def train(self) -> hj.ClientData:
        """Training examples of all clients."""
        return self.trial.dataset.train

    @property
    def sizes(self) -> np.ndarray:
        """Every client's size `[N]`."""
        return self.trial.allocation.sizes


def clients_of(workload: Workload, round: int) -> np.ndarray:
    """Returns the clients of a round, rising: all, or equally many of each size.

    Args:
      workload: the workload.
      round: communication round.

    Returns:
      Client ids `[C]`.
    """
    sizes = workload.sizes
    if not workload.clients_per_round:
        return np.arange(len(sizes))
    generator, distinct = np.random.default_rng(round), np.unique(sizes)
    each = workload.clients_per_round // len(distinct)
    drawn = [
        generator.choice(np.flatnonzero(sizes == size), each, replace=False) for size in distinct
    ]
    return np.sort(np.concatenate(drawn))


def stretch(workload: Workload, num_rounds: int) -> hj.Cohort:
    """Places the cohorts of consecutive rounds, for `hj.scan_rounds`.

    Args:
      workload: the workload.
      num_rounds: how many.

    Returns:
      The cohorts, stacked.
    """
    program, allocation = workload.program, workload.trial.allocation
    sizes = cohorts.sizes_in_run([allocation], num_rounds)
    trials = []
    for round in range(num_rounds):
        takes_part = np.isin(np.arange(len(workload.sizes)), clients_of(workload, round))
        chosen = dataclasses.replace(allocation, takes_part=takes_part)
        trials.append(workload.trial._replace(allocation=chosen))
    layout = cohorts.training_layout(program, trials[:1], sizes)
    return cohorts.stack(
        [cohorts.draw(program, layout, trial, round) for round, trial in enumerate(trials)]
    )


def shares_of_devices(workload: Workload, stretched: hj.Cohort) -> list[float]:
    """Returns the share of the rounds' work that each device has.

    Args:
      workload: the workload.
      stretched: cohorts of some rounds.

    Returns:
      Shares of the clients' multiply-accumulates; they add up to 1.
    """
    clients = np.moveaxis(np.asarray(stretched.slots.client), 1, 0)
    program = workload.program
    table = costs.cost_table(program.model, program.extraction, "macs")
    macs = table[workload.sizes] * np.asarray(workload.train.num_examples)
    work = np.array([np.where(own >= 0, macs[own], 0).sum() for own in clients], float)
    return (work / work.sum()).tolist()


def message_bytes(workload: Workload, layout: hj.Layout) -> int:
    """Returns the bytes that the devices of a round add up: `traced.message_bytes`."""
    state = jax.eval_shape(functools.partial(init_state, workload.program), KEY)
    return traced.message_bytes(workload.program, layout, state, workload.train)


def work_of(workload: Workload, round: int) -> list[Work]:
    """Counts the useful work of a round: an entry for each of its clients, in their order.

    Args:
      workload: the workload.
      round: communication round.

    Returns:
      The work.
    """
    train, batch_size = workload.train, workload.program.training.batch_size
    offsets, targets = np.asarray(train.offsets), np.asarray(train.targets)
    listed = []
    for client in clients_of(workload, round).tolist():
        own = targets[offsets[client] : offsets[client + 1]]
        steps = -(-len(own) // batch_size)
        places = steps * batch_size * (own.size // len(own))
        useful = float((own >= 0).sum() / places)
        listed.append(Work(int(workload.sizes[client]), steps, useful))
    return listed

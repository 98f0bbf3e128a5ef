"""Where the examples of a run are: each device has only those of clients that it may run.

A cohort says where each of its clients is in the data of its device; keys are those of client
ids. So a round on a part of the data is the same round, bit for bit. Arrays on the host may be
memory-mapped files, of which a process reads only the examples of its own devices' clients.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
from jax.sharding import NamedSharding

from hasa_jax.base import ClientData, UserError
from hasa_jax.execution import sharding
from hasa_jax.execution.layout import Cohort, Homes, Layout
from hasa_jax.execution.mesh import MeshShape, holders, mesh_of
from hasa_jax.numerics import in_32_bits
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.held import (
    Held,
    all_examples,
    held_by_slots,
    local_to,
    most_examples,
    put_held,
)
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet.types import Model

EVALUATED = ("validation", "test")
"""Splits that are evaluated."""

SPLITS = ("train", *EVALUATED)
"""All splits."""


class Part(NamedTuple):
    """Some clients to evaluate at once, in every trial.

    Attributes:
      clients: their ids in each trial, rising and equally many `[n]`.
      room: most examples that they, or those of another part, have in each split.
    """

    clients: Sequence[np.ndarray]
    room: dict[str, int]


class Evaluated(NamedTuple):
    """The data of an evaluation, on the devices.

    Attributes:
      cohort: the entries, which say where their clients are in the data.
      splits: examples of `EVALUATED` `[E, P, ...]`.
      train: training examples, likewise.
    """

    cohort: Cohort
    splits: tuple[ClientData, ...]
    train: ClientData


class Feed(Protocol):
    """Supplies data and cohorts."""

    @property
    def trials(self) -> Sequence[Trial]:
        """The seeds."""
        ...

    @property
    def homes(self) -> Sequence[Homes]:
        """Which devices may run the clients of each trial."""
        ...

    @property
    def calibration(self) -> ClientData | None:
        """Training examples of all clients `[E, ...]`, where static norms are calibrated."""
        ...

    def rounds(self, first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        """Yields data `[E, P, ...]` and cohorts `[E, R, P, ...]` of stretches of rounds."""
        ...

    def parts(self, clients: Sequence[np.ndarray]) -> Iterator[Part]:
        """Yields parts that hold some clients of each trial, rising and equally many."""
        ...

    def evaluated(self, part: Part, cohort: Cohort) -> Evaluated:
        """Returns the data of a part's clients, for a cohort that was placed by `homes`."""
        ...

    def with_trials(self, trials: Sequence[Trial]) -> Feed:
        """Returns the same data, for trials that differ in the sizes of their clients only."""
        ...

    def measuring(self) -> Feed:
        """Returns a feed whose evaluated splits are the examples that clients set apart."""
        ...


@dataclasses.dataclass(frozen=True)
class Resident:
    """All data are on the devices; the rounds between two evaluations are one stretch.

    Attributes:
      program: what is run.
      trials: the seeds.
      layout: of the cohorts.
      homes: which devices may run the clients of each trial.
      held: the clients whose data each device holds.
      splits: the data on the devices, `{split: [E, P, ...]}`.
      calibration: training examples of all clients `[E, ...]`, if static norms need them.
    """

    program: Program
    trials: Sequence[Trial]
    layout: Layout
    homes: Sequence[Homes]
    held: Held
    splits: dict[str, ClientData]
    calibration: ClientData | None

    def rounds(self, first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        """Yields one stretch of rounds."""
        drawn = [
            cohorts.stack(
                [
                    cohorts.draw(self.program, self.layout, trial, round, homes)
                    for round in range(first, last)
                ]
            )
            for trial, homes in zip(self.trials, self.homes, strict=True)
        ]
        yield self.splits["train"], local_to(cohorts.stack(drawn), self.held)

    def parts(self, clients: Sequence[np.ndarray]) -> Iterator[Part]:
        """Yields one part."""
        yield Part(clients, {})

    def evaluated(self, part: Part, cohort: Cohort) -> Evaluated:
        """Returns all data."""
        del part
        splits = tuple(self.splits[split] for split in EVALUATED)
        return Evaluated(local_to(cohort, self.held), splits, self.splits["train"])

    def with_trials(self, trials: Sequence[Trial]) -> Resident:
        """Returns the same data, for trials that differ in the sizes of their clients only."""
        return dataclasses.replace(self, trials=trials)

    def measuring(self) -> Resident:
        """Returns a feed that also has the held-out examples on the devices."""
        trials = _measuring_trials(self.trials)
        parts = [trial.dataset.validation for trial in trials]
        placed = put_held(
            parts,
            self.held,
            self.layout.mesh,
            examples=most_examples(parts, self.held),
            clients=max(len(own) for devices in self.held for own in devices),
        )
        splits = self.splits | dict.fromkeys(EVALUATED, placed)
        return dataclasses.replace(self, trials=trials, splits=splits)


def resident(program: Program, trials: Sequence[Trial], layout: Layout) -> Resident:
    """Puts all data on the devices, once.

    Where the same clients have the same sizes in all rounds, each device holds the data of the
    clients that it runs. Otherwise any device of a process may run any of its clients, so all of
    them hold the data of all.
    """
    homes = [resident_homes(program, trial, layout) for trial in trials]
    held = [held_at(own, layout.mesh) for own in homes]
    clients = max(len(own) for devices in held for own in devices)
    splits = {}
    for split in SPLITS:
        parts = [getattr(trial.dataset, split) for trial in trials]
        examples = most_examples(parts, held)
        splits[split] = put_held(parts, held, layout.mesh, examples=examples, clients=clients)
    calibration = None
    if program.model.moments:
        where = NamedSharding(mesh_of(layout.mesh), sharding.EACH)
        calibration = sharding.put(all_examples([t.dataset.train for t in trials]), where)
    return Resident(program, trials, layout, homes, held, splits, calibration)


def resident_homes(program: Program, trial: Trial, layout: Layout) -> Homes:
    """Returns the devices that hold a client's data in all rounds.

    Args:
      program: how many clients a cohort has.
      trial: the clients and their sizes.
      layout: of the cohorts.

    Returns:
      One device for each client if the cohort never changes; else those of one process.
    """
    by_process = homes_by_process(trial, layout.mesh)
    drawn, allocation = program.training.clients_per_round, trial.allocation
    changes = drawn not in (0, int(allocation.takes_part.sum())) or allocation.changes
    if changes or layout.devices == by_process.groups:
        return by_process
    devices = layout.devices // by_process.groups
    of = by_process.of * devices + np.arange(len(by_process.of)) % devices
    slots = cohorts.draw(program, layout, trial, 0, by_process).slots
    for device, clients in enumerate(np.asarray(slots.client)):
        of[clients[clients >= 0]] = device
    return Homes(of, layout.devices)


def homes_by_process(trial: Trial, mesh: MeshShape) -> Homes:
    """Returns which processes hold a client's data: neighbours, with about equal examples.

    Args:
      trial: supplies the examples of each client.
      mesh: the devices.

    Returns:
      Homes of one group of devices for each process.
    """
    count = holders(mesh)
    examples = trial.dataset.train.num_examples.astype(np.int64)
    middle = np.cumsum(examples) - examples / 2
    share = middle * count / max(1, int(examples.sum()))
    return Homes(np.clip(share.astype(np.int64), 0, count - 1), count)


def held_at(homes: Homes, mesh: MeshShape) -> list[np.ndarray]:
    """Returns the clients `[P][m]` that devices hold if they hold all that they may run."""
    groups = [np.flatnonzero(homes.of == number) for number in range(homes.groups)]
    return [groups[p * homes.groups // mesh.clients] for p in range(mesh.clients)]


@dataclasses.dataclass(frozen=True)
class Streamed:
    """The clients of a round are on the devices that run them, and those of the next round.

    Attributes:
      program: what is run.
      trials: the seeds.
      layout: of the cohorts.
      homes: which devices may run the clients of each trial: those of one process.
      examples: most examples of a device in a round.
      clients: most clients of a device in a round.
    """

    program: Program
    trials: Sequence[Trial]
    layout: Layout
    homes: Sequence[Homes]
    examples: int
    clients: int

    @property
    def calibration(self) -> None:
        """Returns nothing: streamed models have no static norms."""
        return

    def rounds(self, first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        """Yields the rounds one by one; a thread reads the data of the next one meanwhile."""
        read = in_32_bits(self._round)
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(read, first)
            for round in range(first, last):
                found = coming.result()
                if round + 1 < last:
                    coming = reader.submit(read, round + 1)
                yield found

    def _round(self, round: int) -> tuple[ClientData, Cohort]:
        """Puts the data of one round on the devices."""
        drawn = _drawn(self.program, self.trials, self.layout, self.homes, round)
        cohort = cohorts.stack([cohorts.stack([own]) for own in drawn])
        held = held_by_slots(cohort)
        data = put_held(
            [trial.dataset.train for trial in self.trials],
            held,
            self.layout.mesh,
            examples=self.examples,
            clients=self.clients,
        )
        return data, local_to(cohort, held)

    def parts(self, clients: Sequence[np.ndarray]) -> Iterator[Part]:
        """Yields sets of equally many clients that fit into what a device has in a round."""
        examples = {
            name: [
                getattr(trial.dataset, name).num_examples[own]
                for trial, own in zip(self.trials, clients, strict=True)
            ]
            for name in SPLITS
        }
        limit = self.examples * len(self.trials)
        sets = client_sets([own for name in SPLITS for own in examples[name]], limit)
        # Any device may come to run all clients of a set.
        room = {
            name: max(1, *(int(own[s].sum(dtype=np.int64)) for own in examples[name] for s in sets))
            for name in SPLITS
        }
        for positions in sets:
            yield Part([own[positions] for own in clients], room)

    def evaluated(self, part: Part, cohort: Cohort) -> Evaluated:
        """Puts the data of a part's clients on the devices."""
        held = held_by_slots(cohort)
        train, *splits = (
            put_held(
                [getattr(trial.dataset, name) for trial in self.trials],
                held,
                self.layout.mesh,
                examples=part.room[name],
                clients=len(part.clients[0]),
            )
            for name in SPLITS
        )
        return Evaluated(local_to(cohort, held), tuple(splits), train)

    def with_trials(self, trials: Sequence[Trial]) -> Streamed:
        """Returns the same data, for trials that differ in the sizes of their clients only."""
        return dataclasses.replace(self, trials=trials)

    def measuring(self) -> Streamed:
        """Returns a feed of the held-out examples."""
        return dataclasses.replace(self, trials=_measuring_trials(self.trials))


def _measuring_trials(trials: Sequence[Trial]) -> list[Trial]:
    """Returns trials whose evaluated splits are the held-out examples.

    Raises:
      UserError: for a trial that sets none apart.
    """
    found = []
    for trial in trials:
        splits = dict.fromkeys(EVALUATED, trial.measured_on().examples)
        found.append(trial._replace(dataset=dataclasses.replace(trial.dataset, **splits)))
    return found


def streamed(
    program: Program, trials: Sequence[Trial], layout: Layout, num_rounds: int
) -> Streamed:
    """Draws the cohorts of all rounds, to know how many examples and clients a device has at most.

    They are drawn once more when their round comes: all of them at once may be large.

    Raises:
      UserError: if evaluation needs the training data of all clients at once, or if sizes that are
        not known yet would decide which of several devices runs a client.
    """
    check_streams(program.model)
    if layout.devices > 1 and any(trial.allocation.reallocation for trial in trials):
        raise UserError(
            "sizes that follow measurements move clients between devices, so their `stream` needs "
            "a `mesh` with one device along clients"
        )
    homes = [homes_by_process(trial, layout.mesh) for trial in trials]
    parts = [trial.dataset.train for trial in trials]
    examples = clients = 1
    for round in range(num_rounds):
        held = held_by_slots(cohorts.stack(_drawn(program, trials, layout, homes, round)))
        examples = max(examples, most_examples(parts, held))
        clients = max(clients, *(len(own) for devices in held for own in devices))
    return Streamed(program, trials, layout, homes, examples, clients)


def _drawn(
    program: Program, trials: Sequence[Trial], layout: Layout, homes: Sequence[Homes], round: int
) -> list[Cohort]:
    """Draws the cohort of a round for each trial."""
    return [
        cohorts.draw(program, layout, trial, round, own)
        for trial, own in zip(trials, homes, strict=True)
    ]


def check_streams(model: Model) -> None:
    """Refuses a model whose evaluation looks at the training data of all clients.

    Args:
      model: the supernet.

    Raises:
      UserError: if it has norms that calibration makes static.
    """
    if model.moments:
        raise UserError(
            "static norms are calibrated on the training data of all clients, which are never on "
            "the device at once when data is streamed: use `norm` batch, group or layer"
        )


def client_sets(num_examples: Sequence[np.ndarray], capacity: int) -> list[np.ndarray]:
    """Cuts clients into sets of equally many whose examples fit, to evaluate.

    Args:
      num_examples: examples of each client `[n]` in each split that must fit.
      capacity: the most examples of a set, over all of those splits; a single client may have
        more.

    Returns:
      Positions of clients, rising. Every client is in one set or more: the last set begins early
      where the number of clients leaves a rest, so that no program is compiled for it.
    """
    total = np.concatenate([[0], np.cumsum(np.sum(num_examples, axis=0, dtype=np.int64))])
    population = len(total) - 1

    def too_many(size: int) -> bool:
        return bool((total[size:] - total[:-size]).max() > capacity)

    # Any so many consecutive clients fit, so it does not matter where a set begins.
    size = max(1, bisect.bisect_left(range(1, population + 1), True, key=too_many))
    firsts = np.minimum(np.arange(0, population, size), population - size)
    return [np.arange(first, first + size) for first in firsts]

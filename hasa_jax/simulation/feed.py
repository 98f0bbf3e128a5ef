"""Where the examples of a run are: all on the device, or only those of the clients at hand.

Clients keep their ids, so keys, batches and cohorts are those of the population: a round on the
part of the data that it needs is the same round, bit for bit. Arrays on the host may be
memory-mapped files, of which only the examples of the clients at hand are read.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from hasa_jax.base import ClientData, UserError
from hasa_jax.execution import sharding
from hasa_jax.execution.layout import Cohort, Layout
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet.types import Model

EVALUATED = ("validation", "test")
"""Splits that are evaluated."""

SPLITS = ("train", *EVALUATED)
"""All splits."""


class Part(NamedTuple):
    """Some clients to evaluate, in every trial.

    Attributes:
      clients: their ids in each trial, equally many `[n]`.
      splits: their examples of `EVALUATED`, on the device `[E, ...]`.
      train: their training examples, likewise.
    """

    clients: Sequence[np.ndarray]
    splits: tuple[ClientData, ...]
    train: ClientData


class Feed(Protocol):
    """Supplies data and cohorts."""

    def rounds(self, first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        """Yields data and cohorts of stretches of rounds: leaves `[E, ...]` and `[E, R, ...]`."""
        ...

    def parts(self, clients: Sequence[np.ndarray]) -> Iterator[Part]:
        """Yields parts that hold some clients of each trial, rising and equally many."""
        ...


@dataclasses.dataclass(frozen=True)
class Resident:
    """All data are on the device; the rounds between two evaluations are one stretch.

    Attributes:
      program: what is run.
      trials: the seeds.
      layout: of the cohorts.
      splits: the data on the device, `{split: [E, ...]}`.
    """

    program: Program
    trials: Sequence[Trial]
    layout: Layout
    splits: dict[str, ClientData]

    def rounds(self, first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        """Yields one stretch of rounds."""
        drawn = [
            cohorts.stack(
                [cohorts.draw(self.program, self.layout, trial, r) for r in range(first, last)]
            )
            for trial in self.trials
        ]
        yield self.splits["train"], cohorts.stack(drawn)

    def parts(self, clients: Sequence[np.ndarray]) -> Iterator[Part]:
        """Yields one part."""
        splits = tuple(self.splits[split] for split in EVALUATED)
        yield Part(clients, splits, self.splits["train"])


def resident(program: Program, trials: Sequence[Trial], layout: Layout) -> Resident:
    """Puts all data on the device, once."""
    splits = {
        split: put_data(program, [getattr(t.dataset, split) for t in trials]) for split in SPLITS
    }
    return Resident(program, trials, layout, splits)


@dataclasses.dataclass(frozen=True)
class Streamed:
    """The clients of one round at a time are on the device.

    Attributes:
      program: what is run.
      trials: the seeds.
      drawn: cohorts of all rounds, for each trial.
      capacity: most examples of a round's clients; evaluations take no more at a time.
    """

    program: Program
    trials: Sequence[Trial]
    drawn: Sequence[Sequence[Cohort]]
    capacity: int

    def rounds(self, first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        """Yields the rounds one by one."""
        for round in range(first, last):
            clients = [cohorts.clients_of(own[round]) for own in self.drawn]
            cohort = cohorts.stack([cohorts.stack([own[round]]) for own in self.drawn])
            yield self._put("train", clients, self.capacity), cohort

    def parts(self, clients: Sequence[np.ndarray]) -> Iterator[Part]:
        """Yields sets of equally many clients."""
        examples = {
            name: [
                getattr(trial.dataset, name).num_examples[own]
                for trial, own in zip(self.trials, clients, strict=True)
            ]
            for name in SPLITS
        }
        limit = self.capacity * len(self.trials)
        sets = client_sets([own for name in SPLITS for own in examples[name]], limit)
        room = {name: max(most_examples(own, sets) for own in examples[name]) for name in examples}
        for positions in sets:
            chosen = [own[positions] for own in clients]
            train, *splits = (self._put(name, chosen, room[name]) for name in SPLITS)
            yield Part(chosen, tuple(splits), train)

    def _put(self, split: str, clients: Sequence[np.ndarray], room: int) -> ClientData:
        """Puts the examples of some clients of each trial on the device."""
        parts = [
            subset(getattr(trial.dataset, split), own, room)
            for trial, own in zip(self.trials, clients, strict=True)
        ]
        return put_data(self.program, parts)


def streamed(
    program: Program, trials: Sequence[Trial], layout: Layout, num_rounds: int
) -> Streamed:
    """Draws all cohorts, to know how many examples of a round there are at most.

    Raises:
      UserError: if evaluation needs the training data of all clients at once.
    """
    check_streams(program.model)
    drawn = [
        [cohorts.draw(program, layout, trial, round) for round in range(num_rounds)]
        for trial in trials
    ]
    capacity = max(
        most_examples(trial.dataset.train.num_examples, map(cohorts.clients_of, own))
        for trial, own in zip(trials, drawn, strict=True)
    )
    return Streamed(program, trials, drawn, capacity)


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


def most_examples(num_examples: np.ndarray, sets: Iterable[np.ndarray]) -> int:
    """Returns the most examples that any of some sets of clients has, and at least 1.

    Args:
      num_examples: examples of every client of the population `[N]`.
      sets: ids of the clients that are on the device at once, set by set, without repeats.

    Returns:
      Examples.
    """
    return max([1, *(int(num_examples[clients].sum(dtype=np.int64)) for clients in sets)])


def subset(data: ClientData, clients: np.ndarray, capacity: int) -> ClientData:
    """Copies the examples of some clients; the others are left without any.

    Args:
      data: examples of all clients, on the host or in a memory-mapped file.
      clients: ids, in any order.
      capacity: examples of the result, so that its shapes do not depend on the clients.

    Returns:
      Data of the same `N` clients with `capacity` examples: those of `clients` in client order,
      then padding, which repeats the first one.

    Raises:
      UserError: if the clients have more examples than that.
    """
    # A population may have more examples than int32 counts; a part of it may not.
    starts = np.asarray(data.offsets, np.int64)
    clients = np.unique(clients)
    own = np.zeros(data.num_clients, np.int64)
    own[clients] = np.diff(starts)[clients]
    offsets = np.concatenate([[0], np.cumsum(own)])
    if offsets[-1] > capacity:
        raise UserError(
            f"{len(clients)} clients have {offsets[-1]} examples, but there is room for {capacity}"
        )

    def packed(values: Any) -> np.ndarray:
        out = np.zeros((capacity, *values.shape[1:]), values.dtype)
        for client in clients:
            out[offsets[client] : offsets[client + 1]] = values[starts[client] : starts[client + 1]]
        out[offsets[-1] :] = out[:1]
        return out

    return dataclasses.replace(
        data,
        inputs=packed(data.inputs),
        targets=packed(data.targets),
        offsets=offsets.astype(np.int32),
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


def put_data(program: Program, parts: Sequence[ClientData]) -> ClientData:
    """Stacks one split of each trial, `[E, ...]`, and puts it on the devices."""
    return sharding.put(stack_data(parts), program.execution.devices, len(parts))


def stack_data(parts: Sequence[ClientData]) -> ClientData:
    """Stacks data of one shape; padding fills up those with fewer examples.

    Args:
      parts: one split of every trial; clients and example shapes agree.

    Returns:
      Data with leaves `[E, ...]`.

    Raises:
      UserError: if they do not fit each other.
    """
    if len({(part.num_clients, part.num_classes, part.inputs.shape[1:]) for part in parts}) > 1:
        raise UserError(
            "seeds that share a program must have the same number of clients and classes and the "
            "same shape of an example"
        )
    if len(parts) == 1:
        return jax.tree.map(lambda x: np.asarray(x)[None], parts[0])
    most = max(len(part.inputs) for part in parts)

    def padded(values: Any) -> np.ndarray:
        values = np.asarray(values)
        missing = [(0, most - len(values))] + [(0, 0)] * (values.ndim - 1)
        return np.pad(values, missing)

    return ClientData(
        inputs=np.stack([padded(part.inputs) for part in parts]),
        targets=np.stack([padded(part.targets) for part in parts]),
        offsets=np.stack([np.asarray(part.offsets) for part in parts]),
        num_classes=parts[0].num_classes,
    )

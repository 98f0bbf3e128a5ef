"""Traces of clients from a file of the user: in which rounds each of them is available."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.rooms import TrainingConfig
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.messages import first_of
from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.escapes import from_csv_cell
from hasa_jax.simulation.sampling import AVAILABILITY, Availability, shortfall

_LARGEST = 2**31 - 1
_STRETCH = ("first_round", "last_round")


def availability_of(training: TrainingConfig, clients: Sequence[str]) -> Availability | None:
    """Returns the traces of a configuration; None if its sampling reads none.

    Args:
      training: names the file.
      clients: names of all clients, in their order.

    Returns:
      The traces.

    Raises:
      UserError: if the file cannot be used, or names a client that there is not.
    """
    if training.sampling != AVAILABILITY:
        return None
    return read_availability(training.availability_path, clients)


def with_note(dataset: FederatedDataset, training: TrainingConfig) -> FederatedDataset:
    """Adds what traces leave out to the notes of a data set, if its runs read traces.

    Args:
      dataset: the data.
      training: names the file, the rounds and the clients of a round.

    Returns:
      The data.

    Raises:
      UserError: if the file cannot be used, or names a client that there is not.
    """
    traces = availability_of(training, dataset.client_names)
    if traces is None:
        return dataset
    population, rounds = dataset.train.num_clients, training.num_rounds
    count = training.clients_per_round
    lacking = shortfall(traces, count, np.ones(population, bool), rounds)
    never = population - len(np.unique(traces.client[traces.first <= rounds]))
    found = [f"{never} of {population} clients are not available in any round"] if never else []
    if lacking.rounds:
        found.append(
            f"{lacking.rounds} of {rounds} rounds have fewer than {max(count, 1)} available "
            f"clients, so {lacking.empty} places in them stay empty"
        )
    notes = tuple(f"traces: {text}" for text in found)
    return dataclasses.replace(dataset, notes=dataset.notes + notes)


def read_availability(
    availability_path: str | os.PathLike[str], clients: Sequence[str]
) -> Availability:
    """Reads columns `client`, `first_round` and `last_round`, or `client` and `round`.

    Rounds count from 1, and the last one of a stretch belongs to it. A client may have several
    lines; one without any is never available.

    Args:
      availability_path: the CSV file.
      clients: names of all clients, in their order.

    Returns:
      The traces.

    Raises:
      UserError: if the file cannot be used, or names a client that there is not.
    """
    if not availability_path:
        raise UserError(
            "`sampling` availability reads a file of traces: name it with `availability_path`"
        )
    path = path_of(availability_path)
    single = "round" in csv_rows.header_of(path)
    columns = ["client", *(["round"] if single else _STRETCH)]
    lines, (names, *rounds) = csv_rows.columns_of(path, columns)
    found = [_rounds(path, lines, cells) for cells in rounds]
    starts, ends = found[0], found[-1]
    if (ends < starts).any():
        number = int(np.argmax(ends < starts))
        raise UserError(
            f"{path}, line {lines[number]}: first_round {starts[number]} is after last_round "
            f"{ends[number]}: exchange them"
        )
    return Availability(_ids(path, lines, names, clients), starts, ends)


def _rounds(path: pathlib.Path, lines: Sequence[int], cells: Sequence[str]) -> np.ndarray:
    """Reads rounds, integers from 1."""
    try:
        found = np.array(cells).astype(np.int64)
    except (ValueError, OverflowError):
        found = np.array([_round(cell) for cell in cells], np.int64)
    good = (found >= 1) & (found <= _LARGEST)
    if not good.all():
        number = int(np.argmin(good))
        raise UserError(
            f"{path}, line {lines[number]}: a round must be an integer from 1, not "
            f"{cells[number]!r}"
        )
    return found


def _round(cell: str) -> int:
    """Reads an integer; 0 for what is none, or too large."""
    try:
        return max(0, min(int(cell), _LARGEST + 1))
    except ValueError:
        return 0


def _ids(
    path: pathlib.Path, lines: Sequence[int], names: Sequence[str], clients: Sequence[str]
) -> np.ndarray:
    """Returns the ids of clients that the file names."""
    known = dict(zip(clients, range(len(clients)), strict=True))
    spelled = [*map(from_csv_cell, names)]
    found = np.array([known.get(name, -1) for name in spelled], np.int64)
    if (found < 0).any():
        number = int(np.argmin(found))
        unknown = len({name for name in spelled if name not in known})
        more = f" (and {unknown - 1} more names are not known)" if unknown > 1 else ""
        raise UserError(
            f"{path}, line {lines[number]}: no client is called {spelled[number]!r}{more}; "
            f"the clients are {first_of(clients)}"
        )
    return found

"""Tables by client and by size: who has which width, and what it reaches.

The accuracy of a client over its folds is `by_seed.client_accuracy`, here and wherever clients are
shown.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis.by_seed import client_accuracy, examples_of
from experiments.analysis.client_values import of_shown_seed, seed_note
from experiments.analysis.compared import Comparison, gains_of, why_not
from experiments.analysis.matched import at_round
from experiments.analysis.results import Arm, Record, arm_of
from experiments.analysis.table import Cell, Table
from experiments.analysis.table_accuracies import NONE, accuracy_cell, gain_cell, when
from experiments.analysis.tenths import tenth_of, text_of

MOST_CLIENTS = 1000
"""Clients that the table of clients shows."""

_MOST_SIZES = 8
"""Different sizes of an arm that have rows of their own; of more, tenths of widths have."""


class Held(NamedTuple):
    """What one arm gives a client, by seed; means over folds, weighted by their test examples.

    Attributes:
      accuracy: test accuracy, in percent.
      examples: test examples, of all folds.
      width: width of the subnet.
      size: size of the subnet, where it is recorded.
    """

    accuracy: dict[int, float]
    examples: dict[int, float]
    width: dict[int, float]
    size: dict[int, float]


def clients(compared: Comparison, round: int) -> Table | None:
    """Makes the table of clients.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each client and arm: test examples, the score if it is recorded, the width, the
      accuracy and its difference to the reference, with intervals over seeds; differences are
      paired by seed, of arms that match. Where clients are dealt again for each seed, all is of one
      seed. None without records of clients.
    """
    own_seeds = dataclasses.replace(compared, found=of_shown_seed(compared.found))
    held = _held(own_seeds, round)
    names = list(dict.fromkeys(client for own in held.values() for client in own))
    if not names:
        return None
    scores = {arm: _scores(own_seeds, arm) for arm in held}
    scored = any(scores.values())
    base, matched = held[compared.reference], gains_of(compared, round, "mean")
    by_arm = at_round(compared.found, round)
    rows = []
    for client in names[:MOST_CLIENTS]:
        for arm, own in held.items():
            if client not in own:
                continue
            found = own[client]
            cells = [Cell(client), _number(list(found.examples.values()), "{:.4g}")]
            if scored:
                cells.append(_number(scores[arm].get(client, []), "{:.4g}"))
            cells += [Cell(compared.labels[arm])] * compared.several
            cells += [_number(list(found.width.values()), "{:.3f}"), _accuracy(found.accuracy)]
            if compared.several:
                known = arm in matched
                why = NONE if known else Cell(why_not(compared, by_arm, arm))
                cells.append(_gain(found, base.get(client)) if known else why)
            rows.append(tuple(cells))
    headers = ["client", "test examples", *["score"] * scored]
    headers += [*[compared.header] * compared.several, "width", "accuracy %"]
    headers += ["Δ"] * compared.several
    means = "Numbers of a client are means over seeds, with intervals where it has several."
    notes = [seed_note(compared.found) or means]
    if len(names) > MOST_CLIENTS:
        notes.append(f"The first {MOST_CLIENTS:,} of {len(names):,} clients are shown.")
    title = f"Clients {when(compared, round)}"
    return Table("clients", title, tuple(headers), tuple(rows), tuple(notes))


def widths(compared: Comparison, round: int) -> Table | None:
    """Makes the table of sizes: what the clients of each one reach.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each arm and size, or tenth of widths where there are many: the width, the size in
      units of the largest group where it is recorded, how many clients have it, their test
      examples, and their mean accuracy; None if no widths are recorded.
    """
    every = _held(compared, round)
    sized = any(found.size for own in every.values() for found in own.values())
    if not any(every.values()) or any(map(math.isnan, _all_widths(every))):
        return None
    rows, tenths = [], False
    for arm, own in every.items():
        each = [_one(found, seed) for found in own.values() for seed in found.width]
        seeds = len({one.seed for one in each})
        few = len({(one.width, one.size) for one in each}) <= _MOST_SIZES
        tenths |= not few
        groups: dict[tuple[float, float], list[_One]] = collections.defaultdict(list)
        for one in each:
            tenth = (tenth_of(one.width) / 10, 0.0)
            groups[(one.width, one.size) if few else tenth].append(one)
        for (width, _), of in sorted(groups.items()):
            text = f"{width:.3f}" if few else text_of(tenth_of(width))
            cells = [Cell(compared.labels[arm]), Cell(text, width)]
            rows.append((*cells, *[_sizes_cell(of)] * sized, *_of_group(of, seeds)))
    headers = [compared.header, "width", *["size"] * sized]
    headers += ["clients", "test examples", "accuracy %"]
    notes = ["Numbers of clients are means over seeds; test examples are those of a client."]
    if tenths:
        notes.append("A width of 0.5 is in 0.5 to 0.6, and one of 1 in 0.9 to 1.0.")
    title = f"Clients of each size {when(compared, round)}"
    return Table("widths", title, tuple(headers), tuple(rows), tuple(notes))


def _all_widths(every: Mapping[Arm, Mapping[str, Held]]) -> Iterator[float]:
    """Yields the widths of all clients and seeds."""
    for own in every.values():
        for found in own.values():
            yield from found.width.values()


class _One(NamedTuple):
    """What a client has on one seed, as `Held` has it; the size is 0 where it is not recorded."""

    seed: int
    width: float
    size: float
    accuracy: float
    examples: float


def _one(found: Held, seed: int) -> _One:
    """Returns what a client has on one seed."""
    size = found.size.get(seed, 0.0)
    return _One(seed, found.width[seed], size, found.accuracy[seed], found.examples[seed])


def _sizes_cell(of: Sequence[_One]) -> Cell:
    """Makes the cell of the sizes of a group of clients."""
    least, most = min(one.size for one in of), max(one.size for one in of)
    text = f"{most:g}" if least == most else f"{least:g} to {most:g}"
    return Cell(text, most)


def _of_group(of: Sequence[_One], seeds: int) -> list[Cell]:
    """Makes the cells of a group of clients, of so many seeds."""
    by_seed: dict[int, list[float]] = collections.defaultdict(list)
    for one in of:
        if not math.isnan(one.accuracy):
            by_seed[one.seed].append(one.accuracy)
    return [
        _number([len(of) / seeds], "{:.3g}"),
        _number([one.examples for one in of], "{:.4g}"),
        _accuracy({seed: float(np.mean(own)) for seed, own in by_seed.items()}),
    ]


def _held(compared: Comparison, round: int) -> dict[Arm, dict[str, Held]]:
    """Gathers the test records of one round by arm and client."""
    records: dict[Arm, dict[str, dict[int, list[Record]]]] = {arm: {} for arm in compared.labels}
    for record in compared.found.metrics:
        if record["split"] == "test" and int(record["round"]) == round:
            of_client = records[arm_of(record)].setdefault(record["client"], {})
            of_client.setdefault(int(record["seed"]), []).append(record)
    return {
        arm: {client: _of_client(by_seed) for client, by_seed in own.items()}
        for arm, own in records.items()
    }


def _of_client(by_seed: Mapping[int, Sequence[Record]]) -> Held:
    """Takes means over the folds of each seed."""
    found = Held({}, {}, {}, {})
    for seed, records in by_seed.items():
        found.accuracy[seed] = 100 * client_accuracy(records)
        found.examples[seed] = sum(map(examples_of, records))
        if all(record.get("size") for record in records):
            found.size[seed] = sum(float(r["size"]) for r in records) / len(records)
        widths = [float(record.get("width") or "nan") for record in records]
        found.width[seed] = sum(widths) / len(records)
    return found


def _scores(compared: Comparison, arm: Arm) -> dict[str, list[float]]:
    """Returns the scores of clients that are recorded of an arm, by client."""
    found: dict[str, list[float]] = collections.defaultdict(list)
    for own in compared.found.scores.get(arm, {}).values():
        for client, score in own.items():
            found[client].append(score)
    return found


def _number(values: Sequence[float], form: str) -> Cell:
    """Makes the cell of a mean; empty where there is nothing."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return NONE
    mean = float(np.mean(known))
    return Cell(form.format(mean), mean)


def _accuracy(by_seed: Mapping[int, float]) -> Cell:
    """Makes the cell of a mean accuracy over the seeds that have one."""
    known = np.array([value for value in by_seed.values() if not math.isnan(value)])
    return accuracy_cell(known) if known.size else Cell("none")


def _gain(own: Held, base: Held | None) -> Cell:
    """Makes the cell of a client's difference to the reference, paired by seed."""
    if base is None:
        return NONE
    gains = np.array([own.accuracy[s] - base.accuracy[s] for s in own.accuracy if s in base.width])
    known = gains[~np.isnan(gains)]
    return gain_cell(known) if known.size else NONE

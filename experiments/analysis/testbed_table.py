"""What policies gain in the cells of the testbed, and which of it is told apart from chance."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis import results
from experiments.analysis.compared import choose_arm
from experiments.analysis.matched import (
    achieved,
    at_round,
    budgets_match,
    executed,
    measuring_remark,
)
from experiments.analysis.results import METRICS, Record
from experiments.analysis.statistics import ALPHA, holm, interval, number, t_p, verdict
from experiments.analysis.table import Cell, Table
from hasa_jax.base import UserError

NAME = "testbed.md"
"""Name of the table in the workdir."""

CORRELATIONS = (1.0, 0.0, -1.0)
"""Of score and size with difficulty, in the order of the rows and of the columns."""

MARKS = {"better": "▲", "worse": "▼", "not told apart": ""}
"""What tables write behind a difference, by the verdict on it."""

SCORES = {1.0: "score shows who needs width", 0.0: "score says nothing", -1.0: "score misleads"}
SIZES = {1.0: "hard clients are large", 0.0: "size says nothing", -1.0: "hard clients are small"}
"""What the correlations mean."""


class Place(NamedTuple):
    """Where a cell is in the grid.

    Attributes:
      score: correlation of the heterogeneity with the difficulty.
      size: correlation of the training titles with the difficulty.
    """

    score: float
    size: float

    @property
    def name(self) -> str:
        """Its name, and that of its folder: `score+1_size-1`."""
        return f"score{self.score:+g}_size{self.size:+g}"


@dataclasses.dataclass(frozen=True)
class Gain:
    """What a policy gains over the reference in one cell.

    Attributes:
      differences: of the accuracies of one metric in points, one for each common seed.
      verdict: better, worse, or not told apart; by all tests of the metric in the grid.
    """

    differences: np.ndarray
    verdict: str


@dataclasses.dataclass(frozen=True)
class Gains:
    """What all policies gain in all cells.

    Attributes:
      policies: all but the reference.
      reference: what they are compared with.
      found: by metric, place and policy.
      unmatched: policies whose achieved budget is not that of the reference, by place.
      measuring: what measuring adds to a policy, a line for each place.
    """

    policies: tuple[str, ...]
    reference: str
    found: Mapping[tuple[str, Place, str], Gain]
    unmatched: Mapping[Place, Sequence[str]]
    measuring: Sequence[str] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """Cells of which there are results."""
        return tuple(dict.fromkeys(place for _, place, _ in self.found))


def folder_of(root: pathlib.Path, place: Place) -> pathlib.Path:
    """Returns the folder of a cell in the workdir of the testbed."""
    return root / place.name


def gains_of(root: pathlib.Path, reference: str) -> Gains:
    """Reads the cells that have run.

    Args:
      root: the workdir of the testbed.
      reference: policy that others are compared with; the first one if empty.

    Returns:
      The gains at the last round that all policies of a cell have. A policy is compared only where
      its achieved budget matches.

    Raises:
      UserError: if there is no cell, or if one holds damaged results or several methods, or lacks
        the reference.
    """
    found: dict[tuple[str, Place, str], np.ndarray] = {}
    unmatched: dict[Place, list[str]] = {}
    policies: dict[str, None] = {}
    measuring: list[str] = []
    base = reference
    for place in (Place(score, size) for score in CORRELATIONS for size in CORRELATIONS):
        folder = folder_of(root, place)
        if not (folder / "summary.csv").exists():
            continue
        own = results.merge([results.source_of(folder, clients=False)])
        if len({arm.method for arm in own.arms}) > 1:
            raise UserError(f"{folder} has several methods: the testbed compares policies of one")
        base = choose_arm(own.arms, reference).policy
        by_policy = _at_the_end(own)
        for policy, records in by_policy.items():
            if policy == base:
                continue
            policies[policy] = None
            seeds = sorted(set(records) & set(by_policy[base]))
            pair = records, by_policy[base]
            cost = executed(records), executed(by_policy[base])
            name = f"{policy} in {place.name}"
            measuring.append(measuring_remark(policy, name, cost[0], base, cost[1]))
            if not budgets_match(*(achieved(records, own.budget_unit) for records in pair)):
                unmatched.setdefault(place, []).append(policy)
                continue
            for metric in METRICS:
                gain = 100 * _differences(*pair, seeds, f"{metric}_accuracy")
                found[metric, place, policy] = gain
    if not policies:
        raise UserError(f"{root} has no cell of the testbed with two policies: run it first")
    return Gains(tuple(policies), base, _judged(found), unmatched, tuple(filter(None, measuring)))


def _judged(
    found: Mapping[tuple[str, Place, str], np.ndarray],
) -> dict[tuple[str, Place, str], Gain]:
    """Adds verdicts: t tests by Holm's method over all differences of a metric."""
    judged = {}
    for metric in METRICS:
        own = {key: values for key, values in found.items() if key[0] == metric}
        adjusted = holm([t_p(values) for values in own.values()])
        for (key, values), p in zip(own.items(), adjusted, strict=True):
            judged[key] = Gain(values, verdict(float(values.mean()), p))
    return judged


def _at_the_end(found: results.Results) -> dict[str, dict[int, Record]]:
    """Returns the records of the last common round, by policy and seed."""
    return {arm.policy: own for arm, own in at_round(found, found.rounds[-1]).items()}


def _differences(
    records: Mapping[int, Record], base: Mapping[int, Record], seeds: Sequence[int], name: str
) -> np.ndarray:
    """Returns the differences in one column, seed by seed."""
    return np.array([float(records[seed][name]) - float(base[seed][name]) for seed in seeds])


def tables_of(gains: Gains) -> tuple[Table, ...]:
    """Makes the table of each metric.

    Args:
      gains: of all cells that there are.

    Returns:
      For each score a row a policy, and a column for each correlation of size. What a reader must
      know is in the notes of the first.
    """
    first, *others = (_table(gains, metric) for metric in METRICS)
    return dataclasses.replace(first, notes=tuple(_notes(gains))), *others


def _notes(gains: Gains) -> Iterator[str]:
    """Says what the numbers are, which cells are missing, and what is not compared."""
    counts = {len(gain.differences) for gain in gains.found.values()}
    seeds = "-".join(map(str, sorted({min(counts), max(counts)}))) if counts else "no"
    tests = sum(1 for metric, _, _ in gains.found if metric == METRICS[0])
    yield (
        f"Differences are in points, paired by seed, {seeds} seeds: mean ± half the 95 % Student "
        f"interval. {MARKS['better']} better, {MARKS['worse']} worse: p of the paired t test, by "
        f"Holm's method over the {tests} differences of the table, is at most {ALPHA:g}."
    )
    known = {*gains.places, *gains.unmatched}
    if missing := len(CORRELATIONS) ** 2 - len(known):
        yield f"{missing} of {len(CORRELATIONS) ** 2} cells are missing."
    for place, policies in gains.unmatched.items():
        yield f"{place.name}: budgets of {', '.join(policies)} do not match."
    yield from gains.measuring


def _table(gains: Gains, metric: str) -> Table:
    """Makes the table of one metric."""
    rows = []
    for score in CORRELATIONS:
        for policy in gains.policies:
            cells = [
                _cell(gains.found.get((metric, Place(score, size), policy)))
                for size in CORRELATIONS
            ]
            rows.append((Cell(SCORES[score]), Cell(policy), *cells))
    headers = ("", "policy", *(SIZES[size] for size in CORRELATIONS))
    what = {"mean": "mean accuracy", "worst": "the worst client", "tail": "the tail of clients"}
    title = f"Difference to {gains.reference} of {what[metric]} at the last round"
    return Table(f"testbed_{metric}", title, headers, tuple(rows))


def _cell(gain: Gain | None) -> Cell:
    """Makes the cell of a gain."""
    if gain is None:
        return Cell("none")
    mean = float(gain.differences.mean())
    half = interval(gain.differences)
    text = number(mean, half, signed=True)
    mark = "" if math.isnan(half) else f" {MARKS[gain.verdict]}"
    return Cell(f"{text}{mark}".rstrip(), mean)

"""What the runs of a benchmark suite reached: an outcome for each task, budget and arm."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import results, statistics
from experiments.analysis.matched import achieved, at_round, budgets_match, measuring_remark
from experiments.rooms import number_text
from experiments.study import manifest
from experiments.study.block import Block, blocks_of
from experiments.study.suite import Suite
from experiments.study.sweep_points import Point, Run, Sweep
from experiments.study.sweep_states import State
from hasa_jax.base import UserError

REFERENCE = "reference"
_FEWEST = 2
"""Fewer common seeds have no test."""

_COSTS = ("budget_macs", "budget_executed", "bytes_down", "bytes_up")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One arm of one task at one budget, in the last round.

    Attributes:
      task: name of the task.
      budget: as a fraction of the supernet's MACs.
      arm: `method:policy`.
      of: seeds of the suite.
      accuracies: percent, mean over clients of the test accuracy of their own subnets, by seed.
      worst: the same of the client with the lowest accuracy.
      achieved: MACs by seed, a fraction of the supernet's; NaN where the results do not say.
      costs: means over seeds of the achieved MACs, of those that were executed, measuring included,
        and of the bytes that a client receives and sends in a round; NaN where the results do not
        say.
      differences: points to the reference on the seeds of both, where the achieved MACs match.
      p: of the paired t test, adjusted by Holm over the arms of the task and budget.
      verdict: what the differences say; empty while there is nothing to say.
      rank: 1 for the highest mean accuracy of the task and budget.
    """

    task: str
    budget: float
    arm: str
    of: int
    accuracies: Mapping[int, float]
    worst: Mapping[int, float]
    achieved: Mapping[int, float]
    costs: Mapping[str, float]
    differences: tuple[float, ...] = ()
    p: float = math.nan
    verdict: str = ""
    rank: float = math.nan

    @property
    def mean(self) -> float:
        """Mean accuracy over seeds in percent; NaN without any."""
        return float(np.mean(list(self.accuracies.values()))) if self.accuracies else math.nan

    @property
    def bytes(self) -> float:
        """Bytes that a client receives and sends in a round."""
        return self.costs["bytes_down"] + self.costs["bytes_up"]


def outcomes_of(
    suite: Suite, found: Sweep, states: Sequence[State]
) -> tuple[list[Outcome], list[str]]:
    """Reads what there is of a suite.

    Args:
      suite: names the reference.
      found: all runs.
      states: of every run, in their order.

    Returns:
      An outcome for each task, budget and arm, in their order, of all runs in which the arm is
      finished, whatever became of others in them; and a line for each run, or task
      and budget, whose results cannot be read.
    """
    outcomes: list[Outcome] = []
    reasons: list[str] = []
    sources: dict[str, list[results.Source]] = collections.defaultdict(list)
    for run, state in zip(found.runs, states, strict=True):
        try:
            source = _finished(run) if state.readable else None
        except UserError as error:
            reasons.append(f"{run.label}: {error}")
        else:
            sources[run.point.label] += [source] if source else []
    first = {run.point.label: run for run in reversed(found.runs)}
    for point in found.points:
        try:
            records = _last_records(sources[point.label], point.config.training.num_rounds)
        except UserError as error:
            reasons.append(f"{point.label}: {error}")
            records = {}
        of = len(suite.seeds)
        own = [_outcome(point, arm, of, records.get(arm, {})) for arm in _arms(first[point.label])]
        outcomes += compared(own, suite.reference)
    return outcomes, reasons


def compared(outcomes: Sequence[Outcome], reference: str) -> list[Outcome]:
    """Compares the arms of one task and budget with the reference, and ranks them.

    Args:
      outcomes: one for each arm.
      reference: name of the arm.

    Returns:
      The outcomes, with differences, p values, verdicts and ranks.
    """
    base = next((outcome for outcome in outcomes if outcome.arm == reference), None)
    found = [_difference(outcome, base) for outcome in outcomes]
    adjusted = statistics.holm([outcome.p for outcome in found])
    found = [_judged(outcome, p) for outcome, p in zip(found, adjusted, strict=True)]
    means = [outcome.mean for outcome in found if outcome.accuracies]
    return [
        dataclasses.replace(outcome, rank=_rank(outcome.mean, means))
        if outcome.accuracies
        else outcome
        for outcome in found
    ]


def ranks(outcomes: Sequence[Outcome]) -> dict[str, dict[float, list[float]]]:
    """Gathers the ranks of every arm: one for each task, by budget."""
    found: dict[str, dict[float, list[float]]] = {}
    for outcome in outcomes:
        by_budget = found.setdefault(outcome.arm, {})
        if not math.isnan(outcome.rank):
            by_budget.setdefault(outcome.budget, []).append(outcome.rank)
    return found


def measuring_remarks(outcomes: Sequence[Outcome], reference: str) -> list[str]:
    """Says of arms that measure what this adds, which the match of budgets leaves out.

    Args:
      outcomes: of every task, budget and arm.
      reference: name of the arm that others are compared with.

    Returns:
      A line for each task, budget and arm that measures.
    """
    executed = {(o.task, o.budget, o.arm): o.costs["budget_executed"] for o in outcomes}
    lines = [
        measuring_remark(
            arm.partition(":")[2],
            f"{arm} on {task}, B {number_text(budget)}",
            own,
            reference,
            executed.get((task, budget, reference), math.nan),
        )
        for (task, budget, arm), own in executed.items()
    ]
    return [line for line in lines if line]


def _arms(run: Run) -> list[str]:
    """Returns the names of the arms of a run."""
    return [":".join(arm) for arm in run.arms]


def _last_records(
    sources: Sequence[results.Source], last: int
) -> dict[str, dict[int, results.Record]]:
    """Returns the records of every arm and seed of one task and budget in the last round."""
    found: dict[str, dict[int, results.Record]] = collections.defaultdict(dict)
    for arm, own in at_round(results.merge(sources), last).items() if sources else ():
        found[f"{arm.method}:{arm.policy}"] |= own
    return found


def _finished(run: Run) -> results.Source | None:
    """Reads the arms of a run that have all rounds and folds; none if there are none."""
    names = (manifest.NAME, "metrics.csv", "summary.csv")
    if not all((run.folder / name).exists() for name in names):
        return None
    source, last = results.source_of(run.folder), run.config.training.num_rounds
    blocks = set(blocks_of([run.seed], run.config.data.eval_folds))
    found: dict[results.Arm, set[Block]] = collections.defaultdict(set)
    for record in source.summary:
        if int(record["round"]) == last:
            found[results.arm_of(record)].add(results.block_of(record))
    arms = {arm for arm, own in found.items() if own >= blocks}
    if not arms:
        return None
    tables = {
        name: [own for own in getattr(source, name) if results.arm_of(own) in arms]
        for name in ("metrics", "summary", "sizes")
    }
    return dataclasses.replace(source, **tables)


def _outcome(point: Point, arm: str, of: int, records: Mapping[int, results.Record]) -> Outcome:
    """Makes the outcome of an arm of its last records, by seed."""

    def column(name: str) -> dict[int, float]:
        return {seed: float(own.get(name) or "nan") for seed, own in sorted(records.items())}

    costs = {n: float(np.mean(list(column(n).values()))) if records else math.nan for n in _COSTS}
    return Outcome(
        point.shown["task"],
        float(point.shown["budget"]),
        arm,
        of,
        {seed: 100 * value for seed, value in column("mean_accuracy").items()},
        {seed: 100 * value for seed, value in column("worst_accuracy").items()},
        achieved(records, "macs"),
        costs,
    )


def _difference(outcome: Outcome, base: Outcome | None) -> Outcome:
    """Compares an arm with the reference, before p is adjusted."""
    if base is None or not outcome.accuracies:
        return outcome
    if outcome is base:
        return dataclasses.replace(outcome, verdict=REFERENCE)
    seeds = sorted(set(outcome.accuracies) & set(base.accuracies))
    gains = np.array([outcome.accuracies[seed] - base.accuracies[seed] for seed in seeds])
    if seeds and not budgets_match(outcome.achieved, base.achieved):
        return dataclasses.replace(outcome, verdict="not matched in MACs")
    if len(seeds) < _FEWEST:
        return dataclasses.replace(outcome, differences=tuple(gains), verdict="too few seeds")
    p = statistics.t_p(gains)
    return dataclasses.replace(outcome, differences=tuple(gains), p=p)


def _judged(outcome: Outcome, p: float) -> Outcome:
    """Says what the differences of an arm say, by an adjusted p; only where there is a test."""
    if len(outcome.differences) < _FEWEST:
        return outcome
    mean = float(np.mean(outcome.differences))
    return dataclasses.replace(outcome, p=p, verdict=statistics.verdict(mean, p))


def _rank(mean: float, means: Sequence[float]) -> float:
    """Returns the place of a mean among several, from 1; equal ones share the mean of theirs."""
    above, equal = (sum(test(other) for other in means) for test in (mean.__lt__, mean.__eq__))
    return above + (equal + 1) / 2

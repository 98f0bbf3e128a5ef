"""Sequential stopping: more seeds until the intervals of all comparisons are narrow enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

import numpy as np

from experiments.analysis import results
from experiments.analysis.compared import choose_arm
from experiments.analysis.statistics import interval, seeds_needed
from experiments.analysis.stopped import Rule
from experiments.config import RunConfig
from experiments.study.arm import Arm
from experiments.study.block import Block
from hasa_jax.base import UserError

_ENOUGH = 10
"""Seeds to begin with, for intervals to cover almost 95 %; `experiments.analysis.coverage`."""


def check_rule(config: RunConfig, given: Set[str], arms: Sequence[Arm], *, asked: int) -> list[str]:
    """Refuses a rule that cannot stop, or under which programs would change as seeds are added.

    Args:
      config: the configuration, with the seeds that its workdir has; without `until_halfwidth`
        there is no rule.
      given: fields that the user gave.
      arms: what is compared, with those of the workdir.
      asked: `num_seeds` of the command; the workdir has the seeds above it.

    Returns:
      A line if it begins with few seeds, of which the first intervals are narrow by chance.

    Raises:
      UserError: naming the argument.
    """
    compared = config.comparison
    if not compared.until_halfwidth:
        if "max_seeds" in given:
            raise UserError("`max_seeds` is read only with `until_halfwidth`: leave it out")
        return []
    if len(arms) < 2:
        raise UserError("`until_halfwidth` is of differences: compare two arms, or leave it out")
    if compared.num_seeds < 2:
        raise UserError("`num_seeds` is 1: with `until_halfwidth`, an interval needs two seeds")
    held = compared.num_seeds > asked
    there = f"workdir {config.reporting.workdir} holds {compared.num_seeds} seeds"
    seeds = there if held else f"`num_seeds` is {compared.num_seeds}"
    if compared.num_seeds > compared.max_seeds:
        raise UserError(
            f"{seeds}, but `max_seeds` is {compared.max_seeds}: raise `max_seeds`, or leave out "
            "`until_halfwidth`"
        )
    _check_filled(config, there if held else "")
    if compared.num_seeds >= _ENOUGH:
        return []
    return [
        f"the rule begins with {compared.num_seeds} seeds: with fewer than {_ENOUGH}, it stops too "
        "early by chance more often, and 95 % intervals of a single difference cover about 90 %"
    ]


def _check_filled(config: RunConfig, there: str) -> None:
    """Raises unless seeds fill their programs; `there` says so of a workdir that has more seeds."""
    step = seeds_at_a_time(config)
    for name in ("num_seeds", "max_seeds"):
        number = getattr(config.comparison, name)
        if not number % step:
            continue
        filled = "with `until_halfwidth`, seeds must fill their programs"
        if there and name == "num_seeds":
            raise UserError(f"{there}: {filled}; raise `num_seeds` to {number + -number % step}")
        raise UserError(
            f"`{name}` is {number}: {filled}; make it a multiple of {step}, or lower "
            "`seeds_per_program`"
        )


def seeds_at_a_time(config: RunConfig) -> int:
    """Returns how many seeds a rule adds: the fewest whose folds fill programs.

    Args:
      config: the configuration.

    Returns:
      1 where every seed has programs of its own.
    """
    number = config.execution.seeds_per_program
    return number // math.gcd(number, max(1, config.data.eval_folds))


def rule_of(config: RunConfig, accuracies: Mapping[Arm, Mapping[Block, float]], round: int) -> Rule:
    """Returns what a rule says of the seeds so far.

    Args:
      config: the configuration, with `until_halfwidth`.
      accuracies: mean test accuracy over clients at the last round, in [0, 1], by arm and block.
      round: the last round.

    Returns:
      The rule, with the widest of all intervals.
    """
    compared = config.comparison
    shown = {results.Arm(*arm): own for arm, own in accuracies.items()}
    reference = choose_arm(list(shown), compared.reference)
    labels = results.labels_of(list(shown))
    points = {arm: _by_seed(own) for arm, own in shown.items()}
    gains = {
        arm: np.array([own[seed] - points[reference][seed] for seed in sorted(own)])
        for arm, own in points.items()
        if arm != reference
    }
    halves = {arm: interval(own) for arm, own in gains.items()}
    # What is non-finite is wider than any interval.
    widest = max(halves, key=lambda arm: np.nan_to_num(halves[arm], nan=np.inf))
    deviation = float(gains[widest].std(ddof=1)) if halves[widest] else float("nan")
    return Rule(
        half=compared.until_halfwidth,
        most=compared.max_seeds,
        seeds=len(gains[widest]),
        reached=halves[widest],
        widest=labels[widest],
        reference=labels[reference],
        round=round,
        needs=seeds_needed(deviation, compared.until_halfwidth),
    )


def finished(rule: Rule | None, config: RunConfig, arms: Sequence[Arm]) -> bool:
    """Returns whether a run has ended by the very rule of a configuration.

    Args:
      rule: what run.json says, if it has a rule.
      config: the configuration, with `until_halfwidth`.
      arms: what is compared.

    Returns:
      False too if the configuration compares with another reference.

    Raises:
      UserError: if the reference is not one of the arms.
    """
    if rule is None or rule.round != config.training.num_rounds:
        return False
    compared = config.comparison
    shown = [results.Arm(*arm) for arm in arms]
    reference = results.labels_of(shown)[choose_arm(shown, compared.reference)]
    wanted = (compared.until_halfwidth, compared.max_seeds, reference)
    return (
        (rule.half, rule.most, rule.reference) == wanted
        and rule.ends
        and rule.seeds >= compared.num_seeds
    )


def _by_seed(accuracies: Mapping[Block, float]) -> dict[int, float]:
    """Returns the mean over the folds of every seed, in percent."""
    folds: dict[int, list[float]] = {}
    for block, accuracy in accuracies.items():
        folds.setdefault(block.seed, []).append(100 * accuracy)
    return {seed: float(np.mean(own)) for seed, own in folds.items()}

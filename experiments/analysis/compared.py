"""What tables compare: the arms, the reference, and the rounds that are shown."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from experiments.analysis import results
from experiments.analysis.matched import achieved, at_round, budgets_match
from experiments.analysis.results import METRICS, Arm, Record, Results, arm_of
from experiments.rooms import ComparisonConfig
from hasa_jax.base import UserError

COSTS = {"macs": "MACs", "params": "parameters"}
"""Costs that are said where they differ, as sentences have them."""

ALIKE = 0.05
"""Costs that differ by more than this share are said."""

_MOST_NAMED = 3
"""Arms whose costs are named."""

NAMES = {"macs": "MACs"}
"""Units that tables spell in another way."""

REFERENCE, NOT_MATCHED, NO_SEED = "reference", "not matched", "no common seed"
"""What is said of an arm that has no difference to the reference."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a table compares.

    Attributes:
      found: the results.
      reference: the arm that others are compared with.
      matched: the unit in which arms must agree for a p value.
      labels: what every arm is called.
      chosen: the round of the tables, the best by validation accuracy of the first arm; the last
        one where results have no records of clients.
    """

    found: Results
    reference: Arm
    matched: str
    labels: Mapping[Arm, str]
    chosen: int

    @property
    def last(self) -> int:
        """The last round that every arm was evaluated at."""
        return self.found.rounds[-1]

    @property
    def several(self) -> bool:
        """Whether there is something to compare."""
        return len(self.found.arms) > 1

    @property
    def unit(self) -> str:
        """The unit in which arms must match, as tables spell it."""
        return NAMES.get(self.matched, self.matched)

    @property
    def header(self) -> str:
        """The header of the column that names arms."""
        arms = self.found.arms
        methods, policies = ({arm[part] for arm in arms} for part in (0, 1))
        if len(methods) == 1 and len(policies) > 1:
            return "policy"
        alike = len(policies) == 1 or len(methods) == len(arms)
        return "method" if len(methods) > 1 and alike else "arm"

    def match(self, arm: Arm, by_arm: Mapping[Arm, Mapping[int, Record]], unit: str) -> bool:
        """Returns whether an arm and the reference achieve one budget in a unit.

        Args:
          arm: the arm.
          by_arm: records of a round, by arm and seed.
          unit: what the budget counts.

        Returns:
          False too if they have no seed in common, or supernets of different widths: budgets are
          shares of an arm's own supernet.
        """
        both = arm, self.reference
        alike = len({self.found.supernets.get(each, 1.0) for each in both}) == 1
        return alike and budgets_match(*(achieved(by_arm[each], unit) for each in both))


def compared_of(found: Results, comparison: ComparisonConfig) -> Comparison:
    """Chooses what the tables of some results compare.

    Args:
      found: the results.
      comparison: names the reference, and the unit in which arms must match.

    Returns:
      The comparison.

    Raises:
      UserError: if the reference is not one arm, if no round has all arms, or if the results lack
        the unit.
    """
    unit = comparison.matched or found.budget_unit
    if not all(has(record, f"budget_{unit}") for record in found.summary):
        raise UserError(
            f"summary.csv has no achieved budget in {unit}: run the experiment again, or name "
            "another unit with `matched`"
        )
    if not found.rounds:
        raise UserError(
            "no round was evaluated of all arms at each of their seeds: compare runs of one "
            "`eval_every`"
        )
    names = results.labels_of(found.arms)
    reference = choose_arm(found.arms, comparison.reference)
    chosen = found.rounds[-1]
    if found.metrics:
        chosen = best_round(found.metrics, found.arms[0], found.rounds)
    return Comparison(found, reference, unit, names, chosen)


def best_round(metrics: Sequence[Record], arm: Arm, rounds: Sequence[int]) -> int:
    """Picks the round with the best mean validation accuracy of one arm.

    Args:
      metrics: records of metrics.csv.
      arm: the arm; neither others nor the test split are read.
      rounds: rounds to choose from.

    Returns:
      The earliest best round.

    Raises:
      UserError: if the arm has no validation accuracies at these rounds, or only NaN.
    """
    accuracies = collections.defaultdict(list)
    for record in metrics:
        if record["split"] == "validation" and arm_of(record) == arm:
            accuracies[int(record["round"])].append(float(record["accuracy"]))
    known = {r: np.nanmean(own) for r, own in accuracies.items() if not np.isnan(own).all()}
    common = sorted(set(known) & set(rounds))
    if not common and set(accuracies) & set(rounds):
        raise UserError(
            f"all validation accuracies of {arm.name!r}, which the round is chosen by, are "
            "non-finite: run it again with another learning rate"
        )
    if not common:
        raise UserError(f"metrics.csv has no validation records of {arm.name!r}")
    return max(common, key=lambda r: known[r])


def choose_arm(arms: Sequence[Arm], name: str) -> Arm:
    """Chooses one of several arms by its name, or by a part that no other arm has.

    Args:
      arms: all of them.
      name: `method:policy`, a method, a policy, or the folder that sets it apart; the first arm
        if empty.

    Returns:
      The arm.

    Raises:
      UserError: if the name fits none of them, or more than one.
    """
    if not name:
        return arms[0]
    short = results.labels_of(arms)
    full = {
        arm: (arm.name, short[arm], arm.folder, f"{arm.method}:{arm.policy}", arm.method)
        for arm in arms
    }
    # A name of a method and of a policy is that of the method, where this is one arm.
    for fits in (full, {arm: (arm.policy,) for arm in arms}):
        fitting = [arm for arm in arms if name in fits[arm]]
        if len(fitting) == 1:
            return fitting[0]
    known = ", ".join(arm.name for arm in arms)
    raise UserError(f"`reference={name}` is not one arm of the results: use one of {known}")


def has(record: Record, name: str) -> bool:
    """Returns whether a record has a number in a column that may be missing or empty."""
    return bool(record.get(name)) and not math.isnan(float(record[name]))


def percents(records: Mapping[int, Record], name: str, seeds: Iterable[int]) -> np.ndarray:
    """Reads one column in percent.

    Args:
      records: by seed.
      name: the column, of shares.
      seeds: which, in which order.

    Returns:
      A number for each seed.
    """
    return 100 * np.array([float(records[seed][name]) for seed in seeds])


def why_not(compared: Comparison, by_arm: Mapping[Arm, Mapping[int, Record]], arm: Arm) -> str:
    """Returns why an arm has no difference to the reference.

    Args:
      compared: the arms.
      by_arm: the records of a round, by arm and seed.
      arm: one that `gains_of` does not have.

    Returns:
      `REFERENCE`, `NO_SEED` or `NOT_MATCHED`.
    """
    if arm == compared.reference:
        return REFERENCE
    common = set(by_arm[arm]) & set(by_arm[compared.reference])
    return NOT_MATCHED if common else NO_SEED


def seeds_of(compared: Comparison, round: int, kind: str = "matched seed") -> str:
    """Writes how many seeds the results of a round rest on.

    Args:
      compared: the arms.
      round: the round.
      kind: what a seed is called.

    Returns:
      Of several arms, how many seeds each has in common with the reference: `5 matched seeds`,
      `2 to 5 matched seeds` or `no matched seed`. Of a single one, how many it has.
    """
    by_arm = at_round(compared.found, round)
    base = by_arm[compared.reference]
    counts = [len(set(own) & set(base)) for own in by_arm.values() if own is not base]
    least, most = min(counts, default=len(base)), max(counts, default=len(base))
    if most == 0:
        return f"no {kind}"
    count = f"{least} to {most}" if least < most else f"{most}"
    return f"{count} {kind}{'s' * (most > 1)}"


def majority(compared: Comparison, round: int, metric: str) -> np.ndarray:
    """Returns what always predicting the most frequent training target reaches.

    Args:
      compared: the arms.
      round: the round.
      metric: mean, worst or tail.

    Returns:
      Percents, one for each seed of the reference that it is known of, means over folds. Empty for
      the worst and the tail of folds: those of a single fold are of another kind than those of
      arms, which are over all folds.
    """
    if compared.found.folds and metric != METRICS[0]:
        return np.array([])
    by_seed: dict[int, list[float]] = {}
    for block, own in compared.found.baselines.items():
        by_seed.setdefault(block.seed, []).append(own[f"{metric}_accuracy"])
    seeds = at_round(compared.found, round)[compared.reference]
    return np.array([100 * np.mean(by_seed[seed]) for seed in seeds if seed in by_seed])


def common_seeds(compared: Comparison, round: int, arm: Arm) -> list[int]:
    """Returns the seeds of the values of `gains_of`.

    Args:
      compared: the arms.
      round: the round.
      arm: one of them.

    Returns:
      The seeds that it has in common with the reference, in order.
    """
    by_arm = at_round(compared.found, round)
    return sorted(set(by_arm[arm]) & set(by_arm[compared.reference]))


def gains_of(compared: Comparison, round: int, metric: str) -> dict[Arm, np.ndarray]:
    """Returns the differences of accuracy to the reference of arms that match it.

    Args:
      compared: the arms.
      round: the round.
      metric: mean, worst or tail.

    Returns:
      By arm: points, one for each seed that it has in common with the reference.
    """
    by_arm = at_round(compared.found, round)
    base, found, name = by_arm[compared.reference], {}, f"{metric}_accuracy"
    for arm, own in by_arm.items():
        seeds = sorted(set(own) & set(base))
        if arm != compared.reference and seeds and compared.match(arm, by_arm, compared.matched):
            found[arm] = percents(own, name, seeds) - percents(base, name, seeds)
    return found


def other_costs(compared: Comparison, round: int) -> str:
    """Says where budgets match in their unit, but not in MACs or parameters.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A sentence on the arms that match the reference, and whose MACs or parameters differ from its
      own by more than 5 %, means over common seeds; empty if none do.
    """
    by_arm = at_round(compared.found, round)
    base = by_arm[compared.reference]
    matching, parts = gains_of(compared, round, METRICS[0]), []
    for unit, name in COSTS.items():
        if unit == compared.matched:
            continue
        costs = {arm: _costs(by_arm[arm], base, unit) for arm in matching}
        # Rounding must not decide about a gap of exactly 5 %.
        unlike = {arm: own for arm, own in costs.items() if abs(own[0] / own[1] - 1) > ALIKE + 1e-9}
        order = sorted(unlike, key=lambda arm: -abs(unlike[arm][0] / unlike[arm][1] - 1))
        if order:
            named = [f"{compared.labels[compared.reference]} {unlike[order[0]][1]:.3f}"]
            for arm in order[:_MOST_NAMED]:
                own, other = unlike[arm]
                named.append(f"{compared.labels[arm]} {own:.3f}, {100 * (own / other - 1):+.0f} %")
            named += [f"and {len(order) - _MOST_NAMED} more"] * (len(order) > _MOST_NAMED)
            parts.append(f"{name} ({'; '.join(named)})")
    if not parts:
        return ""
    return (
        f"Budgets match in {compared.unit}, but not in {' nor in '.join(parts)}, as shares of the "
        "supernet's."
    )


def _costs(own: Mapping[int, Record], base: Mapping[int, Record], unit: str) -> tuple[float, float]:
    """Returns mean achieved budgets of an arm and the reference over common seeds."""
    seeds = [seed for seed in own if seed in base]
    found = [achieved(records, unit) for records in (own, base)]
    one, other = (float(np.mean([of[seed] for seed in seeds])) for of in found)
    return one, other

"""What a reader must know of the tables: what their numbers are, and what weakens them."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping

import numpy as np

from experiments.analysis import results, verdicts
from experiments.analysis.compared import Comparison, has, other_costs, seeds_of
from experiments.analysis.matched import at_round, executed, measuring_remark
from experiments.analysis.results import Arm, Record, Results, arm_of
from experiments.analysis.statistics import ALPHA, least_p
from experiments.analysis.table_accuracies import family_of
from hasa_jax.simulation.baseline import FEW
from hasa_jax.simulation.health import Updates


def notes_of(compared: Comparison) -> tuple[str, ...]:
    """Returns the notes below the first table.

    Args:
      compared: the arms.

    Returns:
      What the numbers are, the rule that stopped the study, warnings, and how workdirs differ.
    """
    found = compared.found
    return (
        *_caption(compared),
        *(rule.text for rule in found.rules),
        *_warnings(compared, compared.chosen),
        *filter(None, [found.partial_rounds]),
        *found.remarks,
    )


def evaluated_on(found: Results) -> str:
    """Says how many clients were drawn for evaluation.

    Args:
      found: the results.

    Returns:
      A sentence; empty if all clients were evaluated.
    """
    if not any(found.eval_clients):
        return ""
    counts = " or ".join(str(n) if n else "all" for n in found.eval_clients)
    return f"Evaluated on {counts} clients of each seed, drawn once."


def _caption(compared: Comparison) -> Iterator[str]:
    """Says what the numbers of the tables are."""
    found = compared.found
    folds = f", each the mean of its {found.folds} folds" if found.folds else ""
    yield (
        f"{_capital(seeds_of(compared, compared.chosen))}{folds}. Client test accuracy of each "
        "client's own subnet: mean over seeds ± half the 95 % Student interval, or [low, high] "
        "where the interval is cut at 0 or 100."
    )
    yield f"Aggregation: {_aggregations(found)}."
    if drawn := evaluated_on(found):
        yield drawn
    if not compared.several:
        return
    reference = compared.labels[compared.reference]
    gains = family_of(compared, compared.chosen)
    yield (
        f"Differences Δ are in points, paired by seed, to {reference}, where budgets match in "
        f"{compared.unit}. p Holm: paired t test, adjusted{verdicts.family(gains)}; a verdict "
        f"needs {ALPHA:g} or less."
    )


def _capital(text: str) -> str:
    """Writes the first letter as that of a sentence."""
    return text[:1].upper() + text[1:]


def _aggregations(found: Results) -> str:
    """Names the server's mean of the arms: full or coverage, and by method if there are several."""
    methods: dict[str, dict[str, None]] = {}
    for record in found.summary:
        methods.setdefault(record["aggregation"], {})[record["method"]] = None
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{name} ({', '.join(own)})" for name, own in methods.items())


def _warnings(compared: Comparison, round: int) -> Iterator[str]:
    """Yields what makes the numbers of a table less than they seem, one line each."""
    found, by_arm = compared.found, at_round(compared.found, round)
    base = by_arm[compared.reference]
    if few := _few_targets(found):
        yield few
    pairs = [len(set(own) & set(base)) for own in by_arm.values() if own is not base]
    fewest = min((count for count in pairs if count > 1), default=0)
    if fewest and least_p(fewest) > ALPHA:
        yield (
            f"p of Wilcoxon's and the sign-flip test cannot be below {least_p(fewest):g} with "
            f"{fewest} seeds (2 / 2^n): run more seeds before they can say anything."
        )
    every = max(len(set(own)) for own in by_arm.values())
    for arm, own in by_arm.items():
        common = len(set(own) & set(base))
        if own is not base and not common:
            yield (
                f"{compared.labels[arm]} has no seed in common with the reference, so it has no "
                "difference."
            )
        elif own is not base and common < every:
            yield (
                f"{compared.labels[arm]} has {common} of {every} seeds in common with the "
                "reference; its difference is over these."
            )
    if hidden := _hidden(compared, by_arm):
        yield hidden
    for arm, own in by_arm.items():
        yield from _of_arm(compared, round, arm, own)
    if costs := other_costs(compared, round):
        yield costs
    yield from _measuring(compared, by_arm)
    if found.baselines:
        yield (
            "majority: always predicting the most frequent training target of all clients, on the "
            "same test targets."
        )


def _hidden(compared: Comparison, by_arm: Mapping[Arm, Mapping[int, Record]]) -> str:
    """Says which arms have it easier, as they hide the classes that a client does not train."""
    hiding = [compared.labels[arm] for arm in by_arm if arm in compared.found.hiding]
    if not hiding:
        return ""
    easier = "" if len(hiding) == len(by_arm) else ", which is easier than among all, as elsewhere"
    return (
        f"{', '.join(hiding)}: a client's accuracy is among the classes of its own training "
        f"examples{easier}."
    )


def _of_arm(compared: Comparison, round: int, arm: Arm, own: Mapping[int, Record]) -> Iterator[str]:
    """Yields warnings of one arm: NaN, updates that did not arrive, and severed subnets."""
    label, summary = compared.labels[arm], compared.found.summary
    if lost := [seed for seed, r in sorted(own.items()) if math.isnan(float(r["mean_accuracy"]))]:
        yield f"{label}: accuracies are {verdicts.non_finite_at(lost)}; no verdict rests on NaN."
    every = [r for r in summary if int(r["round"]) == round and arm_of(r) == arm]
    counted = [r for r in every if has(r, "updates") and has(r, "updates_asked")]
    sums = (sum(int(float(r[name])) for r in counted) for name in ("updates", "updates_asked"))
    if missing := Updates(*sums).missing():
        yield f"{label}: {missing}."
    severed = [float(r["severed"]) for r in own.values() if has(r, "severed")]
    if any(severed):
        yield (
            f"{label}: {np.mean(severed):.1%} of the clients have a subnet without a path from "
            "input to output at the start."
        )


def _measuring(compared: Comparison, by_arm: Mapping[Arm, Mapping[int, Record]]) -> Iterator[str]:
    """Says of every arm that measures what this adds."""
    mean = {arm: executed(own) for arm, own in by_arm.items()}
    names, base = compared.labels, compared.reference
    for arm in by_arm:
        if arm != base and (
            line := measuring_remark(arm.policy, names[arm], mean[arm], names[base], mean[base])
        ):
            yield line


def _few_targets(found: Results) -> str:
    """Warns of clients that few test targets measure, or few examples if targets are unknown."""
    known = [own for own in found.baselines.values() if "fewest_targets" in own]
    if known:
        fewest = min(own["fewest_targets"] for own in known)
        clients, what = max(own["clients_of_few"] for own in known), "targets"
        total = max(own["clients"] for own in known)
    else:
        first, last = found.arms[0], found.rounds[-1]
        counts = collections.defaultdict(list)
        for record in found.metrics:
            own = record["split"] == "test" and int(record["round"]) == last
            count = int(record.get("num_examples") or 0)
            if own and count and arm_of(record) == first:
                counts[results.block_of(record)].append(count)
        if not counts:
            return ""
        fewest, what = min(map(min, counts.values())), "examples"
        clients = max(sum(count < FEW for count in own) for own in counts.values())
        total = max(map(len, counts.values()))
    if fewest >= FEW or fewest <= 0:
        return ""
    what += " in a fold" * bool(found.folds)
    return (
        f"Few test {what}: {clients:g} of {total:g} clients have fewer than {FEW}, the fewest is "
        f"{fewest:g}, where accuracy moves in steps of {100 / fewest:.0f} points."
    )

"""The verdict in words: what was compared, and which arms are better, worse or not told apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from experiments.analysis import verdicts
from experiments.analysis.compared import (
    NO_SEED,
    NOT_MATCHED,
    REFERENCE,
    Comparison,
    gains_of,
    majority,
    other_costs,
    percents,
    seeds_of,
    why_not,
)
from experiments.analysis.matched import at_round
from experiments.analysis.results import METRICS
from experiments.analysis.statistics import (
    ALPHA,
    accuracy_text,
    interval,
    least_p,
    number,
    p_text,
)
from experiments.rooms import number_text

UNITS = {"macs": "MACs", "params": "parameters", "executed": "executed MACs"}
"""Units of budgets as sentences have them."""

WORDS = {"better": "Better than", "worse": "Worse than", verdicts.UNDECIDED: "Not told apart from"}
"""How the sentence of each verdict begins, in the order of the paragraph."""

KINDS = {"policy": "policies", "method": "methods", "arm": "arms"}
"""What several arms are called, by the header of their column."""

_REASONS = {
    NOT_MATCHED: "the achieved budgets differ",
    NO_SEED: "no seed is common",
    verdicts.NON_FINITE: "some accuracies are not finite",
}
"""Why an arm is not compared, by what is said of it."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one arm reaches, and how far it is from the reference.

    Attributes:
      label: what the arm is called.
      accuracy: mean client accuracy with its interval, in percent.
      word: one of `WORDS`; or `REFERENCE`, `NOT_MATCHED`, `NO_SEED` or `NON_FINITE`.
      gain: mean difference to the reference over common seeds, in points; NaN if there is none.
      half: half the 95 % Student interval of the difference; NaN if there is none.
      p: of the paired t test, adjusted by Holm over all arms; NaN if there is none.
      seeds: that the difference is over; 0 if there is none.
    """

    label: str
    accuracy: str
    word: str
    gain: float = math.nan
    half: float = math.nan
    p: float = math.nan
    seeds: int = 0

    @property
    def points(self) -> str:
        """The difference with its interval; empty if there is none."""
        if self.word not in WORDS:
            return ""
        text = number(self.gain, self.half, signed=True).replace("-", "\N{MINUS SIGN}")
        return text.replace(" ", "\N{NO-BREAK SPACE}")


def findings_of(compared: Comparison, round: int) -> tuple[Finding, ...]:
    """Compares the mean accuracies of all arms with that of the reference, as the tables do.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      What each arm reaches, in the order of the results.
    """
    by_arm, gains = at_round(compared.found, round), gains_of(compared, round, "mean")
    tested = verdicts.of({compared.labels[arm]: own for arm, own in gains.items()})
    found = []
    for arm, own in by_arm.items():
        label = compared.labels[arm]
        accuracy = accuracy_text(percents(own, "mean_accuracy", own))
        if arm in gains:
            values, said = gains[arm], tested[label]
            numbers = float(values.mean()), interval(values), said.adjusted, said.seeds
            found.append(Finding(label, accuracy, said.word, *numbers))
        else:
            found.append(Finding(label, accuracy, why_not(compared, by_arm, arm)))
    return tuple(found)


def paragraph(compared: Comparison, data: str, clients: int) -> str:
    """Writes the verdict on some results.

    Args:
      compared: the arms.
      data: name of the data set; empty if it is not known.
      clients: number of clients.

    Returns:
      Sentences on what was compared, on the chosen and the last round, and on what weakens
      verdicts.
    """
    first, last = findings_of(compared, compared.chosen), findings_of(compared, compared.last)
    name = compared.labels[compared.found.arms[0]]
    lines = [_setting(compared, data, clients)]
    at = f"At round {compared.chosen}, the best by validation accuracy of {name}, "
    if compared.chosen == compared.last:
        at = f"At the last round, {compared.last}, "
    lines += _of_round(at, first)
    lines += _trivial(compared)
    if compared.several and compared.chosen != compared.last:
        if [own.word for own in first] == [own.word for own in last]:
            lines.append(f"The verdicts are the same at the last round, {compared.last}.")
        else:
            lines += _of_round(f"At the last round, {compared.last}, ", last)
    lines += [_few_seeds((*first, *last)), other_costs(compared, compared.chosen)]
    return " ".join(filter(None, lines))


def _of_round(at: str, findings: Sequence[Finding]) -> list[str]:
    """Writes what each arm reaches in a round, by verdict."""
    base = next(own for own in findings if own.word == REFERENCE)
    lines = [f"{at}{base.label} reaches a mean client accuracy of {base.accuracy} %."]
    for word, begin in WORDS.items():
        if own := [finding for finding in findings if finding.word == word]:
            counts = sorted({finding.seeds for finding in own})
            seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
            at = f" at {seeds} seed{'s' * (counts[-1] > 1)}"
            lines.append(f"{begin} {base.label}{at}: {'; '.join(map(_named, own))}.")
    for word, why in _REASONS.items():
        if names := [own.label for own in findings if own.word == word]:
            lines.append(f"Not compared, as {why}: {', '.join(names)}.")
    return lines


def _few_seeds(findings: Sequence[Finding]) -> str:
    """Says which verdicts rest on fewer seeds than the exact test needs; empty if none do."""
    few = [
        own
        for own in findings
        if own.word in WORDS and own.word != verdicts.UNDECIDED and least_p(own.seeds) > ALPHA
    ]
    if not few:
        return ""
    least = min(own.seeds for own in few)
    names = ", ".join(dict.fromkeys(own.label for own in few))
    return (
        f"The verdict on {names} rests only on the t test: p of exact sign flips cannot be below "
        f"{least_p(least):g} with {least} seeds."
    )


def _setting(compared: Comparison, data: str, clients: int) -> str:
    """Writes what was compared, at which budget, over how many seeds."""
    found, labels = compared.found, list(compared.labels.values())
    seeds = seeds_of(compared, compared.chosen, "matched seed" if compared.several else "seed")
    folds = f" with {found.folds} folds each" * bool(found.folds)
    what = f"There is one arm, {labels[0]}"
    if compared.several:
        kind = KINDS[compared.header].title()
        what = f"{kind} {', '.join(labels[:-1])} and {labels[-1]} are compared"
    return (
        f"{what}{f' on {data}' * bool(data)}: {clients:,} client{'s' * (clients != 1)}, "
        f"{_budget(compared)}, {seeds}{folds}."
    )


def _budget(compared: Comparison) -> str:
    """Writes which budgets were asked for, and what must match."""
    found = compared.found
    requested = {float(record["budget_requested"]) for record in found.summary}
    known = sorted(value for value in requested if not math.isnan(value))
    unit = UNITS.get(found.budget_unit, found.budget_unit)
    matched = f" (matched in {UNITS.get(compared.matched, compared.matched)})"
    matched *= compared.several and compared.matched != found.budget_unit
    if not known:
        return f"no budget{matched}"
    some = " (or none)" * (any(map(math.isnan, requested)))
    return f"a budget of {' or '.join(map(number_text, known))} in {unit}{some}{matched}"


def _trivial(compared: Comparison) -> list[str]:
    """Writes what always predicting the most frequent target reaches, if it is known."""
    values = majority(compared, compared.chosen, METRICS[0])
    if not values.size:
        return []
    text = accuracy_text(values)
    return [f"Always predicting the most frequent training target reaches {text} %."]


def _named(own: Finding) -> str:
    """Writes an arm with its difference, and p where there is one."""
    p = "" if math.isnan(own.p) else f", p Holm {p_text(own.p)}"
    return f"{own.label} ({own.points} points{p})"

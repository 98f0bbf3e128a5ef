"""Why a policy gains or loses: heterogeneity, the size of clients, or that small ones are cheap.

HASA's score falls with the number of a client's examples, and a budget that weighs clients by this
number makes small clients cheap to widen. Three questions take these apart:

* heterogeneity: do widths help that follow the divergence beyond chance (`excess_divergence`)?
* size: do widths help that follow the number of examples only (`inverse_size`)?
* cheapness: is what they gain a matter of the mean, in which a small client counts as much as a
  large one, but costs less?
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import by_seed, markdown, results, tables
from experiments.analysis.results import Results, arm_of
from experiments.analysis.statistics import (
    holm,
    interval,
    number,
    p_text,
    p_values,
    seeds_needed,
    sign_flip_p,
    verdict,
)
from experiments.analysis.verdicts import RESOLVED
from experiments.config import RunConfig
from hasa_jax.base import UserError
from hasa_jax.simulation.writers import say

EXCESS = "hasa@excess_divergence"

_MEAN, _WEIGHTED = "mean_accuracy", "weighted_accuracy"


@dataclasses.dataclass(frozen=True)
class Contrast:
    """A difference of two policies, paired by seed.

    Attributes:
      policy: what is compared.
      base: with what.
      metrics: columns of summary.csv; the difference of the second is subtracted, if there is one.
    """

    policy: str
    base: str
    metrics: tuple[str, ...] = (_MEAN,)

    @property
    def name(self) -> str:
        """Its name in the table."""
        contrast = f"{self.policy} - {self.base}"
        return f"{contrast} *" if len(self.metrics) > 1 else contrast


CONTRASTS = {
    "hasa": Contrast("hasa", "uniform"),
    "direction": Contrast("hasa", "inverse_hasa"),
    "excess": Contrast(EXCESS, "uniform"),
    "size": Contrast("inverse_size", "uniform"),
    "cheapness": Contrast("inverse_size", "uniform", (_MEAN, _WEIGHTED)),
    "beyond size": Contrast("hasa", "inverse_size"),
    "unequal": Contrast("random", "uniform"),
}
"""The family of tests."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a contrast is.

    Attributes:
      gains: points, one for each common seed `[n]`.
      adjusted: p of the t test, by Holm over `CONTRASTS`.
    """

    gains: np.ndarray
    adjusted: float

    @property
    def verdict(self) -> str:
        """Better, worse, or not told apart."""
        return verdict(float(self.gains.mean()), self.adjusted)

    @property
    def text(self) -> str:
        """The mean with half its interval."""
        return number(float(self.gains.mean()), interval(self.gains), signed=True)


def findings(found: Results, round: int) -> dict[str, Finding]:
    """Computes all contrasts in one round.

    Args:
      found: the results of one workdir, of one method.
      round: the round.

    Returns:
      By the names of `CONTRASTS`.

    Raises:
      UserError: if a policy is missing, or two arms have no seed in common.
    """
    records: dict[str, dict[int, list[results.Record]]] = {}
    for record in found.summary:
        if int(record["round"]) == round:
            own = records.setdefault(arm_of(record).policy, {})
            own.setdefault(int(record["seed"]), []).append(record)
    gains = {name: _gains(records, contrast) for name, contrast in CONTRASTS.items()}
    adjusted = holm([p_values(own)[0] for own in gains.values()])
    return {n: Finding(own, p) for (n, own), p in zip(gains.items(), adjusted, strict=True)}


def _gains(
    records: Mapping[str, Mapping[int, Sequence[results.Record]]], contrast: Contrast
) -> np.ndarray:
    """Returns a contrast in points, one for each common seed."""
    for policy in (contrast.policy, contrast.base):
        if policy not in records:
            raise UserError(
                f"the results have no policy {policy}: run compare with uniform, hasa, "
                f"inverse_hasa, {EXCESS}, inverse_size and random into one `workdir`"
            )
    one, other = records[contrast.policy], records[contrast.base]
    seeds = sorted(set(one) & set(other))
    if not seeds:
        raise UserError(f"{contrast.policy} and {contrast.base} have no seed in common: run both")
    values = np.zeros(len(seeds))
    for sign, metric in zip((1, -1), contrast.metrics, strict=False):
        for at, seed in enumerate(seeds):
            gain = _value(one[seed], metric) - _value(other[seed], metric)
            values[at] += sign * 100 * gain
    return values


def _value(folds: Sequence[results.Record], metric: str) -> float:
    """Returns a number of one seed: the mean of its folds."""
    return float(by_seed.means(folds)[metric])


def table(found: Mapping[str, Finding]) -> str:
    """Makes the table of contrasts.

    Args:
      found: from `findings`.

    Returns:
      Markdown.
    """
    lines = [
        [
            name,
            CONTRASTS[name].name,
            own.text,
            p_text(sign_flip_p(own.gains)),
            p_text(own.adjusted),
            own.verdict,
        ]
        for name, own in found.items()
    ]
    headers = ["question", "contrast", "points", "p flip", "p Holm", "verdict"]
    return markdown.table(headers, lines)


def answers(found: Mapping[str, Finding]) -> list[str]:
    """Decides the three hypotheses in words.

    Args:
      found: from `findings`.

    Returns:
      A line for each of them.
    """
    excess, size, cheap = (found[name] for name in ("excess", "size", "cheapness"))
    beyond = found["beyond size"]
    against = {
        "better": "HASA adds to it",
        "worse": "HASA falls behind it",
        "not told apart": "HASA is not told apart from it",
    }[beyond.verdict]
    return [
        f"Heterogeneity needs width: {_decided(excess)} ({excess.text} points for widths that "
        "follow the divergence beyond chance).",
        f"Small clients need width: {_decided(size)} ({size.text} points for widths that follow "
        f"sizes only; {against}, {beyond.text}).",
        f"Small clients are only cheap: {_decided(cheap)} (small clients first gain {cheap.text} "
        "points more in the mean over clients than in the mean over examples).",
    ]


def _decided(finding: Finding) -> str:
    """Says whether a hypothesis of a gain holds."""
    if finding.verdict == "better":
        return "confirmed"
    if finding.verdict == "worse":
        return "contradicted"
    deviation = float(finding.gains.std(ddof=1)) if len(finding.gains) > 1 else math.nan
    if math.isnan(deviation):
        return "open, one seed decides nothing"
    half = interval(finding.gains)
    if half <= RESOLVED:
        return f"not confirmed, no gain of more than {finding.gains.mean() + half:.2f} points"
    return f"open, {seeds_needed(deviation, RESOLVED)} seeds would resolve {RESOLVED:g} points"


def report(config: RunConfig) -> None:
    """Writes and prints hypotheses.md of each workdir.

    Args:
      config: names the workdirs; each is looked at by itself.

    Raises:
      UserError: if a workdir lacks policies, or has several methods.
    """
    for folder in results.folders_of(config.reporting.workdir):
        say(write(folder))


def write(folder: pathlib.Path) -> str:
    """Writes hypotheses.md of one workdir.

    Args:
      folder: the workdir.

    Returns:
      Its text: both tables, of the round that validation chose and of the last one, with answers.

    Raises:
      UserError: as `report`.
    """
    found = results.read([folder])
    if len({arm.method for arm in found.arms}) > 1:
        raise UserError(f"{folder} has several methods: give results of policies of one method")
    if not found.rounds:
        raise UserError("no round was evaluated of all arms: compare runs of one `eval_every`")
    chosen = tables.best_round(found.metrics, found.arms[0], found.rounds)
    last = found.rounds[-1]
    names = {chosen: f"Round {chosen}, chosen by validation of {found.arms[0].policy}"}
    if last != chosen:
        names[last] = f"Round {last}, the last"
    count = len({record["seed"] for record in found.summary})
    aggregations = ", ".join(sorted({record["aggregation"] for record in found.summary}))
    folds = f", each the mean of its {found.folds} folds" if found.folds else ""
    parts = [
        markdown.paragraph(
            f"Aggregation {aggregations}, {count} matched seeds{folds}. Differences are in points "
            "of accuracy, paired by seed, ± half the 95 % Student interval. The mean counts every "
            "client once, the weighted one by its number of test examples. p Holm is that of the "
            f"t test over the {len(CONTRASTS)} contrasts of a table. * is the difference in the "
            "mean less that in the weighted mean."
        )
    ]
    for round, title in names.items():
        own = findings(found, round)
        parts += [f"{title}:", table(own), markdown.notes(answers(own))]
    text = "\n\n".join(parts) + "\n"
    (folder / "hypotheses.md").write_text(text, encoding="utf-8")
    return text

"""Why a policy gains or loses: heterogeneity, the size of clients, or the mean that is looked at.

HASA's score falls with the number of a client's examples, and a budget that weighs clients by this
number makes small clients cheap to widen. Three questions take these apart:

* heterogeneity: do widths help that follow the divergence beyond chance (`excess_divergence`)?
* size: do widths help that follow the number of examples only (`inverse_size`)?
* cheapness: is what they gain a gain of the plain mean, in which a small client counts as much as
  a large one, but costs less? Any policy that moves width to small clients raises this mean more
  than the weighted one, so that an answer of yes does not say why small clients gain.

HASA less `inverse_size`, the contrast "beyond size", has little power where both give most clients
the same widths: no difference is then no proof that heterogeneity adds nothing.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import results
from experiments.analysis.compared import NAMES, best_round
from experiments.analysis.markdown import paragraph
from experiments.analysis.matched import achieved, at_round, budgets_match
from experiments.analysis.rendering import markdown, terminal
from experiments.analysis.rendering.files import csv_name, files_of
from experiments.analysis.results import Results
from experiments.analysis.statistics import (
    holm,
    interval,
    number,
    p_text,
    seeds_text,
    sign_flip_p,
    t_p,
    verdict,
)
from experiments.analysis.table import Cell, Table
from experiments.analysis.verdicts import RESOLVED
from experiments.config import RunConfig
from experiments.rooms import TABLE_FORMATS
from hasa_jax.base import UserError
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.writers import say

EXCESS = "hasa@excess_divergence"

STEM = "hypotheses"
"""How the names of files begin, and the name of the table of the chosen round."""

LAST = f"{STEM}_last"
"""The name of the table of the last round."""

UNMATCHED = "not matched"
"""The verdict on a contrast of policies whose budgets do not match."""

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
      adjusted: p of the t test, by Holm over the contrasts whose budgets match.
      matched: whether both policies achieve the same budget on each common seed.
    """

    gains: np.ndarray
    adjusted: float
    matched: bool = True

    @property
    def verdict(self) -> str:
        """Better, worse, not told apart, or not matched."""
        if not self.matched:
            return UNMATCHED
        return verdict(float(self.gains.mean()), self.adjusted)

    @property
    def text(self) -> str:
        """The mean with half its interval; none where budgets do not match."""
        if not self.matched:
            return "none"
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
    records = {arm.policy: own for arm, own in at_round(found, round).items()}
    pairs = {name: _pair(records, contrast) for name, contrast in CONTRASTS.items()}
    matched = {
        name: budgets_match(*(achieved(own, found.budget_unit) for own in pair))
        for name, pair in pairs.items()
    }
    gains = {name: _gains(*pair, CONTRASTS[name].metrics) for name, pair in pairs.items()}
    ps = [t_p(own) if matched[name] else math.nan for name, own in gains.items()]
    return {
        name: Finding(own, p, matched[name])
        for (name, own), p in zip(gains.items(), holm(ps), strict=True)
    }


def _pair(
    records: Mapping[str, Mapping[int, results.Record]], contrast: Contrast
) -> tuple[Mapping[int, results.Record], Mapping[int, results.Record]]:
    """Returns the records of both policies of a contrast on the seeds that they share."""
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
    return {seed: one[seed] for seed in seeds}, {seed: other[seed] for seed in seeds}


def _gains(
    one: Mapping[int, results.Record],
    other: Mapping[int, results.Record],
    metrics: Sequence[str],
) -> np.ndarray:
    """Returns a contrast in points, one for each seed."""
    values = np.zeros(len(one))
    for sign, metric in zip((1, -1), metrics, strict=False):
        gains = [float(one[seed][metric]) - float(other[seed][metric]) for seed in one]
        values += sign * 100 * np.array(gains)
    return values


def table_of(name: str, title: str, found: Mapping[str, Finding], unit: str) -> Table:
    """Makes the table of contrasts of a round.

    Args:
      name: of the table.
      title: which round it is of.
      found: from `findings`.
      unit: what the budget counts.

    Returns:
      The table; its notes are the answers and remarks.
    """
    rows = [
        (
            Cell(question),
            Cell(CONTRASTS[question].name),
            Cell(own.text, float(own.gains.mean()) if own.matched else None),
            _p(sign_flip_p(own.gains) if own.matched else math.nan),
            _p(own.adjusted),
            Cell(own.verdict),
        )
        for question, own in found.items()
    ]
    headers = ("question", "contrast", "points", "p flip", "p Holm", "verdict")
    return Table(name, title, headers, tuple(rows), (*answers(found), *remarks(found, unit)))


def _p(value: float) -> Cell:
    """Makes the cell of a p value."""
    return Cell(p_text(value), None if math.isnan(value) else value)


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
        "better": f"HASA adds to it, {beyond.text}",
        "worse": f"HASA falls behind it, {beyond.text}",
        "not told apart": f"HASA is not told apart from it, {beyond.text}",
        UNMATCHED: "HASA's budget does not match it",
    }[beyond.verdict]
    details = {
        "Heterogeneity needs width": (
            excess,
            f"{excess.text} points for widths that follow the divergence beyond chance",
        ),
        "Small clients need width": (
            size,
            f"{size.text} points for widths that follow sizes only; {against}",
        ),
        "The gain is one of the plain mean, in which small clients count in full": (
            cheap,
            f"widths that follow sizes gain {cheap.text} points more in the mean over clients than "
            "in the mean over examples",
        ),
    }
    return [
        f"{hypothesis}: {_decided(own)} ({detail})."
        if own.matched
        else f"{hypothesis}: not tested, as budgets do not match."
        for hypothesis, (own, detail) in details.items()
    ]


def remarks(found: Mapping[str, Finding], unit: str) -> list[str]:
    """Says which contrasts have no test, and which have fewer seeds than others.

    Args:
      found: from `findings`.
      unit: what the budget counts.

    Returns:
      A line for each of them.
    """
    every = max(len(own.gains) for own in found.values())
    lines = [
        f"{name}: budgets do not match in {NAMES.get(unit, unit)}, so it has no difference "
        "and is none of the tests."
        for name, own in found.items()
        if not own.matched
    ]
    return lines + [
        f"{name}: over the {len(own.gains)} of {every} seeds that both policies have."
        for name, own in found.items()
        if len(own.gains) < every
    ]


def _decided(finding: Finding) -> str:
    """Says whether a hypothesis of a gain holds."""
    if finding.verdict == "better":
        return "confirmed"
    if finding.verdict == "worse":
        return "contradicted"
    if math.isnan(finding.adjusted):
        return "open, as one seed, or equal differences, have no test"
    deviation = float(finding.gains.std(ddof=1))
    half = interval(finding.gains)
    if half <= RESOLVED:
        most = finding.gains.mean() + half
        return "not confirmed, no gain" + (f" of more than {most:.2f} points" if most > 0 else "")
    return f"open, {seeds_text(deviation, RESOLVED)} seeds would resolve {RESOLVED:g} points"


def report(config: RunConfig) -> None:
    """Writes and prints the tables of each workdir.

    Args:
      config: names the workdirs, each of which is looked at by itself, and the formats.

    Raises:
      UserError: if a workdir lacks policies, or has several methods.
    """
    for folder in results.folders_of(config.reporting.workdir):
        say(write(folder, config.reporting.table_formats))


def write(folder: pathlib.Path, formats: Sequence[str] = TABLE_FORMATS[:1]) -> str:
    """Writes hypotheses.md of one workdir, or files of other formats.

    Args:
      folder: the workdir.
      formats: some of `TABLE_FORMATS`.

    Returns:
      The tables for a terminal: that of the round that validation chose, and of the last one, with
      answers.

    Raises:
      UserError: as `report`.
    """
    caption, tables, lines = made(results.read([folder]))
    first = dataclasses.replace(tables[0], notes=(caption, *tables[0].notes, *lines))
    complete = (first, *tables[1:])
    files = files_of(STEM, complete, formats, text_of(caption, tables, lines))
    # Where the chosen round is the last one, there is no table of it of its own.
    old = {csv_name(STEM, LAST)} - files.keys() if "csv" in formats else set[str]()
    check_files(folder, (*files, *old), "workdir")
    for name in old:
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return terminal.document(complete)


def text_of(caption: str, tables: Sequence[Table], lines: Sequence[str]) -> str:
    """Writes the tables in Markdown.

    Args:
      caption: what the numbers are.
      tables: of one round or two.
      lines: on what is left out of the results or differs in them.

    Returns:
      The content of hypotheses.md.
    """
    parts = [paragraph(caption), *(markdown.render(table, at_left=True) for table in tables)]
    return "\n\n".join([*parts, *map(paragraph, lines)]) + "\n"


def made(found: Results) -> tuple[str, tuple[Table, ...], tuple[str, ...]]:
    """Makes the tables of the round that validation chose, and of the last one.

    Args:
      found: the results of policies of one method.

    Returns:
      What the numbers are; the tables, with answers as their notes; and lines on what is left
      out of the results or differs in them.

    Raises:
      UserError: if there are several methods, if no round has all arms, or as `findings`.
    """
    if len({arm.method for arm in found.arms}) > 1:
        names = ", ".join(map(str, found.folders))
        raise UserError(f"{names} has several methods: give results of policies of one method")
    if not found.rounds:
        raise UserError(
            "no round was evaluated of all arms at each of their seeds: compare runs of one "
            "`eval_every`"
        )
    chosen = best_round(found.metrics, found.arms[0], found.rounds)
    last = found.rounds[-1]
    titles = {chosen: f"Round {chosen}, chosen by validation of {found.arms[0].policy}"}
    if last != chosen:
        titles[last] = f"Round {last}, the last"
    tested = {round: findings(found, round) for round in titles}
    count = max(len(own.gains) for each in tested.values() for own in each.values())
    aggregations = ", ".join(sorted({record["aggregation"] for record in found.summary}))
    folds = f", each the mean of its {found.folds} folds" if found.folds else ""
    caption = (
        f"Aggregation {aggregations}, {count} matched seeds{folds}. Differences are in points "
        "of accuracy, paired by seed, ± half the 95 % Student interval. The mean counts every "
        "client once, the weighted one by its number of test examples. p Holm is that of the "
        "t test over the contrasts of a table whose budgets match. * is the difference in the "
        "mean less that in the weighted mean."
    )
    tables = tuple(
        table_of(name, titles[round], own, found.budget_unit)
        for (round, own), name in zip(tested.items(), (STEM, LAST), strict=False)
    )
    return caption, tables, (*found.remarks, *filter(None, [found.partial_rounds]))

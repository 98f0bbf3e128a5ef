"""The tables of accuracies: means with their verdicts, worst clients, tests, the global model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import verdicts
from experiments.analysis.compared import (
    NOT_MATCHED,
    Comparison,
    common_seeds,
    gains_of,
    has,
    majority,
    percents,
    why_not,
)
from experiments.analysis.matched import at_round
from experiments.analysis.results import METRICS, Record
from experiments.analysis.statistics import (
    accuracy_text,
    bootstrap_interval,
    interval,
    number,
    p_text,
    sign_flip_p,
    t_p,
    wilcoxon_p,
)
from experiments.analysis.table import Cell, Table

NONE = Cell("")
"""A cell that has nothing to say."""


def headline(compared: Comparison, round: int) -> Table:
    """Makes the first table: mean accuracies, how far they are from the reference, and verdicts.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each arm, and one for the most frequent class if it is known. The mean of the arm
      with the largest difference is bold where the adjusted test says that it is better than the
      reference. Of one arm, the mean, the worst and the tail.
    """
    by_arm = at_round(compared.found, round)
    if not compared.several:
        (own,) = by_arm.values()
        shown = [accuracy_cell(percents(own, f"{metric}_accuracy", own)) for metric in METRICS]
        rows = [[Cell(compared.labels[compared.reference]), *shown]]
        rows += _majority(compared, round, METRICS)
        headers = [f"{metric} %" for metric in METRICS]
        title = "Accuracy of the clients"
        return _table(compared, "headline", title, round, headers, rows, _choice(compared, round))
    gains = gains_of(compared, round, "mean")
    found = verdicts.of({compared.labels[arm]: own for arm, own in gains.items()})
    means = {arm: percents(own, "mean_accuracy", own) for arm, own in by_arm.items()}
    # Paired differences compare arms over the seeds that both have; equal ones are all the best.
    reached = {arm: float(own.mean()) for arm, own in gains.items() if np.isfinite(own).all()}
    most = max(reached.values(), default=0.0)
    best = {arm for arm, mean in reached.items() if math.isclose(mean, most, abs_tol=1e-9)}
    rows = []
    for arm, values in means.items():
        label = compared.labels[arm]
        bold = arm in best and found[label].word == "better"
        cells = [Cell(label), accuracy_cell(values, bold=bold)]
        if arm in gains:
            own = found[label]
            said = own.text
            if own.word == verdicts.NON_FINITE:
                pairs = zip(common_seeds(compared, round, arm), gains[arm], strict=True)
                said = verdicts.non_finite_at([seed for seed, gain in pairs if math.isnan(gain)])
            cells += [gain_cell(gains[arm]), p_cell(own.adjusted), Cell(said)]
        else:
            why = why_not(compared, by_arm, arm)
            of_unit = f" in {compared.unit}" * (why == NOT_MATCHED)
            cells += [NONE, NONE, Cell(f"{why}{of_unit}")]
        rows.append(cells)
    rows += [[*cells, NONE, NONE, NONE] for cells in _majority(compared, round, ("mean",))]
    headers = ["mean %", "Δ mean", "p Holm", "verdict"]
    title = "Mean accuracy of the clients"
    return _table(compared, "headline", title, round, headers, rows, _choice(compared, round))


def worst(compared: Comparison, round: int) -> Table:
    """Makes the table of the worst and the tail clients, whose p values are not adjusted.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each arm, and one for the most frequent class if it is known.
    """
    by_arm = at_round(compared.found, round)
    gains = {metric: gains_of(compared, round, metric) for metric in ("worst", "tail")}
    rows = []
    for arm, own in by_arm.items():
        cells = [Cell(compared.labels[arm])]
        for metric, of_metric in gains.items():
            cells.append(accuracy_cell(percents(own, f"{metric}_accuracy", own)))
            if arm in of_metric:
                cells += [gain_cell(of_metric[arm]), p_cell(t_p(of_metric[arm]))]
            else:
                cells += [Cell(why_not(compared, by_arm, arm)), NONE]
        rows.append(cells)
    for name, of_worst, of_tail in _majority(compared, round, ("worst", "tail")):
        rows.append([name, of_worst, NONE, NONE, of_tail, NONE, NONE])
    headers = ["worst %", "Δ worst", "p worst", "tail %", "Δ tail", "p tail"]
    notes = ["p: paired t test, not adjusted."]
    return _table(compared, "worst", "Worst and tail clients", round, headers, rows, notes)


def tests(compared: Comparison, round: int) -> Table | None:
    """Makes the table of all tests of the differences of mean accuracy.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each arm with two seeds or more that is compared; None if there is none.
    """
    half = next((own.half for own in compared.found.rules), verdicts.RESOLVED)
    gains = family_of(compared, round)
    if not gains:
        return None
    rows = []
    for name, found in verdicts.of(gains).items():
        own = gains[name]
        ends, needed = bootstrap_interval(own), verdicts.seeds_for(own, half)
        ps = [found.p, found.adjusted, wilcoxon_p(own), sign_flip_p(own)]
        seeds = Cell(needed, float(needed) if needed.isdigit() else None)
        rows.append([Cell(name), Cell(verdicts.ends_text(ends)), *map(p_cell, ps), seeds])
    headers = ["bootstrap 95 %", "p t", "p Holm", "p W", "p flip", f"seeds for ± {half:g}"]
    title = f"Tests of the differences of mean accuracy to {compared.labels[compared.reference]}"
    notes = [verdicts.caption(gains), *verdicts.remarks(gains)]
    notes += filter(None, [verdicts.seeds_note(gains, half)])
    return _table(compared, "tests", title, round, headers, rows, notes)


def of_global(compared: Comparison, round: int) -> Table | None:
    """Makes the table of the global model.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each arm; None if the results do not have it.
    """
    by_arm = at_round(compared.found, round)
    records = [record for own in by_arm.values() for record in own.values()]
    names = {f"global {m} %": f"global_{m}_accuracy" for m in METRICS}
    names = {header: n for header, n in names.items() if any(has(r, n) for r in records)}
    if not names:
        return None
    rows = [
        [Cell(compared.labels[arm]), *(_known(own, name) for name in names.values())]
        for arm, own in by_arm.items()
    ]
    title = "The supernet on each client's own classes"
    return _table(compared, "global", title, round, list(names), rows)


def family_of(compared: Comparison, round: int) -> dict[str, np.ndarray]:
    """Returns the differences of mean accuracy that Holm's correction is over.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      Points by seed, of every arm that matches the reference on two seeds or more, by its label.
    """
    gains = gains_of(compared, round, "mean")
    return {compared.labels[arm]: own for arm, own in gains.items() if len(own) > 1}


def accuracy_cell(values: np.ndarray, *, bold: bool = False) -> Cell:
    """Makes the cell of a mean accuracy with its interval, of percents by seed."""
    return Cell(accuracy_text(values), float(values.mean()), bold)


def gain_cell(values: np.ndarray) -> Cell:
    """Makes the cell of a mean difference with its interval, of points by seed."""
    mean = float(values.mean())
    return Cell(number(mean, interval(values), signed=True), mean)


def p_cell(value: float) -> Cell:
    """Makes the cell of a p value."""
    return Cell(p_text(value), None if math.isnan(value) else value)


def when(compared: Comparison, round: int) -> str:
    """Returns the words for a round in titles."""
    return f"at round {round}{', the last' * (round != compared.chosen)}"


def _table(
    compared: Comparison,
    name: str,
    title: str,
    round: int,
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
    notes: Sequence[str] = (),
) -> Table:
    """Makes a table of one round; those of another than the chosen one are called `<name>_last`."""
    cells = [[Cell(own) if isinstance(own, str) else own for own in row] for row in rows]
    return Table(
        name if round == compared.chosen else f"{name}_last",
        f"{title} {when(compared, round)}",
        (compared.header, *headers),
        tuple(map(tuple, cells)),
        tuple(notes),
    )


def _choice(compared: Comparison, round: int) -> list[str]:
    """Says how the chosen round was chosen."""
    first = compared.labels[compared.found.arms[0]]
    text = f"Round {round} is the best of {first} by mean validation accuracy."
    if not compared.found.metrics:
        text = f"Round {round} is the last: there are no records of clients to choose one by."
    return [text] if round == compared.chosen else []


def _majority(compared: Comparison, round: int, metrics: Sequence[str]) -> list[list[Cell]]:
    """Returns the cells of the most frequent class, its name first; none if it is not known."""
    known = [majority(compared, round, metric) for metric in metrics]
    if not any(values.size for values in known):
        return []
    cells = [accuracy_cell(values) if values.size else NONE for values in known]
    return [[Cell("majority"), *cells]]


def _known(own: Mapping[int, Record], name: str) -> Cell:
    """Makes the cell of an accuracy that some records lack."""
    seeds = [seed for seed, record in own.items() if has(record, name)]
    return accuracy_cell(percents(own, name, seeds)) if seeds else Cell("none")

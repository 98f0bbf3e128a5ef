"""The tables of sizes: what each one reaches on clients' own data and on that of all clients."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from experiments.analysis import reached, results, statistics
from experiments.analysis.compared import Comparison, gains_of, majority, why_not
from experiments.analysis.matched import at_round
from experiments.analysis.reached import Seeds, Sizes
from experiments.analysis.results import Arm
from experiments.analysis.table import Cell, Table
from experiments.analysis.table_accuracies import NONE, accuracy_cell, gain_cell, p_cell
from experiments.analysis.table_notes import evaluated_on


def tables_of(compared: Comparison) -> tuple[Table, ...]:
    """Makes the tables of sizes.

    Args:
      compared: the arms.

    Returns:
      As `of_reached`, of the arms that sizes.csv has; nothing if it has none.
    """
    found = compared.found
    known = {results.arm_of(record) for record in found.sizes}
    if not known:
        return ()
    arms = tuple(arm for arm in found.arms if arm in known)
    return of_reached(reached.read(dataclasses.replace(found, arms=arms)), compared)


def of_reached(every: Sequence[Sizes], compared: Comparison) -> tuple[Table, ...]:
    """Makes the tables of what methods reached at every size.

    Args:
      every: of the arms that have sizes.
      compared: the arms, and the reference.

    Returns:
      Means and differences, global accuracies by level, local ones, and, where single parameters
      are cut, the layers that keep none.
    """
    names = compared.labels
    levels = sorted({level for own in every for level in own.global_at}, key=float)
    trained = [level for level in levels if any(level in own.trained for own in every)]
    heads = [f"{level}{'' if level in trained else ' (unseen)'}" for level in levels]
    by_global = _by_level(
        "sizes_global",
        "Global accuracy of each size in %",
        (names, every),
        heads,
        lambda own: [_mean(own.global_at.get(level)) for level in levels],
    )
    by_local = _by_level(
        "sizes_local",
        "Accuracy in % of the clients of each size on their own data, that of the largest size "
        "there, and the mean share of the parameters that clients hold",
        (names, every),
        [*trained, "largest", "params"],
        lambda own: [
            *(_mean(own.local_at.get(level)) for level in trained),
            _spread(own.own_classes),
            _share(own.params),
        ],
    )
    means = _means(every, compared)
    if not any(any(shares) for own in every for shares in own.empty_at.values()):
        return means, by_global, by_local
    empty = _by_level(
        "sizes_empty",
        "Layers without a weight in %, at the first and at the last evaluation, and seeds without "
        "a path from input to output (severed) then",
        (names, every),
        heads,
        lambda own: [Cell(_empty(own, level)) for level in levels],
    )
    return means, by_global, by_local, empty


def _means(every: Sequence[Sizes], compared: Comparison) -> Table:
    """Makes the table of means, and of differences by seed to the reference where it matches."""
    base = next((own for own in every if own.arm == compared.reference), None)
    by_arm = at_round(compared.found, compared.last)
    matching = gains_of(compared, compared.last, "mean")
    rows = []
    for own in every:
        cells = [Cell(compared.labels[own.arm])]
        for name in ("local", "all_sizes"):
            values = getattr(own, name)
            gain = [NONE, NONE]
            if own.arm not in matching:
                gain = [Cell(why_not(compared, by_arm, own.arm)), NONE]
            elif base:
                gain = _gain(values, getattr(base, name))
            cells += [_spread(values), *gain]
        rows.append(tuple(cells))
    trivial = majority(compared, compared.last, "mean")
    if trivial.size:
        rows.append((Cell("majority"), accuracy_cell(trivial), *[NONE] * 5))
    drawn = evaluated_on(compared.found)
    lacking = [compared.labels[arm] for arm in compared.labels if arm not in {o.arm for o in every}]
    notes = [
        "Local: clients' own subnets on their own test examples. Global: a size on those of all "
        "clients, mean over the trained sizes. p: paired t test, not adjusted.",
        *([f"{drawn} All accuracies are over these clients."] if drawn else []),
        *([f"sizes.csv has nothing of {', '.join(lacking)}."] if lacking else []),
    ]
    headers = ("", "local %", "Δ local", "p local", "global %", "Δ global", "p global")
    title = f"Local and global accuracy at round {max(every[0].curve)}"
    return Table("sizes", title, headers, tuple(rows), tuple(notes))


def _by_level(
    name: str,
    title: str,
    of: tuple[Mapping[Arm, str], Sequence[Sizes]],
    headers: Sequence[str],
    cells: Callable[[Sizes], Sequence[Cell]],
) -> Table:
    """Makes a table with a row for each arm."""
    names, every = of
    rows = ((Cell(names[own.arm]), *cells(own)) for own in every)
    return Table(name, title, ("", *headers), tuple(rows))


def _empty(result: Sizes, level: str) -> str:
    """Writes the layers without a weight at one level."""
    if level not in result.empty_at or any(map(math.isnan, result.empty_at[level])):
        return "none"
    text = " → ".join(f"{100 * share:.0f}" for share in result.empty_at[level])
    severed = result.severed_at.get(level, (0.0, 0.0))
    if not any(severed):
        return text
    return f"{text} (severed {' → '.join(f'{100 * share:.0f} %' for share in severed)})"


def _percent(values: Seeds) -> np.ndarray:
    """Returns the numbers of all seeds in percent."""
    return 100 * np.array(list(values.values()))


def _mean(values: Seeds | None) -> Cell:
    """Makes the cell of a mean."""
    if not values:
        return Cell("none")
    mean = float(_percent(values).mean())
    return Cell(statistics.number(mean, math.nan, signed=False), mean)


def _share(values: Seeds) -> Cell:
    """Makes the cell of a share."""
    if not values:
        return Cell("none")
    mean = float(np.mean(list(values.values())))
    return Cell(f"{mean:.3f}", mean)


def _spread(values: Seeds) -> Cell:
    """Makes the cell of a mean with its interval."""
    return accuracy_cell(_percent(values)) if values else Cell("none")


def _gain(own: Seeds, other: Seeds) -> list[Cell]:
    """Makes the cells of a paired difference."""
    gains = 100 * np.array([own[seed] - other[seed] for seed in own if seed in other])
    if not gains.size:
        return [Cell("no common seed"), NONE]
    return [gain_cell(gains), p_cell(statistics.t_p(gains))]

"""Accuracy as a run goes on: against rounds, MACs or bytes; a row for each group of workdirs."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis import results
from experiments.analysis.pictures import lines, style
from experiments.analysis.pictures.looks import Look, add_legend, legend_height, looks
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.results import METRICS, Arm, Record, Results
from hasa_jax.simulation.escapes import picture

LABELS = {
    "mean": "mean accuracy (%)",
    "worst": "worst accuracy (%)",
    "tail": "tail accuracy (%)",
}
"""Of the vertical axes, by metric."""


_LETTERS = 70
"""Of the names of arms that are not drawn."""


class Spent(NamedTuple):
    """What accuracy is drawn against.

    Attributes:
      label: of the horizontal axis, with its unit.
      what: the same in a word.
      of: what was spent up to a record of summary.csv; NaN if it does not say.
      lacking: what is said where no record says it.
      integer: whether it is an integer.
    """

    label: str
    what: str
    of: Callable[[Record], float]
    lacking: str
    integer: bool = False


class Curve(NamedTuple):
    """One arm in one panel.

    Attributes:
      at: what was spent at each evaluation, mean over seeds `[P]`.
      values: percents of all seeds, at each evaluation.
    """

    at: list[float]
    values: list[np.ndarray]


def draw(groups: Sequence[Results], spent: Spent, remark: str = "") -> Any:
    """Draws mean, worst and tail test accuracy, with 95 % intervals over seeds.

    Args:
      groups: results; each is a row of panels.
      spent: the horizontal axis.
      remark: what the legend says of the numbers; nothing if empty.

    Returns:
      The figure of matplotlib. The legend names the arms that are not drawn in some row, as records
      do not say what they spent.

    Raises:
      Lacking: if no record says what was spent.
    """
    known = [own for own in groups if any(not math.isnan(spent.of(r)) for r in own.summary)]
    if not known:
        raise Lacking(spent.lacking)
    arms = list(dict.fromkeys(arm for own in known for arm in own.arms))
    names = results.labels_of(arms)
    room = legend_height(names, style.PAGE)
    figure = style.new_figure(style.PAGE, room + 1.95 * len(known))
    parts = np.atleast_1d(figure.subfigures(len(known), 1))
    look_of, counts, unknown = looks(arms), set[int](), dict[str, None]()
    shifted = False
    for part, (title, own) in zip(parts, titled(known), strict=True):
        if len(known) > 1:
            part.suptitle(picture(title))
        for panel, metric in zip(part.subplots(1, len(METRICS)), METRICS, strict=True):
            curves = curves_of(own.summary, f"{metric}_accuracy", spent.of)
            shifted |= _draw_panel(panel, curves, look_of)
            panel.set(xlabel=spent.label, ylabel=LABELS[metric])
            if spent.integer:
                panel.xaxis.get_major_locator().set_params(integer=True)
            counts |= {len(v) for curve in curves.values() for v in curve.values}
            unknown |= dict.fromkeys(names[arm] for arm in own.arms if arm not in curves)
    shaded = all(len(own.arms) <= lines.MOST_BANDS for own in known)
    nearly = "" if spent.integer else f" where {spent.what} are nearly equal"
    bars = f"bars, side by side{nearly}" if shifted else "bars"
    note = [lines.seeds_text(counts, "shaded" if shaded else bars), *[remark] * bool(remark)]
    if unknown:
        shown = picture(", ".join(unknown), _LETTERS)
        note.append(f"not drawn, as their {spent.what} are not known: {shown}")
    add_legend(figure, names, look_of, note="\n".join(note))
    return figure


def titled(groups: Sequence[Results]) -> list[tuple[str, Results]]:
    """Says what sets several groups of workdirs apart.

    Args:
      groups: results.

    Returns:
      A title of each, and the results.
    """
    names = results.folder_names([own.folders[0] for own in groups])
    titles = []
    for name, own in zip(names, groups, strict=True):
        kinds = sorted({record["aggregation"] for record in own.summary})
        titles.append(f"{name} ({'/'.join(kinds)} aggregation)")
    return list(zip(titles, groups, strict=True))


def curves_of(
    records: Sequence[Record], column: str, spent: Callable[[Record], float]
) -> dict[Arm, Curve]:
    """Gathers the percents of all seeds, means over their folds.

    Args:
      records: of summary.csv.
      column: of the accuracy.
      spent: what was spent up to a record; records that do not say it are left out.

    Returns:
      A curve of each arm, by rising rounds.
    """
    of_seeds = collections.defaultdict[tuple[Arm, int, int], list[tuple[float, float]]](list)
    for record in records:
        own = spent(record)
        if not math.isnan(own):
            place = (results.arm_of(record), int(record["round"]), int(record["seed"]))
            of_seeds[place].append((own, 100 * float(record[column])))
    of_rounds = collections.defaultdict[tuple[Arm, int], list[np.ndarray]](list)
    for arm, round, seed in sorted(of_seeds, key=lambda place: place[1:]):
        of_rounds[arm, round].append(np.mean(of_seeds[arm, round, seed], axis=0))
    found: dict[Arm, Curve] = {}
    for (arm, _), pairs in of_rounds.items():
        own, values = np.array(pairs).T
        curve = found.setdefault(arm, Curve([], []))
        curve.at.append(float(own.mean()))
        curve.values.append(values)
    return found


def _draw_panel(panel: Any, curves: dict[Arm, Curve], look_of: dict[Arm, Look]) -> bool:
    """Draws all arms of one metric; returns whether some are apart, as their bars would overlap."""
    shaded = len(curves) <= lines.MOST_BANDS
    ends = [curve.at[-1] for curve in curves.values()]
    step = 0.0 if shaded else lines.SPREAD * max(ends) / (len(ends) - 1)
    shifts = lines.shifts_of(ends, step)
    for (arm, curve), shift in zip(curves.items(), shifts, strict=True):
        at = [own + float(shift) for own in curve.at]
        lines.draw_curve(panel, at, curve.values, look_of[arm], shaded=shaded)
    lines.fit_percents(panel, [e for c in curves.values() for e in lines.ends_of(c.values)])
    return bool(shifts.any())

"""A bar for each client, sorted by score: its accuracy, and its width as shade and number."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis import results
from experiments.analysis.client_values import accuracies_of, of_shown_seed, shown_seed
from experiments.analysis.pictures import lines, style
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.results import Arm, Results
from experiments.analysis.statistics import band, interval
from hasa_jax.simulation.escapes import picture

MOST_ARMS = 8
"""Rows of a picture."""

_NAMED, _BARRED = 40, 80  # Most clients whose names and widths, and whose intervals, can be seen.
_SLANTED = 15  # Most clients whose names are not upright.
_LEVEL_WIDTHS = 24  # Most clients whose widths are not upright.
_PAD = 4.0  # Of titles, in points, as in the style.
_MOST, _GROUPS = 400, 100
"""Of more clients, neighbours in their order are drawn as one of so many groups."""

_LETTERS, _LEVEL = 18, 3  # Of a name that is drawn, and of one that has room as it is.


@dataclasses.dataclass(frozen=True)
class Clients:
    """What one arm gives the clients at the last round.

    Attributes:
      accuracy: percents by client and seed, over folds as in the tables.
      width: fractions of units by client, means over seeds.
    """

    accuracy: Mapping[str, Mapping[int, float]]
    width: Mapping[str, float]


def make(groups: Sequence[Results]) -> Any:
    """Draws a row of bars for each arm, all in one order of the clients.

    Args:
      groups: results; the first of them is drawn, one seed of it where clients are dealt again for
        each.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if there are no records of clients at a round of all arms.
    """
    found, seed = of_shown_seed(groups[0]), shown_seed(groups[0])
    shown = {arm: own for arm in found.arms if (own := clients_of(found, arm)).accuracy}
    if not shown:
        raise Lacking("it needs metrics.csv with test accuracies at a round of all arms")
    left_out = len(shown) - MOST_ARMS
    shown = dict(list(shown.items())[:MOST_ARMS])
    order, by, scores = order_of(found, shown)
    parts = _parts(order)
    heights = [1.0] * len(shown) + ([0.45] if scores else [])
    room = _room_of_widths(len(parts))
    names = 0.9 if len(order) <= _NAMED else 0.0
    height = 0.85 + names + sum(heights) + len(shown) * room / 72
    figure = style.new_figure(style.PAGE, height)
    panels = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
    ).ravel()
    labels = results.labels_of(found.arms)
    top = max(_draw_arm(p, own, parts) for p, own in zip(panels, shown.values(), strict=False))
    for panel, arm in zip(panels, shown, strict=False):
        panel.set(ylim=(0, min(100.0, 1.05 * top)), ylabel="accuracy (%)")
        panel.set_title(picture(labels[arm]), loc="left", pad=_PAD + room)
    if scores:
        values = [float(np.mean([scores[name] for name in part])) for part in parts]
        panels[-1].bar(range(len(parts)), values, color="0.5", width=0.9)
        panels[-1].set(ylabel="score")
    _name_clients(panels[-1], parts, by)
    _add_scale(figure, panels)
    notes = [_what_is_drawn(shown, len(parts), seed)]
    notes += [f"{left_out} more arms are not drawn"] * (left_out > 0)
    notes += [f"only seed {seed}, as {found.dealt}"] * (seed is not None)
    figure.suptitle("\n".join(filter(None, notes)), fontsize=7)
    return figure


def clients_of(found: Results, arm: Arm) -> Clients:
    """Gathers the clients of an arm at the last round that all arms have.

    Args:
      found: the results.
      arm: which of them.

    Returns:
      Accuracies and widths; clients without test examples are left out.
    """
    last = found.rounds[-1:]
    records = [r for r in found.metrics if r["split"] == "test" and results.arm_of(r) == arm]
    accuracies: dict[str, dict[int, float]] = {}
    for (_, name, _), by_seed in accuracies_of(records, last).items():
        if known := {seed: 100 * own for seed, own in by_seed.items() if not np.isnan(own)}:
            accuracies[name] = known
    widths = collections.defaultdict[str, list[float]](list)
    for record in records:
        name = record["client"]
        if int(record["round"]) in last and int(record["seed"]) in accuracies.get(name, ()):
            widths[name].append(float(record.get("width") or "nan"))
    return Clients(accuracies, {name: float(np.mean(own)) for name, own in widths.items()})


def order_of(
    found: Results, shown: Mapping[Arm, Clients]
) -> tuple[list[str], str, dict[str, float]]:
    """Sorts the clients: by score, else by width, else by accuracy.

    Args:
      found: may have scores.
      shown: clients of each arm.

    Returns:
      Their names in order; what they are sorted by; and their scores, if those are recorded.
    """
    names = dict.fromkeys(name for own in shown.values() for name in own.accuracy)
    labels = results.labels_of(found.arms)
    for arm, by_block in found.scores.items():
        of_client = collections.defaultdict[str, list[float]](list)
        for by_client in by_block.values():
            for name, score in by_client.items():
                of_client[name].append(score)
        if set(names) <= set(of_client):
            scores = {name: float(np.mean(of_client[name])) for name in names}
            return sorted(names, key=lambda name: scores[name]), f"score of {labels[arm]}", scores
    spread = {
        arm: np.ptp(own) for arm, of in shown.items() if len(own := list(of.width.values())) > 1
    }
    arm = max(spread, key=lambda own: spread[own], default=None)
    if arm is not None and spread[arm] > 0:
        of_client = shown[arm].width
        ranked = sorted(names, key=lambda name: (of_client.get(name, 0.0), name))
        return ranked, f"width in {labels[arm]}, as no scores are recorded", {}
    first, own = next(iter(shown.items()))
    means = {name: np.mean(list(by.values())) for name, by in own.accuracy.items()}
    ranked = sorted(names, key=lambda name: (means.get(name, 0.0), name))
    return ranked, f"accuracy in {labels[first]}", {}


def _parts(order: Sequence[str]) -> list[list[str]]:
    """Returns what has a bar each: a client, or neighbours where there are too many."""
    if len(order) <= _MOST:
        return [[name] for name in order]
    return [list(map(str, own)) for own in np.array_split(np.array(order, object), _GROUPS)]


def _draw_arm(panel: Any, own: Clients, parts: Sequence[Sequence[str]]) -> float:
    """Draws the bars of one arm; returns the upper end of the highest."""
    top = 1.0
    for at, part in enumerate(parts):
        known = [name for name in part if name in own.accuracy]
        if not known:
            continue
        by_seed = collections.defaultdict[int, list[float]](list)
        for name in known:
            for seed, value in own.accuracy[name].items():
                by_seed[seed].append(value)
        values = np.array([np.mean(one) for one in by_seed.values()])
        mean, width = float(values.mean()), float(np.mean([own.width[name] for name in known]))
        fill = shade_of(width)
        panel.bar(at, mean, color=fill, width=0.9, edgecolor="0.15", linewidth=0.3)
        half = interval(values) if len(parts) <= _BARRED else 0.0
        low, high = band(mean, half)
        if high > low:
            panel.vlines(at, low, high, color="black", linewidth=0.8)
            panel.plot([at, at], [low, high], "_", color="black", markersize=3)
        if len(parts) <= _NAMED and not np.isnan(width):
            # Above the panel, where no whisker is.
            panel.annotate(
                f"{width:.2f}".removeprefix("0") if width < 0.995 else "1.0",
                xy=(at, 1),
                xytext=(0, _PAD / 2),
                xycoords=panel.get_xaxis_transform(),
                textcoords="offset points",
                rotation=0 if len(parts) <= _LEVEL_WIDTHS else 90,
                ha="center",
                va="bottom",
                fontsize=7,
            )
        top = max(top, high)
    return top


def _room_of_widths(count: int) -> float:
    """Returns how high the row of widths above a panel of so many bars is, in points."""
    if count > _NAMED:
        return 0.0
    return 9.0 if count <= _LEVEL_WIDTHS else 17.0


def shade_of(width: float) -> tuple[float, float, float, float]:
    """Returns the shade of a width: the wider, the darker; white if it is not known."""
    from matplotlib import colormaps

    if np.isnan(width):
        return (1.0, 1.0, 1.0, 1.0)
    red, green, blue, alpha = colormaps["Blues"](0.1 + 0.8 * width)
    return (float(red), float(green), float(blue), float(alpha))


def _name_clients(panel: Any, parts: Sequence[Sequence[str]], by: str) -> None:
    """Names the clients, where there is room, and says how they are sorted."""
    if len(parts) <= _NAMED:
        names = [picture(part[0], _LETTERS) for part in parts]
        panel.set_xticks(range(len(parts)), names)
        slanted = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"}
        turned = slanted if len(parts) <= _SLANTED else {"rotation": 90}
        for text in panel.get_xticklabels() if max(map(len, names)) > _LEVEL else ():
            text.set(**turned)
    what = "clients" if len(parts[0]) == 1 else f"clients in {len(parts)} groups"
    panel.set(xlim=(-0.6, len(parts) - 0.4), xlabel=f"{what}, by rising {by}")
    panel.grid(axis="x", visible=False)


def _add_scale(figure: Any, panels: Sequence[Any]) -> None:
    """Adds the scale of the shades; bars need no vertical lines."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    shades = ListedColormap([shade_of(width) for width in np.linspace(0, 1, 64)])
    scale = ScalarMappable(Normalize(0, 1), shades)
    figure.colorbar(scale, ax=list(panels), label="width (fraction of units)", pad=0.01, aspect=40)
    for panel in panels:
        panel.grid(axis="x", visible=False)


def _what_is_drawn(shown: Mapping[Arm, Clients], count: int, seed: int | None) -> str:
    """Says what the numbers above so many bars and the whiskers are."""
    counts = {len(seeds) for own in shown.values() for seeds in own.accuracy.values()}
    parts = ["above each bar: its width"] * (count <= _NAMED)
    if seed is None:
        several = count > _BARRED and max(counts) > 1
        parts.append("means over seeds" if several else lines.seeds_text(counts, "whiskers"))
    return "; ".join(parts)

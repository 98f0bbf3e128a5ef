"""Which units of the supernet clients trained how often, by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis import replay, results
from experiments.analysis.pictures import style
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.replay import Replayed
from experiments.analysis.results import Arm, Results
from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import picture

_MOST_COLUMNS = 3


def make(groups: Sequence[Results]) -> Any:
    """Draws a map for each group of units: a line for each arm, a shade for each unit.

    Args:
      groups: results; all arms of all of them are lines of the map.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if no workdir has coverage.csv, if one is damaged, or if nothing of it is known.
    """
    try:
        found = _known(groups)
    except UserError as error:
        raise Lacking(str(error)) from None
    if not found:
        raise Lacking(f"no workdir has {replay.FILE}: run coverage on it")
    drawn = {name: own for name, own in found.items() if not own.reason}
    if not drawn:
        raise Lacking("; ".join(f"of {name}, {own.reason}" for name, own in found.items()))
    alike = _alike(drawn)
    columns = 2 if len(alike) == 4 else min(_MOST_COLUMNS, len(alike))
    down = -(-len(alike) // columns)
    width = style.COLUMN if columns == 1 else style.PAGE
    figure = style.new_figure(width, 0.5 + down * (0.55 + 0.17 * max(len(found), 2)))
    panels = figure.subplots(down, columns, squeeze=False).ravel()
    image = None
    for place, (panel, groups_alike) in enumerate(zip(panels, alike, strict=False)):
        image = _draw(panel, found, groups_alike[0])
        others = f" ({len(groups_alike)} groups alike)" if len(groups_alike) > 1 else ""
        panel.set_xlabel(f"unit of {picture(groups_alike[0], 30)}{others}")
        panel.set_yticks([])
        if place % columns == 0:
            panel.set_yticks(range(len(found)), list(map(picture, found)))
            panel.set_ylabel("arm")
        panel.grid(visible=False)
    for panel in panels[len(alike) :]:
        panel.remove()
    label = "share of updates"
    figure.colorbar(image, ax=list(panels[: len(alike)]), label=label, pad=0.01, aspect=15)
    if reasons := [f"{picture(name)}: {own.reason}" for name, own in found.items() if own.reason]:
        figure.suptitle("\n".join(f"Crossed out: {line}." for line in reasons), fontsize=7)
    return figure


def _known(groups: Sequence[Results]) -> dict[str, Replayed]:
    """Reads what is known of all arms, by their names; an arm that the files lack has no shares."""
    folders = [folder for own in groups for folder in own.folders]
    known = {
        folder: replay.read(folder / replay.FILE)
        for folder in folders
        if (folder / replay.FILE).exists()
    }
    titles = dict(zip(known, results.folder_names(list(known)), strict=True)) if known else {}
    places: dict[Arm, Replayed] = {}
    arms = [tuple(arm) for own in known.values() for arm in own]
    for folder, own in known.items():
        for arm, replayed in own.items():
            tag = titles[folder] if arms.count(tuple(arm)) > 1 else ""
            places[Arm(*arm, tag)] = replayed
    for own in groups:
        own_known = [known[folder] for folder in own.folders if folder in known]
        for arm in own.arms if own_known else ():
            if not any(arm[:2] == tuple(other) for of in own_known for other in of):
                places[arm] = Replayed({}, f"{replay.FILE} lacks it, so run coverage again")
    labels = results.labels_of(list(places)) if places else {}
    return {labels[arm]: own for arm, own in places.items()}


def _alike(drawn: Mapping[str, Replayed]) -> list[list[str]]:
    """Joins the groups of units that have the same shares in all arms."""
    names = dict.fromkeys(group for own in drawn.values() for group in own.shares)
    found: dict[tuple[tuple[float, ...], ...], list[str]] = {}
    for name in names:
        shares = tuple(tuple(own.shares.get(name, ())) for own in drawn.values())
        found.setdefault(shares, []).append(name)
    return list(found.values())


def _draw(panel: Any, found: Mapping[str, Replayed], group: str) -> Any:
    """Draws the map of one group; what is not known is crossed out."""
    units = max(len(own.shares.get(group, ())) for own in found.values())
    table = np.full((len(found), units), np.nan)
    for line, own in enumerate(found.values()):
        shares = own.shares.get(group, np.zeros(0))
        table[line, : len(shares)] = shares
    extent = (0, units, len(found) - 0.5, -0.5)
    image = panel.imshow(
        table, cmap="cividis", vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest"
    )
    for line, own in enumerate(found.values()):
        if len(own.shares.get(group, ())) < units:
            start = len(own.shares.get(group, ()))
            panel.fill_between(
                *([start, units], line - 0.5, line + 0.5),
                facecolor="white",
                edgecolor="0.5",
                hatch="xxxx",
                linewidth=0,
            )
    panel.hlines(np.arange(1, len(found)) - 0.5, 0, units, color="white", linewidth=1.5)
    panel.set_xlim(0, units)
    panel.xaxis.get_major_locator().set_params(integer=True)
    return image

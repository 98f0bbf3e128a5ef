"""What pictures of several arms share: one colour for each arm, one legend, cut bands."""

from __future__ import annotations

import itertools
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.analysis.results import Arm
from experiments.analysis.statistics import band, interval
from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import picture

Look = tuple[str, str]
"""Colour and line style."""

_STYLES = ("-", "--", ":", "-.")


def looks(arms: Sequence[Arm]) -> dict[Arm, Look]:
    """Gives every arm a look of its own, which is the same in all panels.

    Args:
      arms: all that are drawn.

    Returns:
      The colour and the line style of each arm: ten colours, then other lines.
    """
    styles = itertools.cycle(_STYLES)
    pairs = ((f"C{place}", style) for style in styles for place in range(10))
    return dict(zip(dict.fromkeys(arms), pairs, strict=False))


def draw_curve(
    panel: Any, at: Sequence[float], values: Sequence[np.ndarray], look: Look, marker: str = "."
) -> None:
    """Draws means over seeds with a band, their 95 % interval cut at 0 and 100.

    Args:
      panel: axes of matplotlib.
      at: places on the horizontal axis.
      values: percents at each place, one for each seed.
      look: of the arm.
      marker: of each place.
    """
    colour, style = look
    means = [float(own.mean()) for own in values]
    ends = [band(mean, interval(own)) for mean, own in zip(means, values, strict=True)]
    low, high = np.array(ends).reshape(-1, 2).T
    panel.plot(at, means, color=colour, linestyle=style, marker=marker)
    if len(values) == 1:  # A band of one place has no width.
        panel.vlines(at, low, high, color=colour, alpha=0.5)
    else:
        panel.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)


def add_legend(figure: Any, names: dict[Arm, str], look_of: dict[Arm, Look], columns: int) -> None:
    """Puts one legend of all arms below a figure.

    Args:
      figure: of matplotlib.
      names: what each arm is called.
      look_of: how it looks.
      columns: most columns of the legend.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=look_of[arm][0], marker=".") for arm in names]
    for handle, arm in zip(handles, names, strict=True):
        handle.set(linestyle=look_of[arm][1])
    labels = list(map(picture, names.values()))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), fontsize=8
    )


def new_figure(width: float, height: float) -> Any:
    """Makes an empty figure; without pyplot there is no display to need.

    Args:
      width: in inches.
      height: in inches.

    Returns:
      The figure.

    Raises:
      UserError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("plots need matplotlib: pip install 'hasa_jax[plots]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, target: pathlib.Path) -> None:
    """Writes a figure.

    Args:
      figure: of matplotlib.
      target: the picture file.
    """
    with warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(target, dpi=120)

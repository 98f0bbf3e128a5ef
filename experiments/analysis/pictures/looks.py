"""How arms look: the same in all panels, told apart with and without colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from hasa_jax.simulation.escapes import picture

Name = TypeVar("Name")

COLOURS = ("#0072B2", "#E69F00", "#000000", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
"""Those of Okabe and Ito that are seen on white; each is darker or lighter than the next."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*")
LINES = ("-", "--", "-.", ":")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "oo", "||||")


class Look(NamedTuple):
    """How an arm looks.

    Attributes:
      colour: of its lines and bars.
      marker: of its points.
      line: style of its lines.
      hatch: of its bars.
    """

    colour: str
    marker: str
    line: str
    hatch: str


def looks(names: Iterable[Name]) -> dict[Name, Look]:
    """Gives every arm a look of its own.

    The numbers of markers and of line styles have no common factor, and neither have those of
    colours and of hatches. So 44 lines differ in grey, and 56 bars in colour or hatch.

    Args:
      names: all that are drawn, in their order.

    Returns:
      The look of each.
    """
    cycles = zip(*map(itertools.cycle, (COLOURS, MARKERS, LINES, HATCHES)), strict=False)
    return {name: Look(*own) for name, own in zip(dict.fromkeys(names), cycles, strict=False)}


def add_legend(
    figure: Any,
    names: Mapping[Name, str],
    look_of: Mapping[Name, Look],
    *,
    note: str = "",
    bars: bool = False,
    joined: bool = True,
) -> None:
    """Puts one legend of all arms below a figure, each arm once.

    Args:
      figure: of matplotlib.
      names: what each arm is called.
      look_of: how it looks.
      note: a line above the names.
      bars: whether arms are bars in the figure; else they are points.
      joined: whether lines join the points.
    """
    handles = [_bar(look_of[n]) if bars else _line(look_of[n], joined) for n in names]
    below(figure, handles, list(map(picture, names.values())), note)


def below(figure: Any, handles: Sequence[Any], labels: Sequence[str], note: str = "") -> None:
    """Puts a legend below a figure, in as many columns as fit.

    Args:
      figure: of matplotlib.
      handles: what is shown.
      labels: what each is called.
      note: a line above the labels.
    """
    columns = _columns(labels, figure.get_figwidth())
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=note or None)


def legend_height(names: Mapping[Name, str], width: float) -> float:
    """Returns how high a figure's legend of all arms is, with a note above.

    Args:
      names: what each arm is called.
      width: of the figure, in inches.

    Returns:
      The height in inches.
    """
    labels = list(map(picture, names.values()))
    return 0.35 + 0.16 * -(-len(labels) // _columns(labels, width))


def _columns(labels: Sequence[str], width: float) -> int:
    """Returns how many columns of a legend fit into a width."""
    # At 7 points, a letter takes about .06 in, and a handle with its gaps .5 in.
    widths = [0.5 + 0.06 * len(label) for label in labels]
    return len(labels) if sum(widths) <= width else max(1, int(width / max(widths)))


def _line(look: Look, joined: bool) -> Any:
    """Returns the entry of an arm that is a line, or points."""
    from matplotlib.lines import Line2D

    own = Line2D([], [], color=look.colour, marker=look.marker)
    own.set(linestyle=look.line if joined else "none")
    return own


def _bar(look: Look) -> Any:
    """Returns the entry of an arm that is a bar."""
    from matplotlib.patches import Patch

    return Patch(**bar_of(look))


def bar_of(look: Look) -> dict[str, Any]:
    """Returns how the bars of an arm are filled.

    Args:
      look: of the arm.

    Returns:
      Arguments of a patch of matplotlib: a fill whose hatch is seen on every colour.
    """
    dark = look.colour == "#000000"
    return {
        "facecolor": "0.25" if dark else look.colour,
        "edgecolor": "white" if dark else "0.15",
        "hatch": look.hatch,
        "linewidth": 0.4,
    }

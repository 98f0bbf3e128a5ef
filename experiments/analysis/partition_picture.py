"""A picture of who holds what: shares of classes, sizes and divergences of all clients."""

from __future__ import annotations

import dataclasses
import pathlib
import warnings
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import picture

MOST_COLOURS = 20
"""Classes that have a colour of their own; of more, the most frequent, and grey for the rest."""

_NAMED, _PARTED = 40, 120  # Most clients whose names, and whose borders, can be seen.
_LETTERS = 24  # Of a name.


@dataclasses.dataclass(frozen=True)
class Bars:
    """What is drawn: a bar a client in three panels.

    Attributes:
      names: of the clients.
      sizes: examples for training, validation and testing `[N, 3]`.
      counts: how often each client has each class `[N, K]`.
      divergence: score of each client `[N]`, in nats.
      title: above the panels.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    counts: np.ndarray
    divergence: np.ndarray
    title: str


def shares(counts: np.ndarray, most: int = MOST_COLOURS) -> tuple[np.ndarray, list[str]]:
    """Finds what part of each client's labels is of each class.

    Args:
      counts: label counts `[N, K]`.
      most: columns that may come out, 2 or more.

    Returns:
      Shares `[N, min(K, most)]`, and a name for each column: the number of its class. Of more
      classes than `most`, the most frequent are kept in the order of their numbers, and the last
      column, `others`, has the sum of the rest. The shares of a client add up to 1, or to 0
      without labels.
    """
    own = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    if counts.shape[1] <= most:
        return own, [str(label) for label in range(counts.shape[1])]
    kept = np.sort(np.argsort(-counts.sum(0), kind="stable")[: most - 1])
    rest = np.delete(own, kept, axis=1).sum(1, keepdims=True)
    return np.concatenate([own[:, kept], rest], axis=1), [*map(str, kept.tolist()), "others"]


def draw(bars: Bars, target: pathlib.Path, dpi: int = 100) -> None:
    """Draws a picture.

    Args:
      bars: what to draw.
      target: the picture file, replaced if there.
      dpi: pixels of an inch; it is about 9.5 inches wide.

    Raises:
      UserError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure  # Without pyplot there is no display to need.
    except ImportError:
        raise UserError(
            f"{target.name} needs matplotlib: pip install 'hasa_jax[plots]'; the rest is written"
        ) from None
    count = len(bars.names)
    figure = Figure(figsize=(9.5, float(np.clip(1.4 + 0.17 * count, 3.0, 12.0))))
    figure.set_layout_engine("constrained")
    own, examples, scores = figure.subplots(1, 3, sharey=True, width_ratios=(3, 1.3, 1.3))
    _stack(own, *shares(bars.counts))
    own.set(xlim=(0, 1), xlabel="share of training labels")
    kinds = {"training": "0.35", "validation": "0.6", "testing": "0.8"}
    edges, ends = np.arange(count + 1) - 0.5, np.cumsum(bars.sizes, axis=1)
    for place, (kind, colour) in enumerate(kinds.items()):
        start = ends[:, place] - bars.sizes[:, place]
        _steps(examples, ends[:, place], start, edges, colour, kind)
    examples.set(xlim=(0, None), xlabel="examples")
    examples.legend(fontsize=7, ncols=3, **_above())
    _steps(scores, bars.divergence, np.zeros(count), edges, "tab:red", None)
    # No divergence is above ln 2; one scale makes pictures comparable.
    scores.set(xlim=(0, np.log(2)), xlabel="label divergence (nats)")
    step = -(-count // _NAMED)
    shown = range(0, count, step)
    own.set_yticks(
        list(shown), [picture(bars.names[place], _LETTERS) for place in shown], fontsize=7
    )
    own.set_ylim(count - 0.5, -0.5)  # The first client at the top.
    if count <= _PARTED:
        for panel in (own, examples, scores):
            panel.hlines(edges, *panel.get_xlim(), colors="white", linewidth=min(1.2, 60 / count))
    figure.suptitle(picture(bars.title), fontsize=9)
    with warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(target, dpi=dpi)


def _stack(panel: Any, own: np.ndarray, names: list[str]) -> None:
    """Draws shares beside each other, a colour for each class."""
    from matplotlib import colormaps

    palette = colormaps["tab10" if len(names) <= 10 else "tab20"]
    colours: list[Any] = list(palette(np.arange(len(names))))
    if names[-1] == "others":
        colours[-1] = "0.85"
    edges, ends = np.arange(len(own) + 1) - 0.5, np.cumsum(own, axis=1)
    for place, name in enumerate(names):
        _steps(panel, ends[:, place], ends[:, place] - own[:, place], edges, colours[place], name)
    panel.legend(title="class", title_fontsize=7, fontsize=7, ncols=10, **_above())


def _steps(
    panel: Any, end: np.ndarray, start: np.ndarray, edges: np.ndarray, colour: Any, name: str | None
) -> None:
    """Draws the bars of all clients as one shape, so that a thousand take no longer than ten."""
    panel.stairs(
        end,
        edges,
        baseline=start,
        orientation="horizontal",
        fill=True,
        color=colour,
        linewidth=0,
        label=name,
    )


def _above() -> dict[str, Any]:
    """Places a legend above a panel."""
    return {
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1.0),
        "frameon": False,
        "handlelength": 0.9,
        "handletextpad": 0.4,
        "columnspacing": 0.9,
    }

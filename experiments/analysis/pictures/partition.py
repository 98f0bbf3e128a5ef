"""Who holds what: shares of classes, examples and divergences of all clients."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.analysis.pictures import style
from experiments.analysis.pictures.looks import bar_of, looks
from experiments.analysis.pictures.picture import Lacking, first_file
from experiments.analysis.results import Results
from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import from_csv_cell, picture

MOST_CLASSES = 20
"""Classes that have a fill of their own; of more, the most frequent, and white for the rest."""

FILE = "partition.csv"
"""Name of the table that the picture is drawn from."""

_NAMED, _PARTED = 40, 120  # Most clients whose names, and whose borders, can be seen.
_LETTERS = 22  # Of a name.
_OTHERS = "others"
_CLASS = "class_"


@dataclasses.dataclass(frozen=True)
class Bars:
    """What is drawn: a bar a client in three panels.

    Attributes:
      names: of the clients.
      sizes: examples for training, validation and testing `[N, 3]`.
      counts: how often each client has each class `[N, K]`.
      divergence: score of each client `[N]`, in nats.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    counts: np.ndarray
    divergence: np.ndarray


def make(groups: Sequence[Results]) -> Any:
    """Draws the first partition.csv of the workdirs.

    Args:
      groups: results.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if no workdir has such a file, it is damaged, or it has no classes.
    """
    path = first_file(groups, FILE, "partition_report into one of them")
    try:
        bars = bars_of(path)
    except UserError as error:
        raise Lacking(str(error)) from None
    return figure_of(bars)


def bars_of(path: pathlib.Path) -> Bars:
    """Reads partition.csv.

    Args:
      path: the file.

    Returns:
      What is drawn.

    Raises:
      Lacking: if it has no counts of classes, as there are too many.
      UserError: if it is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        classes = [name for name in lines[0] if name.startswith(_CLASS)]
        if not classes:
            raise Lacking(f"{path.name} has no counts of classes, as there are more than 100")
        return Bars(
            names=tuple(from_csv_cell(line["client"]) for line in lines),
            sizes=np.array(
                [[int(line[part]) for part in ("train", "validation", "test")] for line in lines]
            ),
            counts=np.array([[int(line[name]) for name in classes] for line in lines]),
            divergence=np.array([float(line["label_divergence"]) for line in lines]),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, csv.Error):
        raise UserError(f"{path} is damaged: run partition_report again") from None


def shares(counts: np.ndarray, most: int = MOST_CLASSES) -> tuple[np.ndarray, list[str]]:
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
    return np.concatenate([own[:, kept], rest], axis=1), [*map(str, kept.tolist()), _OTHERS]


def figure_of(bars: Bars) -> Any:
    """Draws a bar for each client, with its classes, its examples and its divergence.

    Args:
      bars: what to draw.

    Returns:
      The figure of matplotlib.

    Raises:
      UserError: if matplotlib is missing.
    """
    count = len(bars.names)
    with style.applied():
        figure = style.new_figure(style.PAGE, float(np.clip(1.2 + 0.13 * count, 2.4, 9.0)))
        own, examples, scores = figure.subplots(1, 3, sharey=True, width_ratios=(3, 1.3, 1.3))
        _stack(own, *shares(bars.counts))
        own.set(xlim=(0, 1), xlabel="share of training labels", ylabel="client")
        _examples(examples, bars.sizes)
        fill = {"facecolor": "0.45", "edgecolor": "0.15", "linewidth": 0}
        _steps(scores, bars.divergence, np.zeros(count), fill, None)
        # No divergence is above ln 2; one scale makes pictures comparable.
        scores.set(xlim=(0, np.log(2)), xlabel="divergence (nats)")
        step = -(-count // _NAMED)
        shown = range(0, count, step)
        own.set_yticks(list(shown), [picture(bars.names[n], _LETTERS) for n in shown])
        own.set_ylim(count - 0.5, -0.5)  # The first client at the top.
        edges = np.arange(count + 1) - 0.5
        for panel in (own, examples, scores):
            panel.grid(visible=False)
            if count <= _PARTED:
                panel.hlines(edges, *panel.get_xlim(), colors="white", linewidth=min(1, 50 / count))
    return figure


def _stack(panel: Any, own: np.ndarray, names: list[str]) -> None:
    """Draws shares beside each other, a fill for each class."""
    look_of = looks(names)
    ends = np.cumsum(own, axis=1)
    for place, name in enumerate(names):
        fill = {**bar_of(look_of[name]), "linewidth": 0}
        if name == _OTHERS:
            fill = {"facecolor": "white", "edgecolor": "0.15", "linewidth": 0.3}
        _steps(panel, ends[:, place], ends[:, place] - own[:, place], fill, name)
    panel.legend(title="class", ncols=10, **_above())


def _examples(panel: Any, sizes: np.ndarray) -> None:
    """Draws the examples of the three parts beside each other."""
    kinds = {"train": ("0.3", ""), "valid.": ("0.6", "////"), "test": ("0.85", "....")}
    ends = np.cumsum(sizes, axis=1)
    for place, (kind, (colour, hatch)) in enumerate(kinds.items()):
        fill = {"facecolor": colour, "edgecolor": "0.15", "hatch": hatch, "linewidth": 0}
        _steps(panel, ends[:, place], ends[:, place] - sizes[:, place], fill, kind)
    panel.set(xlim=(0, None), xlabel="examples")
    panel.legend(ncols=3, **_above())


def _steps(
    panel: Any, end: np.ndarray, start: np.ndarray, fill: dict[str, Any], name: str | None
) -> None:
    """Draws the bars of all clients as one shape, so that a thousand take no longer than ten."""
    edges = np.arange(len(end) + 1) - 0.5
    panel.stairs(
        end, edges, baseline=start, orientation="horizontal", fill=True, label=name, **fill
    )


def _above() -> dict[str, Any]:
    """Places a legend above a panel."""
    return {
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1.0),
        "handlelength": 1.1,
        "handletextpad": 0.3,
        "columnspacing": 0.7,
        "borderpad": 0.1,
    }

"""Accuracy over rounds of one or more workdirs."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.analysis import curves, results
from experiments.analysis.results import METRICS, Arm, Record
from experiments.config import RunConfig
from hasa_jax.simulation.escapes import picture
from hasa_jax.simulation.writers import say


def accuracy_over_rounds(
    panels: Sequence[tuple[str, Sequence[Record]]], target: pathlib.Path
) -> None:
    """Draws mean, worst and tail test accuracy over rounds, with 95 % intervals over seeds.

    Args:
      panels: a title and records of summary.csv for each row of panels.
      target: the picture file.

    Raises:
      UserError: if matplotlib is missing.
    """
    figure = curves.new_figure(10, 3.2 * len(panels))
    axes = figure.subplots(len(panels), len(METRICS), squeeze=False, sharex=True)
    arms = list(dict.fromkeys(results.arm_of(r) for _, records in panels for r in records))
    look_of = curves.looks(arms)
    for row, (title, records) in zip(axes, panels, strict=True):
        for panel, metric in zip(row, METRICS, strict=True):
            for arm, by_round in _by_arm(records, f"{metric}_accuracy").items():
                values = [np.array(own) for own in by_round.values()]
                curves.draw_curve(panel, list(by_round), values, look_of[arm])
            panel.set_title(f"{metric} client\n{picture(title)}", fontsize=9)
            panel.set(xlabel="round", ylabel="test accuracy (%)")
            panel.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle("Shaded: 95 % intervals over seeds, cut at 0 and 100", fontsize=9)
    curves.add_legend(figure, results.labels_of(arms), look_of, columns=3)
    curves.save(figure, target)


def panels_of(found: Sequence[results.Results]) -> list[tuple[str, Sequence[Record]]]:
    """Gives the results of every group of workdirs a row of panels.

    Args:
      found: results that were merged.

    Returns:
      A title, which says what sets several rows apart, and records of summary.csv.
    """
    names = results.folder_names([own.folders[0] for own in found])
    panels = []
    for name, own in zip(names, found, strict=True):
        kinds = sorted({record["aggregation"] for record in own.summary})
        where = f", {name}" if len(found) > 1 else ""
        panels.append((f"{'/'.join(kinds)} aggregation{where}", own.summary))
    return panels


def report(config: RunConfig) -> None:
    """Draws workdirs into accuracy.png in the first of them.

    Workdirs that match but for seeds, policies and methods share a row of panels.

    Args:
      config: names the workdirs, with commas between them.

    Raises:
      UserError: if matplotlib is missing or a folder holds no results.
    """
    folders = results.folders_of(config.reporting.workdir)
    target = folders[0] / "accuracy.png"
    accuracy_over_rounds(panels_of(grouped(folders)), target)
    say(str(target))


def grouped(folders: Sequence[pathlib.Path]) -> list[results.Results]:
    """Merges the workdirs that differ in nothing but seeds, policies and methods.

    Args:
      folders: the workdirs.

    Returns:
      Results of each group of such workdirs, in their order.

    Raises:
      UserError: if a folder holds no results.
    """
    groups: list[list[results.Source]] = []
    for source in map(results.source_of, folders):
        group = next((own for own in groups if results.same_settings(own[0], source)), None)
        if group is None:
            groups.append([source])
        else:
            group.append(source)
    return [results.merge(group) for group in groups]


def _by_arm(records: Sequence[Record], column: str) -> dict[Arm, dict[int, list[float]]]:
    """Returns the percents of all seeds, means over their folds, by arm and round."""
    of_seeds: dict[tuple[Arm, int, int], list[float]] = collections.defaultdict(list)
    for record in records:
        place = (results.arm_of(record), int(record["round"]), int(record["seed"]))
        of_seeds[place].append(100 * float(record[column]))
    found: dict[Arm, dict[int, list[float]]] = {}
    for (arm, round, _), folds in of_seeds.items():
        found.setdefault(arm, {}).setdefault(round, []).append(float(np.mean(folds)))
    return {arm: dict(sorted(by_round.items())) for arm, by_round in found.items()}

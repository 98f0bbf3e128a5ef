"""Accuracy over rounds of one or more workdirs."""

from __future__ import annotations

import collections
import pathlib

import numpy as np

from experiments.analysis import tables
from experiments.config import RunConfig
from hasa_jax.base import UserError


def accuracy_over_rounds(folders: list[pathlib.Path], target: pathlib.Path) -> None:
    """Draws mean, worst and tail test accuracy over rounds, with 95 % intervals over seeds.

    Args:
      folders: workdirs; each has panels side by side.
      target: the picture file.

    Raises:
      UserError: if matplotlib is missing or a folder holds no results.
    """
    summaries = [
        tables.read_records(folder / "summary.csv", tables.SUMMARY_NUMBERS) for folder in folders
    ]
    try:
        from matplotlib.figure import Figure  # Without pyplot there is no display to need.
    except ImportError:
        raise UserError("plots need matplotlib: pip install 'hasa_jax[plots]'") from None
    figure = Figure(figsize=(10, 3.2 * len(folders)), layout="constrained")
    axes = figure.subplots(len(folders), len(tables.METRICS), squeeze=False, sharex=True)
    for panels, records in zip(axes, summaries, strict=True):
        for panel, metric in zip(panels, tables.METRICS, strict=True):
            curves = collections.defaultdict(lambda: collections.defaultdict(list))
            for record in records:
                value = 100 * float(record[f"{metric}_accuracy"])
                curves[" / ".join(tables.arm_of(record))][int(record["round"])].append(value)
            for arm, curve in curves.items():
                rounds = sorted(curve)
                means = np.array([np.mean(curve[r]) for r in rounds])
                halves = np.nan_to_num([tables.interval(np.array(curve[r])) for r in rounds])
                panel.plot(rounds, means, label=arm, marker=".")
                panel.fill_between(rounds, means - halves, means + halves, alpha=0.2)
            panel.set_title(f"{metric} client, {records[0]['aggregation']} aggregation")
            panel.set_xlabel("round")
            panel.xaxis.get_major_locator().set_params(integer=True)
        panels[0].set_ylabel("test accuracy (%)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
    figure.savefig(target, dpi=120)


def report(config: RunConfig) -> None:
    """Draws workdirs into accuracy.png in the first of them.

    Args:
      config: names the workdirs, with commas between them.

    Raises:
      UserError: if matplotlib is missing or a folder holds no results.
    """
    folders = [pathlib.Path(name) for name in config.reporting.workdir.split(",")]
    target = folders[0] / "accuracy.png"
    accuracy_over_rounds(folders, target)
    print(target)

"""Which client holds what: sizes, classes, and how far clients differ from each other."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Set

import jax
import numpy as np

from experiments.analysis.pictures import partition as partition_picture
from experiments.analysis.pictures import style
from experiments.analysis.rendering import markdown
from experiments.analysis.table import Cell, Table
from experiments.config import RunConfig
from experiments.study.block import blocks_of
from experiments.study.data import build_dataset
from experiments.study.unused import refuse_unused_of_data
from experiments.study.workdir import make_folder
from hasa_jax.allocation.scores.counts import label_counts
from hasa_jax.allocation.scores.entropy import entropy_of_counts
from hasa_jax.allocation.scores.excess_divergence import excess_of
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.writers import say

MOST_COLUMNS = 100
"""Classes that partition.csv has a column for; of more, such as words, it has none."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What the clients of a data set hold; labels are those of training.

    Attributes:
      names: of the clients.
      sizes: examples for training, validation and testing `[N, 3]`.
      counts: how often each client has each class `[N, K]`; words are classes of next-word data.
      divergence: HASA's score of each client `[N]`, in nats.
      excess: what it exceeds that of as many random examples of all clients by `[N]`, in nats.
      excess_z: the excess in standard deviations `[N]`; NaN where chance changes nothing.
      entropy: of each client's labels `[N]`, in nats.
      total_variation: half the absolute differences between the label distributions of each
        client and of all `[N]`.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    counts: np.ndarray
    divergence: np.ndarray
    excess: np.ndarray
    excess_z: np.ndarray
    entropy: np.ndarray
    total_variation: np.ndarray


def report_of(dataset: FederatedDataset, key: jax.Array) -> Report:
    """Counts and compares what clients hold.

    Args:
      dataset: of any kind.
      key: root key of the run; it is not consumed.

    Returns:
      The report.
    """
    counts, found = label_counts(dataset.train), excess_of(dataset.train, key)
    parts = (dataset.train, dataset.validation, dataset.test)
    return Report(
        names=dataset.client_names,
        sizes=np.stack([part.num_examples for part in parts], axis=1),
        counts=counts,
        divergence=found.divergence,
        excess=found.excess,
        excess_z=found.z,
        entropy=entropy_of_counts(counts),
        total_variation=total_variation(counts),
    )


def total_variation(counts: np.ndarray) -> np.ndarray:
    """Compares every client's label distribution with that of all.

    Args:
      counts: label counts `[N, K]`.

    Returns:
      Half the sum of absolute differences `[N]`, within [0, 1].
    """
    own = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    everyone = counts.sum(0) / max(counts.sum(), 1)
    return np.abs(own - everyone[None]).sum(1) / 2


def write_csv(report: Report, path: pathlib.Path) -> None:
    """Writes a record for each client.

    Args:
      report: what clients hold.
      path: the file, replaced if there.
    """
    count = report.counts.shape[1]
    columns = {
        "client": [escapes.csv_cell(name) for name in report.names],
        **dict(zip(("train", "validation", "test"), report.sizes.T.tolist(), strict=True)),
        "label_divergence": report.divergence.tolist(),
        "expected_divergence": (report.divergence - report.excess).tolist(),
        "excess_divergence": report.excess.tolist(),
        "excess_z": report.excess_z.tolist(),
        "label_entropy": report.entropy.tolist(),
        "total_variation": report.total_variation.tolist(),
        "classes": (report.counts > 0).sum(1).tolist(),
    }
    if count <= MOST_COLUMNS:
        columns |= {f"class_{label}": report.counts[:, label].tolist() for label in range(count)}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def summary(report: Report, title: str) -> str:
    """Describes a report.

    Args:
      report: what clients hold.
      title: what is described.

    Returns:
      Markdown: a heading, a line, and a table of the least, the middle and the most.
    """
    held = (report.counts > 0).sum(1)
    values = {
        "training examples": report.sizes[:, 0],
        "validation examples": report.sizes[:, 1],
        "test examples": report.sizes[:, 2],
        "classes held": held,
        "label entropy (nats)": report.entropy,
        "label divergence (nats)": report.divergence,
        "excess divergence (nats)": report.excess,
        "total variation": report.total_variation,
    }
    rows = tuple((Cell(name), *_spread(own)) for name, own in values.items())
    headers = ("of a client", "min", "median", "max", "mean")
    table = markdown.grid(Table("partition", "What clients hold", headers, rows))
    train, validation, test = report.sizes.sum(0)
    return (
        f"# {escapes.markdown(title)}\n\n{len(report.names)} clients, {report.counts.shape[1]} "
        f"classes, {train} training, {validation} validation and {test} test examples. Label "
        "divergence is HASA's score: Jensen-Shannon from the labels of all, smoothed by one; its "
        "excess is what is left without that of as many random examples of all clients. Total "
        f"variation is {report.total_variation.mean():.3f} on average.\n\n{table}\n"
    )


def _spread(values: np.ndarray) -> list[Cell]:
    """Makes cells of the least, the middle, the most and the mean; integers without decimals."""
    integers = values.dtype.kind in "iu"
    shown = [values.min(), np.median(values), values.max()]
    texts = [f"{v:.0f}" if integers and v == round(v) else f"{v:.3f}" for v in shown]
    texts.append(f"{values.mean():.1f}" if integers else f"{values.mean():.3f}")
    numbers = map(float, [*shown, values.mean()])
    return [Cell(text, number) for text, number in zip(texts, numbers, strict=True)]


def _title(config: RunConfig, given: Set[str]) -> str:
    """Names the data set, and how its examples are dealt out if it can be chosen."""
    data = config.data
    named = ("partition", "alpha", "classes_per_client", "heterogeneity")
    chosen = [f"{name}={getattr(data, name)}" for name in named if name in given]
    fold = [f"fold 1 of {data.eval_folds}"] if data.eval_folds else []
    return ", ".join([data.dataset, *chosen, f"seed={config.comparison.seed}", *fold])


def report(config: RunConfig, given: Set[str]) -> None:
    """Writes partition.csv, partition.md and partition.png into the workdir.

    Args:
      config: the data, the seed and the workdir.
      given: fields that the user gave.

    Raises:
      UserError: if the data or the workdir cannot be used, or matplotlib is missing.
    """
    if not config.reporting.workdir:
        raise UserError("partition_report writes a folder: name it with `workdir`")
    refuse_unused_of_data(config.data, given)
    block = blocks_of([config.comparison.seed], config.data.eval_folds)[0]
    found = report_of(build_dataset(config.data, given, *block), block.key)
    folder = pathlib.Path(config.reporting.workdir)
    make_folder(folder)
    title = _title(config, given)
    text = summary(found, title)
    write_csv(found, folder / "partition.csv")
    (folder / "partition.md").write_text(text, encoding="utf-8")
    say(text)
    # Last, so that all the rest is written without matplotlib.
    bars = partition_picture.Bars(found.names, found.sizes, found.counts, found.divergence)
    figure = partition_picture.figure_of(bars)
    for suffix in config.reporting.picture_formats:
        style.save(figure, folder / f"partition.{suffix}")
    say(str(folder))

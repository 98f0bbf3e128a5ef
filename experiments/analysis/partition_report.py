"""Who holds what: `python -m experiments.partition_report --dataset=... --partition=...`."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import numpy as np
import tabulate

from experiments import flags
from experiments.analysis import partition_picture
from experiments.study import data, unused, workdir
from hasa_jax import FederatedDataset, UserError
from hasa_jax.allocation.scores.counts import label_counts
from hasa_jax.allocation.scores.entropy import entropy_of_counts
from hasa_jax.allocation.scores.label_divergence import divergence_of_counts

MOST_COLUMNS = 100
"""Classes that partition.csv has a column for; of more, such as words, it has none."""

_ALPHA = 1.0  # Smoothing of the published score, as `label_divergence` has it.


@dataclasses.dataclass(frozen=True)
class Report:
    """What the clients of a data set hold; labels are those of training.

    Attributes:
      names: of the clients.
      sizes: examples for training, validation and testing `[N, 3]`.
      counts: how often each client has each class `[N, K]`; words are classes of next-word data.
      divergence: HASA's score of each client `[N]`, in nats.
      entropy: of each client's labels `[N]`, in nats.
      total_variation: half the absolute differences between the label distributions of each
        client and of all `[N]`.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    counts: np.ndarray
    divergence: np.ndarray
    entropy: np.ndarray
    total_variation: np.ndarray


def report_of(dataset: FederatedDataset) -> Report:
    """Counts and compares what clients hold.

    Args:
      dataset: of any kind.

    Returns:
      The report.
    """
    counts = label_counts(dataset.train)
    parts = (dataset.train, dataset.validation, dataset.test)
    return Report(
        names=dataset.client_names,
        sizes=np.stack([part.num_examples for part in parts], axis=1),
        counts=counts,
        divergence=divergence_of_counts(counts, _ALPHA),
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
    """Writes a row a client.

    Args:
      report: what clients hold.
      path: the file, replaced if there.
    """
    count = report.counts.shape[1]
    columns = {
        "client": report.names,
        **dict(zip(("train", "validation", "test"), report.sizes.T.tolist(), strict=True)),
        "label_divergence": report.divergence.tolist(),
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
    rows = {
        "training examples": report.sizes[:, 0],
        "validation examples": report.sizes[:, 1],
        "test examples": report.sizes[:, 2],
        "classes held": held,
        "label entropy (nats)": report.entropy,
        "label divergence (nats)": report.divergence,
        "total variation": report.total_variation,
    }
    table = tabulate.tabulate(
        [[name, *_five(values)] for name, values in rows.items()],
        headers=["of a client", "min", "median", "max", "mean"],
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", *["right"] * 4),
    )
    train, validation, test = report.sizes.sum(0)
    return (
        f"# {title}\n\n{len(report.names)} clients, {report.counts.shape[1]} classes, {train} "
        f"training, {validation} validation and {test} test examples. Label divergence is HASA's "
        "score: Jensen-Shannon from the labels of all, smoothed by one. Total variation is "
        f"{report.total_variation.mean():.3f} on average.\n\n{table}\n"
    )


def _five(values: np.ndarray) -> list[str]:
    """Shows the least, the middle, the most and the mean; whole numbers as such."""
    whole = values.dtype.kind in "iu"
    shown = [values.min(), np.median(values), values.max()]
    return [f"{v:.0f}" if whole and v == round(v) else f"{v:.3f}" for v in shown] + [
        f"{values.mean():.1f}" if whole else f"{values.mean():.3f}"
    ]


def _title() -> str:
    """Names the data set, and how it is dealt out if it can be chosen."""
    given = [
        f"{name}={flags.FLAGS[name].value}"
        for name in ("partition", "alpha", "classes_per_client", "heterogeneity")
        if flags.FLAGS[name].present
    ]
    return ", ".join([flags.FLAGS.dataset, *given, f"seed={flags.FLAGS.seed}"])


def main() -> None:
    """Writes partition.csv, partition.md and partition.png into `--workdir`."""
    if not flags.FLAGS.workdir:
        raise UserError("partition_report writes a folder: name it with --workdir")
    unused.refuse_unread_data_flags()
    report = report_of(data.build_dataset(flags.FLAGS.seed))
    folder = pathlib.Path(flags.FLAGS.workdir)
    workdir.make_folder(folder)
    title = _title()
    text = summary(report, title)
    write_csv(report, folder / "partition.csv")
    (folder / "partition.md").write_text(text, encoding="utf-8")
    print(text)
    # Last, so that who has no matplotlib has the rest.
    partition_picture.draw(
        partition_picture.Bars(report.names, report.sizes, report.counts, report.divergence, title),
        folder / "partition.png",
    )
    print(folder)

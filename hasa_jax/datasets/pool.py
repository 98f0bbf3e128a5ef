"""Examples before they are assigned to clients."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.paths import check_regular, shown


@dataclasses.dataclass(frozen=True)
class Pool:
    """All examples of a data set, as its files contain them.

    Attributes:
      inputs: images of bytes `[n, height, width, channels]`, or an object array of texts `[n]`.
      targets: class ids `[n]`, int32.
      is_test: whether the authors set an example apart for testing `[n]`, bool.
      classes: names of the classes.
      groups: position in `group_names` of each example's writer, source or domain `[n]`, int32;
        one group for all examples if the files name none.
      group_names: names of the groups.
      skips_small_groups: whether a client for each group leaves out groups that are too small.
      notes: what the reader left out, joined or guessed, with counts; one line each.
    """

    inputs: np.ndarray
    targets: np.ndarray
    is_test: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    group_names: tuple[str, ...] = ("all",)
    skips_small_groups: bool = False
    notes: tuple[str, ...] = ()

    @property
    def has_texts(self) -> bool:
        """Whether inputs are texts; they are images if not."""
        return self.inputs.dtype == object


def pooled(
    parts: list[tuple[np.ndarray, np.ndarray, bool]],
    classes: tuple[str, ...],
) -> Pool:
    """Joins parts of one data set without groups.

    Args:
      parts: inputs, class ids, and whether they are for testing.
      classes: names of the classes.

    Returns:
      The pool.
    """
    targets = np.concatenate([part[1] for part in parts]).astype(np.int32)
    return Pool(
        inputs=np.concatenate([part[0] for part in parts]),
        targets=targets,
        is_test=np.concatenate([np.full(len(part[1]), part[2]) for part in parts]),
        classes=classes,
        groups=np.zeros(len(targets), np.int32),
    )


def file_of(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """Returns the first of some files that exists.

    Args:
      folder: folder of the files.
      *names: names to try, in order.

    Returns:
      The path of the file.

    Raises:
      UserError: if none of them exists, or if it is no regular file or larger than the memory.
    """
    for name in names:
        path = folder / name
        check_regular(path)
        if path.is_file():
            check_memory(path.stat().st_size, shown(path))
            return path
    wanted = " or ".join(names)
    hint = "name the folder that has it with `data_dir`"
    for name in names:
        for below in (*folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")):
            hint = f"name {shown(below.parent)}, which has it, with `data_dir`"
    raise UserError(f"{shown(folder)} has no {wanted}: {hint}")


def check(path: pathlib.Path, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> None:
    """Checks that the examples and labels of a file match.

    Args:
      path: the file, for the message.
      inputs: examples of the file `[n, ...]`.
      targets: labels of the file `[n]`.
      num_classes: labels must be below it.

    Raises:
      UserError: if the numbers differ or are 0, or if a label is out of range.
    """
    if len(inputs) != len(targets) or not len(targets):
        raise UserError(
            f"{path} has {len(inputs)} examples and {len(targets)} labels: it is damaged or cut "
            "off, get it again"
        )
    if targets.min() < 0 or targets.max() >= num_classes:
        raise UserError(
            f"{path} has labels from {targets.min()} to {targets.max()}, of {num_classes} classes: "
            "it is damaged, get it again"
        )

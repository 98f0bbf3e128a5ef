"""Examples before they are dealt out to clients."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from hasa_jax.base import UserError


@dataclasses.dataclass(frozen=True)
class Pool:
    """All examples of a data set, as its files hold them.

    Attributes:
      inputs: images of bytes `[n, height, width, channels]`, or an object array of texts `[n]`.
      targets: class ids `[n]`, int32.
      is_test: which examples its authors set apart for testing `[n]`, bool.
      classes: names of the classes.
      groups: where each example comes from, as a position in `group_names` `[n]`, int32; one group
        for all if they tell no writers, sources or domains.
      group_names: names of the groups.
    """

    inputs: np.ndarray
    targets: np.ndarray
    is_test: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    group_names: tuple[str, ...] = ("all",)

    @property
    def holds_texts(self) -> bool:
        """Whether inputs are texts, not images."""
        return self.inputs.dtype == object


def pooled(
    parts: list[tuple[np.ndarray, np.ndarray, bool]],
    classes: tuple[str, ...],
) -> Pool:
    """Joins parts of one source.

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
    """Returns the first of some files that is there.

    Args:
      folder: where it should be.
      *names: names to try, in order.

    Returns:
      Its path.

    Raises:
      UserError: if none is there.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    wanted = " or ".join(names)
    raise UserError(f"{folder} has no {wanted}: name the folder that has it with --data_dir")


def check(path: pathlib.Path, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> None:
    """Refuses a file whose examples and labels do not fit together.

    Args:
      path: the file, for the message.
      inputs: its examples.
      targets: its labels.
      num_classes: labels are below it.

    Raises:
      UserError: saying what does not fit.
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

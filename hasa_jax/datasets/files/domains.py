"""Photographs and drawings of the same classes from several domains."""

from __future__ import annotations

import pathlib

import numpy as np

from hasa_jax.datasets.files.archive import arrays_of
from hasa_jax.datasets.pool import Pool, check, file_of


def pacs(data_dir: pathlib.Path) -> Pool:
    """Reads PACS (Li et al., ICCV 2017): art, cartoons, photos, sketches.

    Args:
      data_dir: has `pacs32.npz`; see `_domains`.

    Returns:
      Images of bytes `[n, 32, 32, 3]`, a group for each domain; none are set apart for testing.

    Raises:
      UserError: if the file is missing or damaged.
    """
    return _domains(file_of(data_dir, "pacs32.npz"))


def office_caltech10(data_dir: pathlib.Path) -> Pool:
    """Reads Office-Caltech-10 (Gong et al., CVPR 2012): Caltech, amazon, dslr, webcam.

    Args:
      data_dir: has `office_caltech10_32.npz`; see `_domains`.

    Returns:
      Images of bytes `[n, 32, 32, 3]`, a group for each domain; none are set apart for testing.

    Raises:
      UserError: if the file is missing or damaged.
    """
    return _domains(file_of(data_dir, "office_caltech10_32.npz"))


def _domains(path: pathlib.Path) -> Pool:
    """Reads images `x`, labels `y`, positions `domain` in `domains`, and names `classes`."""
    found = arrays_of(path, ("x", "y", "domain", "domains", "classes"))
    classes = tuple(str(name) for name in found["classes"])
    names = tuple(str(name) for name in found["domains"])
    check(path, found["x"], found["y"], len(classes))
    check(path, found["x"], found["domain"], len(names))
    return Pool(
        inputs=found["x"],
        targets=found["y"].astype(np.int32),
        is_test=np.zeros(len(found["y"]), bool),
        classes=classes,
        groups=found["domain"].astype(np.int32),
        group_names=names,
    )

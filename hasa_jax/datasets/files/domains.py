"""Images of the same classes from several domains: PACS and Office-Caltech-10."""

from __future__ import annotations

import pathlib
import sys

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import LABELS, NAMES, Kind, arrays_of
from hasa_jax.datasets.pool import Pool, check, file_of

_KINDS = {
    "x": Kind("bytes", (None, 32, 32, 3)),
    "y": LABELS,
    "domain": LABELS,
    "domains": NAMES,
    "classes": NAMES,
}


def pacs(data_dir: pathlib.Path) -> Pool:
    """Reads PACS (Li et al., ICCV 2017): art, cartoons, photos, sketches.

    Args:
      data_dir: folder of `pacs32.npz`: images of bytes `x` `[n, 32, 32, 3]`, labels
        `y` `[n]`, domains `domain` `[n]`, and the names of both, `classes` and `domains`.

    Returns:
      Images of bytes `[n, 32, 32, 3]`, with one group per domain and without a test set.

    Raises:
      UserError: if the file is missing or damaged.
    """
    return _domains(file_of(data_dir, "pacs32.npz"))


def office_caltech10(data_dir: pathlib.Path) -> Pool:
    """Reads Office-Caltech-10 (Gong et al., CVPR 2012): Caltech, amazon, dslr, webcam.

    Args:
      data_dir: folder of `office_caltech10_32.npz`: images of bytes `x` `[n, 32, 32, 3]`, labels
        `y` `[n]`, domains `domain` `[n]`, and the names of both, `classes` and `domains`.

    Returns:
      Images of bytes `[n, 32, 32, 3]`, with one group per domain and without a test set.

    Raises:
      UserError: if the file is missing or damaged.
    """
    return _domains(file_of(data_dir, "office_caltech10_32.npz"))


def _domains(path: pathlib.Path) -> Pool:
    """Reads images `x`, labels `y`, positions `domain` in `domains`, and names `classes`."""
    found = arrays_of(path, _KINDS)
    classes, names = (_names(path, found[which]) for which in ("classes", "domains"))
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


def _names(path: pathlib.Path, array: np.ndarray) -> tuple[str, ...]:
    """Returns names as texts; no name may occur twice."""
    codes = np.ascontiguousarray(array).view(f"{array.dtype.byteorder}u4")
    names: tuple[str, ...] = ()
    # Names with invalid characters could not be printed or written.
    if codes.max(initial=0) <= sys.maxunicode and not ((codes >= 0xD800) & (codes < 0xE000)).any():
        names = tuple(str(name) for name in array)
    if not names or len(set(names)) < len(names):
        raise UserError(f"{path} does not name its classes and domains: get it again")
    return names

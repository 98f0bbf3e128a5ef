"""MNIST-M: handwritten digits on photographs."""

from __future__ import annotations

import pathlib

from hasa_jax.datasets.files.archive import LABELS, Kind, arrays_of
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_IMAGES = Kind("bytes", (None, 32, 32, 3))


def mnist_m(data_dir: pathlib.Path) -> Pool:
    """Reads MNIST-M (Ganin et al., JMLR 2016).

    Args:
      data_dir: folder of `mnist_m.npz` or, without it, `mnist_m_small.npz`: bytes `x_train` and
        `x_test` `[n, 32, 32, 3]`, labels `y_train` and `y_test` `[n]`.

    Returns:
      Images of bytes `[n, 32, 32, 3]`.

    Raises:
      UserError: if the file is missing or damaged.
    """
    path, parts = file_of(data_dir, "mnist_m.npz", "mnist_m_small.npz"), []
    for name in ("train", "test"):
        found = arrays_of(path, {f"x_{name}": _IMAGES, f"y_{name}": LABELS})
        inputs, targets = found[f"x_{name}"], found[f"y_{name}"]
        check(path, inputs, targets, len(DIGITS))
        parts.append((inputs, targets, name == "test"))
    return pooled(parts, DIGITS)

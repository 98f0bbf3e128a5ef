"""Handwritten digits in IDX files."""

from __future__ import annotations

import gzip
import pathlib
import zlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_KIND_BYTES = 8
_PARTS = (("train", False), ("t10k", True))


def mnist(data_dir: pathlib.Path) -> Pool:
    """Reads the four files of MNIST, or of a data set in its form, such as Fashion-MNIST.

    Args:
      data_dir: has `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same of `t10k`, as
        they are or with `.gz`.

    Returns:
      Images of bytes `[n, 28, 28, 1]`.

    Raises:
      UserError: if a file is missing or damaged.
    """
    parts = []
    for name, is_test in _PARTS:
        images, labels = f"{name}-images-idx3-ubyte", f"{name}-labels-idx1-ubyte"
        inputs = _read(file_of(data_dir, images, f"{images}.gz"), 3)
        path = file_of(data_dir, labels, f"{labels}.gz")
        targets = _read(path, 1)
        check(path, inputs, targets, len(DIGITS))
        parts.append((inputs[..., None], targets, is_test))
    return pooled(parts, DIGITS)


def _read(path: pathlib.Path, ndim: int) -> np.ndarray:
    """Reads an IDX file of bytes: a magic number, the shape in 32-bit words, the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): get it again") from None
    head = 4 * (1 + ndim)
    if content[:4] != bytes([0, 0, _KIND_BYTES, ndim]) or len(content) < head:
        raise UserError(f"{path} is no IDX file of {ndim} dimensions of bytes: get it again")
    shape = tuple(int(n) for n in np.frombuffer(content[4:head], ">u4"))
    if len(content) - head != int(np.prod(shape, dtype=object)):
        raise UserError(
            f"{path} has {len(content) - head} values where its shape is {shape}: it is damaged or "
            "cut off, get it again"
        )
    return np.frombuffer(content[head:], np.uint8).reshape(shape)

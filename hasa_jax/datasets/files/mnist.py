"""MNIST: handwritten digits in IDX files."""

from __future__ import annotations

import gzip
import math
import pathlib
import struct

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import DAMAGE, check_size
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_KIND_BYTES = 8
_SIDE = 28
_PARTS = (("train", False), ("t10k", True))


def mnist(data_dir: pathlib.Path) -> Pool:
    """Reads the four files of MNIST, or of a data set in its format, such as Fashion-MNIST.

    Args:
      data_dir: folder of `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same for
        `t10k`, with or without `.gz`.

    Returns:
      Images of bytes `[n, 28, 28, 1]`.

    Raises:
      UserError: if a file is missing or damaged.
    """
    parts = []
    for name, is_test in _PARTS:
        images, labels = f"{name}-images-idx3-ubyte", f"{name}-labels-idx1-ubyte"
        inputs = _read(file_of(data_dir, images, f"{images}.gz"), (_SIDE, _SIDE))
        path = file_of(data_dir, labels, f"{labels}.gz")
        targets = _read(path, ())
        check(path, inputs, targets, len(DIGITS))
        parts.append((inputs[..., None], targets, is_test))
    return pooled(parts, DIGITS)


def _read(path: pathlib.Path, inner: tuple[int, ...]) -> np.ndarray:
    """Reads an IDX file of bytes: a magic number, the shape in 32-bit words, the values."""
    ndim = 1 + len(inner)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic, words = file.read(4), file.read(4 * ndim)
            if magic != bytes([0, 0, _KIND_BYTES, ndim]) or len(words) < 4 * ndim:
                raise UserError(
                    f"{path} is not an IDX file of {ndim} dimensions of bytes: get it again"
                )
            shape = struct.unpack(f">{ndim}I", words)
            count = math.prod(shape)
            check_size(path, count)
            # One more byte: gzip compares its checksum at the end of the file.
            content = file.read(count + 1)
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): get it again") from None
    if len(content) != count:
        raise UserError(
            f"{path} does not have the {count} values of its shape {shape}: it is damaged or cut "
            "off, get it again"
        )
    if shape[1:] != inner:
        raise UserError(
            f"{path} has images of {shape[1:]} pixels, not of {inner}: use files in the format of "
            "MNIST"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)

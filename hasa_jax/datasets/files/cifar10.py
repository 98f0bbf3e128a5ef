"""CIFAR-10: the Python batches of its authors, or lossless WebP mosaics."""

from __future__ import annotations

import io
import itertools
import pathlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import arrays_of
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE
_BINARY = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


def cifar10(data_dir: pathlib.Path) -> Pool:
    """Reads CIFAR-10 (Krizhevsky, 2009).

    Args:
      data_dir: has the binary version of its authors, `data_batch_1.bin` to `data_batch_5.bin` and
        `test_batch.bin`; or `train_*.npz` and `test.npz` of lossless WebP mosaics (`webp` bytes,
        `offsets` of the mosaics, labels `y`), which need Pillow (the data extra).

    Returns:
      Images of bytes `[n, 32, 32, 3]`.

    Raises:
      UserError: if a file is missing or damaged.
    """
    if any((data_dir / name).exists() for name in _BINARY):
        paths = [file_of(data_dir, name) for name in _BINARY]
        parts = [(*_binary(path), path.stem == "test_batch") for path in paths]
    else:
        paths = [*sorted(data_dir.glob("train_*.npz")), file_of(data_dir, "test.npz")]
        parts = [(*_mosaics(path), path.stem == "test") for path in paths]
    for path, (inputs, targets, _) in zip(paths, parts, strict=True):
        check(path, inputs, targets, len(CLASSES))
    return pooled(parts, CLASSES)


def _binary(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a label and three planes of bytes for each image."""
    content = np.fromfile(path, np.uint8)
    if len(content) % _RECORD:
        raise UserError(f"{path} ends within an image: it is damaged or cut off, get it again")
    rows = content.reshape(-1, _RECORD)
    images = rows[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0]


def _mosaics(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Cuts images out of mosaics of 32 a row, filled up with zeros."""
    try:
        from PIL import Image  # The extra is optional, so only its user pays for it.
    except ImportError:
        raise UserError(f"{path} needs Pillow: pip install 'hasa_jax[data]'") from None
    found = arrays_of(path, ("webp", "offsets", "y"))
    content, offsets, images = found["webp"].tobytes(), found["offsets"], []
    for start, end in itertools.pairwise(offsets):
        try:
            mosaic = np.asarray(Image.open(io.BytesIO(content[start:end]), formats=["WEBP"]))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}): get it again") from None
        tiles = mosaic.reshape(mosaic.shape[0] // _SIDE, _SIDE, -1, _SIDE, 3)
        images.append(tiles.transpose(0, 2, 1, 3, 4).reshape(-1, _SIDE, _SIDE, 3))
    return np.concatenate(images)[: len(found["y"])], found["y"]

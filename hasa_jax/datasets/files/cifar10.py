"""CIFAR-10: the binary batches of its authors, or lossless WebP mosaics."""

from __future__ import annotations

import io
import itertools
import pathlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import DAMAGE, LABELS, Kind, arrays_of
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.paths import shown
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
_PICKLED = "cifar-10-batches-py"
_MOSAICS = {"webp": Kind("bytes"), "offsets": LABELS, "y": LABELS}


def cifar10(data_dir: pathlib.Path) -> Pool:
    """Reads CIFAR-10 (Krizhevsky, 2009).

    Args:
      data_dir: folder of the authors' binary files, `data_batch_1.bin` to `data_batch_5.bin` and
        `test_batch.bin`; or of `train_0.npz`, `train_1.npz` and so on, and `test.npz`. The npz
        files contain lossless WebP mosaics, which need Pillow (the data extra): bytes `webp`, the
        start of each mosaic and the end of the last one `offsets`, and labels `y`.

    Returns:
      Images of bytes `[n, 32, 32, 3]`.

    Raises:
      UserError: if a file is missing or damaged, or if the folder has the pickled version.
    """
    _refuse_pickles(data_dir)
    if any((data_dir / name).exists() for name in _BINARY):
        paths = [file_of(data_dir, name) for name in _BINARY]
        parts = [(*_binary(path), path.stem == "test_batch") for path in paths]
    else:
        paths = [*_numbered(data_dir), file_of(data_dir, "test.npz")]
        parts = [(*_mosaics(path), path.stem == "test") for path in paths]
    for path, (inputs, targets, _) in zip(paths, parts, strict=True):
        check(path, inputs, targets, len(CLASSES))
    return pooled(parts, CLASSES)


def _refuse_pickles(folder: pathlib.Path) -> None:
    """Refuses the version for Python, unless a version that is read is beside it."""
    if any((folder / name).exists() for name in (*_BINARY, "train_0.npz")):
        return
    for place in (folder, folder / _PICKLED):
        if (place / "data_batch_1").exists():
            raise UserError(
                f"{shown(place)} has the pickled version of CIFAR-10, which is never read, because "
                "a pickle can run code: get the binary version, cifar-10-binary.tar.gz, and name "
                "its folder with `data_dir`; or turn the pickles into it by the lines of "
                "docs/data.md, section 'CIFAR-10 from pickles'"
            )


def _binary(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the label and the three colour planes of each image."""
    content = np.fromfile(path, np.uint8)
    if len(content) % _RECORD:
        raise UserError(f"{path} ends within an image: it is damaged or cut off, get it again")
    images_and_labels = content.reshape(-1, _RECORD)
    images = images_and_labels[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), images_and_labels[:, 0]


def _numbered(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns `train_0.npz`, `train_1.npz` and so on, without gaps."""
    count = len(list(folder.glob("train_*.npz")))
    if not count:
        file_of(folder, _BINARY[0], "train_0.npz")  # Neither exists: the message names both.
    return [file_of(folder, f"train_{number}.npz") for number in range(count)]


def _mosaics(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Cuts images out of mosaics that are 32 images wide and filled up with zeros."""
    try:
        from PIL import Image  # The package is optional, so it is imported only here.
    except ImportError:
        raise UserError(f"{path} needs Pillow: pip install 'hasa_jax[data]'") from None
    found = arrays_of(path, _MOSAICS)
    content, offsets, labels = found["webp"].tobytes(), found["offsets"].tolist(), found["y"]
    if offsets != sorted(offsets) or [*offsets[:1], *offsets[-1:]] != [0, len(content)]:
        raise UserError(f"{path} has mosaics with wrong offsets: it is damaged, get it again")
    images, lines_left = [np.zeros((0, _SIDE, _SIDE, 3), np.uint8)], -(-len(labels) // _SIDE)
    for start, end in itertools.pairwise(offsets):
        width, height = _size(content[start:end])
        lines_left -= height // _SIDE
        # This check comes before decoding: no image is decoded that has no label.
        if width != _SIDE**2 or height % _SIDE or lines_left < 0:
            raise UserError(
                f"{path} has a mosaic of {width} x {height} pixels, which does not fit its "
                f"{len(labels)} labels: it is damaged or another file, get it again"
            )
        try:
            with Image.open(io.BytesIO(content[start:end]), formats=["WEBP"]) as file:
                tiles = np.asarray(file).reshape(-1, _SIDE, _SIDE, _SIDE, 3)
        except DAMAGE as error:
            raise UserError(f"{path} is damaged ({one_line(error)}): get it again") from None
        images.append(tiles.transpose(0, 2, 1, 3, 4).reshape(-1, _SIDE, _SIDE, 3))
    return np.concatenate(images)[: len(labels)], labels


def _size(webp: bytes) -> tuple[int, int]:
    """Returns width and height of a plain lossless WebP file; zeros for other files."""
    head = webp[:25]
    if len(head) < 25 or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8L" or head[20] != 0x2F:
        return 0, 0
    bits = int.from_bytes(head[21:25], "little")
    return 1 + bits % 2**14, 1 + (bits >> 14) % 2**14

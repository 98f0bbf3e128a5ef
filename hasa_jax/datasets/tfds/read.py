"""From prepared files to a pool."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.pool import Pool, pooled
from hasa_jax.datasets.tfds import cached
from hasa_jax.datasets.tfds.columns import Columns, columns
from hasa_jax.datasets.tfds.names import PREFIX, refuse_odd, told
from hasa_jax.datasets.tfds.prepare import FORMAT, needs, prepared

_BLOCK = 1024


def tfds(name: str, data_dir: pathlib.Path) -> Pool:
    """Reads a data set of TensorFlow Datasets; needs the data extra.

    Splits `train` and `test` are read, others are not; without `test`, nothing is set apart. What
    the folder does not have is downloaded and prepared there, which mostly needs TensorFlow (the
    prepare extra). Reading does not, and happens once: `data_dir/hasa_jax` keeps the arrays.

    Args:
      name: such as `mnist`, `emnist/letters` or `mnist:3.0.1`.
      data_dir: folder of all data sets of TensorFlow Datasets.

    Returns:
      Images of bytes `[n, height, width, channels]`, or texts `[n]`, several of one example joined
      by spaces in the order of the data set's code.

    Raises:
      UserError: if the data set is not known, cannot be prepared, or is not of this kind.

    References:
      https://www.tensorflow.org/datasets, and /datasets/data_source for reading without TensorFlow.
    """
    refuse_odd(name)
    data_dir = data_dir.expanduser()
    path = cached.place(data_dir, name)
    found = cached.load(path, cached.fingerprint(data_dir, name))
    if found is not None:
        return found
    builder = prepared(name, data_dir)
    own = cached.fingerprint(data_dir, name)
    pool = _pool(name, builder)
    cached.save(path, own, pool)
    return pool


def _pool(name: str, builder: Any) -> Pool:
    """Reads both splits of a prepared data set."""
    wanted = columns(name, builder)
    counts = {split: info.num_examples for split, info in builder.info.splits.items()}
    if not counts.get("train"):
        raise UserError(
            f"{PREFIX}{name} has no split train with examples, only {', '.join(counts) or 'none'}: "
            "choose a data set that is made to learn from"
        )
    parts = []
    for split in ("train", "test"):
        if counts.get(split):
            inputs, labels = _part(name, builder, split, wanted)
            if labels.min() < 0:
                raise UserError(
                    f"{PREFIX}{name} has no labels for some examples of its split {split}: choose "
                    "a data set whose labels are published"
                )
            parts.append((inputs, labels, split == "test"))
    if len({part[0].shape[1:] for part in parts}) > 1:
        raise UserError(_unequal(name, *(part[0].shape[1:] for part in parts)))
    return pooled(parts, wanted.classes)


def _part(name: str, builder: Any, split: str, wanted: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split."""
    try:
        source = builder.as_data_source(split, file_format=FORMAT)
        return _read(name, source, wanted)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(needs(name, error)) from error
    except Exception as error:  # Records, protocol buffers and pictures: each raises its own.
        raise UserError(
            f"files of {PREFIX}{name} in {builder.data_dir} are damaged or cut off "
            f"({told(error)}): remove that folder and run again, to prepare them anew"
        ) from error


def _read(name: str, source: Any, wanted: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Reads inputs and labels, straight into arrays of all."""
    count, inputs = len(source), np.empty(len(source), object)
    labels = np.empty(count, np.int32)
    for start in range(0, count, _BLOCK):
        rows = range(start, min(start + _BLOCK, count))
        for row, example in zip(rows, source.__getitems__(rows), strict=True):
            # A file that is cut off can yield None, which is no number, and has no `decode`.
            labels[row] = example[wanted.label]
            if not wanted.is_image:
                inputs[row] = " ".join(example[key].decode() for key in wanted.inputs)
                continue
            image = example[wanted.inputs[0]]
            if row == 0:
                inputs = np.empty((count, *image.shape), np.uint8)
            if image.shape != inputs.shape[1:]:
                raise UserError(_unequal(name, inputs.shape[1:], image.shape))
            inputs[row] = image
    return inputs, labels


def _unequal(name: str, first: tuple[int, ...], other: tuple[int, ...]) -> str:
    """Says that images differ in size."""
    sizes = " and ".join("x".join(map(str, shape)) for shape in (first, other))
    return (
        f"{PREFIX}{name} has images of several sizes, such as {sizes}: choose a data set of one "
        "size, or give resized copies with --dataset=npz"
    )

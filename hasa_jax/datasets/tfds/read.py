"""From prepared files of TensorFlow Datasets to a pool."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.paths import path_of
from hasa_jax.datasets.pool import Pool, pooled
from hasa_jax.datasets.tfds import cached
from hasa_jax.datasets.tfds.columns import Columns, columns
from hasa_jax.datasets.tfds.gate import check_files, no_foreign_code
from hasa_jax.datasets.tfds.names import PREFIX, check_name, short_message
from hasa_jax.datasets.tfds.prepare import FORMAT, missing_package, prepared

_BLOCK = 1024


def tfds(name: str, data_dir: pathlib.Path) -> Pool:
    """Reads a data set of TensorFlow Datasets; needs the data extra.

    The splits `train` and `test` are read; other splits are not. A data set that is not in the
    folder is downloaded and prepared there. Most data sets need TensorFlow for this (the prepare
    extra). Reading does not need TensorFlow. It happens only once: `data_dir/hasa_jax` then
    contains the arrays. Nothing in the folder is imported or run: only the feature classes of
    TensorFlow Datasets itself are known.

    Args:
      name: such as `mnist`, `emnist/letters` or `mnist:3.0.1`.
      data_dir: folder of all data sets of TensorFlow Datasets.

    Returns:
      Images of bytes `[n, height, width, channels]`, or texts `[n]`. Several texts of one example
      are joined by spaces in the order of the data set's code.

    Raises:
      UserError: if there is no such data set, if it cannot be prepared, or if it has no images or
        texts with class labels.

    References:
      https://www.tensorflow.org/datasets, and /datasets/data_source for reading without TensorFlow.
    """
    check_name(name)
    data_dir = path_of(data_dir)
    check_files(data_dir / name.partition(":")[0].partition("/")[0])
    path = cached.path_of(data_dir, name)
    found = cached.load(path, cached.fingerprint(data_dir, name))
    if found is not None:
        return found
    with no_foreign_code(data_dir):
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
            "choose a data set with a split for training"
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
        raise UserError(missing_package(name, error)) from error
    except Exception as error:  # Decoders of records, protocol buffers and images differ.
        raise UserError(
            f"files of {PREFIX}{name} in {builder.data_dir} are damaged or cut off "
            f"({short_message(error)}): remove that folder and run again, to prepare them again"
        ) from error


def _read(name: str, source: Any, wanted: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Reads inputs and labels into arrays of their final size."""
    count, inputs = len(source), np.empty(len(source), object)
    labels = np.empty(count, np.int32)
    for start in range(0, count, _BLOCK):
        indices = range(start, min(start + _BLOCK, count))
        for index, example in zip(indices, source.__getitems__(indices), strict=True):
            # A file that is cut off can give None for an example; each use of it then raises.
            labels[index] = example[wanted.label]
            if not wanted.is_image:
                inputs[index] = " ".join(example[key].decode() for key in wanted.inputs)
                continue
            image = example[wanted.inputs[0]]
            if index == 0:
                inputs = np.empty((count, *image.shape), np.uint8)
            if image.shape != inputs.shape[1:]:
                raise UserError(_unequal(name, inputs.shape[1:], image.shape))
            inputs[index] = image
    return inputs, labels


def _unequal(name: str, first: tuple[int, ...], other: tuple[int, ...]) -> str:
    """Writes the message for images of different sizes."""
    sizes = " and ".join("x".join(map(str, shape)) for shape in (first, other))
    return (
        f"{PREFIX}{name} has images of several sizes, such as {sizes}: choose a data set of one "
        "size, or save resized copies in an npz file and read it as data set npz"
    )

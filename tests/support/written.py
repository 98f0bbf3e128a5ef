"""Small files in all layouts that the readers accept, and the pools that are in them."""

import contextlib
import functools
import gzip
import io
import pathlib
import pickle
import struct
import tempfile
import tracemalloc
import types
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from hasa_jax import UserError
from hasa_jax.datasets.files import READERS
from hasa_jax.datasets.files.cifar10 import CLASSES
from hasa_jax.datasets.images import resized
from hasa_jax.datasets.pool import Pool

TRAIN, TEST = 70, 40
MOST_MEMORY = 100 * 2**20
"""Memory in bytes that the reading of one such file may take, with any damage."""
DIGITS = tuple("0123456789")


def drawn(generator, count, *shape):
    """Draws images of bytes; every class occurs."""
    labels = generator.permutation(np.arange(count) % 10).astype(np.uint8)
    return generator.integers(0, 256, (count, *shape), np.uint8), labels


def pool_of(parts, classes=DIGITS):
    """Joins parts of `(images, labels)`; the last part is for testing."""
    images, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Pool(
        inputs=images,
        targets=labels.astype(np.int32),
        is_test=np.arange(len(labels)) >= len(labels) - len(parts[-1][1]),
        classes=classes,
        groups=np.zeros(len(labels), np.int32),
    )


def idx(values):
    """The header of an IDX file of bytes."""
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)


def mnist(folder, generator, packed=False):
    parts = [drawn(generator, count, 28, 28, 1) for count in (TRAIN, TEST)]
    for name, (images, labels) in zip(("train", "t10k"), parts, strict=True):
        for kind, values in (("images-idx3", images[..., 0]), ("labels-idx1", labels)):
            content = idx(values) + values.tobytes()
            if packed:
                content = gzip.compress(content, mtime=0)
            (folder / f"{name}-{kind}-ubyte{'.gz' * packed}").write_bytes(content)
    return pool_of(parts)


def mnist_m(folder, generator):
    parts = [drawn(generator, count, 32, 32, 3) for count in (TRAIN, TEST)]
    (x, y), (x_test, y_test) = parts
    np.savez_compressed(folder / "mnist_m.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return pool_of(parts)


def usps(folder, generator):
    parts = [drawn(generator, count, 16, 16, 1) for count in (TRAIN, TEST)]
    with h5py.File(folder / "usps.h5", "w") as file:
        for name, (images, labels) in zip(("train", "test"), parts, strict=True):
            pixels = images.reshape(len(images), 256).astype(np.float32)
            file[f"{name}/data"] = pixels / np.float32(255)
            file[f"{name}/target"] = labels.astype(np.int32)
    return pool_of(parts)


def optdigits(folder, generator, comment=""):
    parts = []
    for end, count in (("tra", TRAIN - 30), ("hol", 30), ("tes", TEST)):
        counts = generator.integers(0, 17, (count, 64))
        labels = generator.permutation(np.arange(count) % 10)
        lines = [
            ",".join(map(str, [*row, label])) for row, label in zip(counts, labels, strict=True)
        ]
        (folder / f"optdigits.{end}").write_text(comment + "\n".join(lines) + "\n")
        # 255 / 16 times a count; halves are rounded to even, as in 8 * 255 / 16 = 127.5.
        grey = np.array([round(255 * n / 16) for n in range(17)], np.uint8)[counts]
        parts.append((grey.reshape(-1, 8, 8, 1), labels))
    return pool_of(parts)


def cifar10(folder, generator):
    """Writes the binary batches of the authors."""
    parts = [drawn(generator, count, 32, 32, 3) for count in (*[TRAIN // 5] * 5, TEST)]
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, (images, labels) in zip(names, parts, strict=True):
        records = [
            bytes([label]) + b"".join(image[..., colour].tobytes() for colour in range(3))
            for image, label in zip(images, labels, strict=True)
        ]
        (folder / f"{name}.bin").write_bytes(b"".join(records))
    return pool_of(parts, CLASSES)


class _Python2Pickler(pickle._Pickler):
    """Writes bytes as the strings of Python 2."""

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch = types.MappingProxyType(pickle._Pickler.dispatch | {bytes: save_bytes})


def pickled_by_python_2(value):
    """What Python 2 and the NumPy of its time write of bytes, numbers, lists, dicts and arrays."""
    file = io.BytesIO()
    _Python2Pickler(file, 2).dump(value)
    return file.getvalue().replace(b"numpy._core", b"numpy.core")


def mosaic(images):
    """A lossless WebP file of images of 32 x 32 pixels, 32 images wide."""
    height = -(-len(images) // 32)
    canvas = np.zeros((32 * height, 1024, 3), np.uint8)
    for number, image in enumerate(images):
        y, x = 32 * (number // 32), 32 * (number % 32)
        canvas[y : y + 32, x : x + 32] = image
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()


def mosaics(images, labels, each=32):
    """The arrays of a file of mosaics."""
    parts = [mosaic(images[start : start + each]) for start in range(0, len(images), each)]
    return {
        "webp": np.frombuffer(b"".join(parts), np.uint8),
        "offsets": np.cumsum([0, *map(len, parts)]),
        "y": labels,
    }


def cifar10_mosaics(folder, generator):
    # Noise packs badly; flat colours keep these files small.
    def flat(count):
        images, labels = drawn(generator, count, 1, 1, 3)
        images = np.tile(images, (1, 32, 32, 1))
        images[:, :4, :6, 1] ^= 128  # Marks the top left corner.
        return images, labels

    parts = [flat(TRAIN - 30), flat(30), flat(TEST)]
    for name, part in zip(("train_0", "train_1", "test"), parts, strict=True):
        np.savez(folder / f"{name}.npz", **mosaics(*part))
    return pool_of(parts, CLASSES)


def domains(folder, generator, file_name, classes):
    count = TRAIN + TEST
    images, labels = drawn(generator, count, 32, 32, 3)
    labels, domain = labels % len(classes), np.arange(count, dtype=np.uint8) % 3
    names = ("drawing", "painting", "photo")
    np.savez_compressed(
        folder / file_name, x=images, y=labels, domain=domain, domains=names, classes=classes
    )
    return Pool(
        images,
        labels.astype(np.int32),
        np.zeros(count, bool),
        classes,
        domain.astype(np.int32),
        names,
    )


pacs = functools.partial(domains, file_name="pacs32.npz", classes=("cat", "dog", "house"))
office_caltech10 = functools.partial(
    domains, file_name="office_caltech10_32.npz", classes=("bike", "mouse", "mug")
)


def digits_domains(folder, generator):
    writers = {"mnist": mnist, "mnist_m": mnist_m, "usps": usps, "optdigits": optdigits}
    pools = []
    for name, write in writers.items():
        (folder / name).mkdir()
        pools.append(write(folder / name, generator))
    inputs = [np.tile(pool.inputs, (1, 1, 1, 3 // pool.inputs.shape[-1])) for pool in pools]
    return Pool(
        inputs=np.concatenate([resized(images, 16) for images in inputs]),
        targets=np.concatenate([pool.targets for pool in pools]),
        is_test=np.concatenate([pool.is_test for pool in pools]),
        classes=DIGITS,
        groups=np.repeat(np.arange(4, dtype=np.int32), TRAIN + TEST),
        group_names=tuple(writers),
    )


LAYOUTS = {
    "cifar10": ("cifar10", cifar10),
    "cifar10 mosaics": ("cifar10", cifar10_mosaics),
    "digits_domains": ("digits_domains", digits_domains),
    "mnist": ("mnist", mnist),
    "mnist gz": ("mnist", functools.partial(mnist, packed=True)),
    "mnist_m": ("mnist_m", mnist_m),
    "office_caltech10": ("office_caltech10", office_caltech10),
    "optdigits": ("optdigits", optdigits),
    "optdigits comment": (
        "optdigits",
        functools.partial(optdigits, comment="# the last digit is the class code\n"),
    ),
    "pacs": ("pacs", pacs),
    "usps": ("usps", usps),
}
"""Reader and writer of every layout; a writer fills a folder and returns its pool."""


def write(layout, folder, seed=0):
    """Fills a folder.

    Args:
      layout: one of `LAYOUTS`.
      folder: an empty folder.
      seed: of the random contents.

    Returns:
      The reader, and the pool that it must return.
    """
    name, writer = LAYOUTS[layout]
    return READERS[name], writer(folder, np.random.default_rng(seed))


@functools.cache
def files(layout):
    """Returns the content of every file of a layout, by name, and the pool in the files."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _, pool = write(layout, folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, pool


def copied(layout, folder):
    """Writes the files of a layout to a folder; returns the folder and the reader."""
    for name, content in files(layout)[0].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder, READERS[LAYOUTS[layout][0]]


def repacked(content, change):
    """Returns an npz file with changed entries and correct checksums.

    Args:
      content: an npz file.
      change: `(name, bytes of an entry) -> new bytes`.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, change(entry, old.read(entry)))
    return target.getvalue()


def changed(file_name, **changes):
    """Returns a function that changes arrays of an npz file in a folder.

    Args:
      file_name: name of the file.
      **changes: new array, or a function of the old one, by name; None removes the array.
    """

    def change_file(folder):
        with np.load(folder / file_name) as file:
            arrays = {name: file[name] for name in file.files}
        for name, change in changes.items():
            arrays[name] = change(arrays[name]) if callable(change) else change
        np.savez(folder / file_name, **{n: a for n, a in arrays.items() if a is not None})

    return change_file


def with_last_label(label):
    """Returns a function that replaces the last label of an array."""
    return lambda labels: np.array([*labels[:-1], label])


def assert_equal_pools(found, expected):
    """Asserts that two pools have the same arrays and names."""
    for name in ("inputs", "targets", "is_test", "groups"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert (found.classes, found.group_names) == (expected.classes, expected.group_names)


@contextlib.contextmanager
def little_memory(limit=MOST_MEMORY):
    """Asserts that less than `limit` bytes are allocated at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def assert_refused(read, folder, *words):
    """Asserts that a reader refuses a folder in one line with these words."""
    with pytest.raises(UserError) as caught:
        read(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message

"""Mosaics and binary batches that do not match, and the order of mosaics."""

import io

import numpy as np
import pytest
from PIL import Image

from hasa_jax.datasets.files.cifar10 import cifar10
from tests.support import written
from tests.support.written import assert_refused, changed, copied, with_last_label


def with_arrays(**changes):
    """Changes arrays of the first file of mosaics, which has mosaics of 32 and of 8 images."""
    return changed("train_0.npz", **changes)


def without_the_second_mosaic(folder):
    with np.load(folder / "train_0.npz") as file:
        end, offsets, labels = file["offsets"][1], file["offsets"][:2], file["y"]
        np.savez(folder / "train_0.npz", webp=file["webp"][:end], offsets=offsets, y=labels)


def with_first_mosaic(change):
    """Replaces the bytes of the first mosaic."""

    def change_file(folder):
        with np.load(folder / "train_0.npz") as file:
            webp, end, labels = file["webp"], file["offsets"][1], file["y"]
        parts = [change(webp[:end].tobytes()), webp[end:].tobytes()]
        webp = np.frombuffer(b"".join(parts), np.uint8)
        offsets = np.cumsum([0, *map(len, parts)])
        np.savez(folder / "train_0.npz", webp=webp, offsets=offsets, y=labels)

    return change_file


def picture(kind, size=(1024, 32), colour=(255, 0, 0), **options):
    """A picture file of one colour."""
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, kind, **options)
    return file.getvalue()


def of_size(width, height):
    """Changes the size in the header of a WebP file."""

    def change(content):
        bits = (width - 1) + ((height - 1) << 14)
        return content[:21] + bits.to_bytes(4, "little") + content[25:]

    return change


def with_blank_pixels(content):
    """Overwrites the packed pixels, but not the header."""
    return content[:40] + bytes(len(content) - 40)


WRONG = {
    "offsets beyond the end": (with_arrays(offsets=lambda o: o + (o == o[-1])), "wrong offsets"),
    "offsets below 0": (with_arrays(offsets=lambda o: o - [1, 0, 0]), "wrong offsets"),
    "offsets that fall": (with_arrays(offsets=lambda o: o[[0, 2, 1, 2]]), "wrong offsets"),
    "offsets that start late": (with_arrays(offsets=lambda o: o[1:]), "wrong offsets"),
    "no offsets": (with_arrays(offsets=lambda o: o[:0]), "wrong offsets"),
    "fractions for offsets": (with_arrays(offsets=lambda o: o / 1), "not n integers"),
    "an empty mosaic": (with_arrays(offsets=lambda o: o[[0, 1, 1, 2]]), "0 x 0 pixels"),
    "a mosaic too few": (without_the_second_mosaic, "32 examples and 40 labels"),
    "a mosaic too many": (with_arrays(y=lambda y: y[:32]), "does not fit its 32 labels"),
    "more labels": (with_arrays(y=lambda y: np.resize(y, 65)), "64 examples and 65 labels"),
    "no labels": (with_arrays(y=lambda y: y[:0]), "does not fit its 0 labels"),
    "a label too high": (with_arrays(y=with_last_label(10)), "labels from 0 to 10"),
    "damaged pixels": (with_first_mosaic(with_blank_pixels), "is damaged"),
    "a bomb": (with_first_mosaic(of_size(16384, 16384)), "16384 x 16384 pixels"),
    "a high bomb": (with_first_mosaic(of_size(1024, 16384)), "1024 x 16384 pixels"),
    "half an image": (with_first_mosaic(of_size(1024, 48)), "1024 x 48 pixels"),
    "a narrow mosaic": (
        with_first_mosaic(lambda _: picture("WEBP", (512, 32), lossless=True)),
        "512 x 32 pixels",
    ),
    "transparent": (
        with_first_mosaic(lambda _: picture("WEBP", colour=(255, 0, 0, 9), lossless=True)),
        "train_0.npz",
    ),
    "a lossy mosaic": (with_first_mosaic(lambda _: picture("WEBP")), "0 x 0 pixels"),
    "another format": (with_first_mosaic(lambda _: picture("PNG")), "0 x 0 pixels"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_mosaics_are_refused(case, tmp_path):
    change, expected = WRONG[case]
    folder, read = copied("cifar10 mosaics", tmp_path)
    change(folder)
    with written.little_memory():
        assert_refused(read, folder, expected, "train_0.npz")


@pytest.mark.parametrize("number", [0, 1])
def test_files_of_mosaics_are_numbered_without_gaps(number, tmp_path):
    folder, read = copied("cifar10 mosaics", tmp_path)
    (folder / f"train_{number}.npz").rename(folder / "train_2.npz")
    assert_refused(read, folder, f"has no train_{number}.npz")


def test_files_for_training_are_needed(tmp_path):
    folder, read = copied("cifar10 mosaics", tmp_path)
    for number in range(2):
        (folder / f"train_{number}.npz").unlink()
    assert_refused(read, folder, "data_batch_1.bin or train_0.npz")


def test_more_than_nine_files_of_mosaics_are_in_the_order_of_their_numbers(tmp_path):
    images, labels = written.drawn(np.random.default_rng(0), 13, 1, 1, 3)
    images = np.tile(images, (1, 32, 32, 1))
    for number in range(12):
        part = written.mosaics(images[number : number + 1], labels[number : number + 1])
        np.savez(tmp_path / f"train_{number}.npz", **part)
    np.savez(tmp_path / "test.npz", **written.mosaics(images[12:], labels[12:]))
    np.testing.assert_array_equal(cifar10(tmp_path).inputs, images)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "0 examples and 0 labels"),
        (bytes(3072), "ends within an image"),
        (bytes(3073) + b"\x0a" + bytes(3072), "labels from 0 to 10"),
    ],
)
def test_wrong_batches_are_refused(content, expected, tmp_path):
    folder, read = copied("cifar10", tmp_path)
    (folder / "data_batch_3.bin").write_bytes(content)
    assert_refused(read, folder, expected, "data_batch_3.bin")


@pytest.mark.parametrize("place", [".", "cifar-10-batches-py"])
def test_the_pickled_version_is_named_and_not_read(place, tmp_path):
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    words = (str(folder), "pickled version", "never read", "cifar-10-binary.tar.gz", "`data_dir`")
    words = (*words, "docs/data.md", "CIFAR-10 from pickles")
    written.assert_refused(cifar10, tmp_path, *words)
    _, pool = written.write("cifar10", tmp_path)
    written.assert_equal_pools(cifar10(tmp_path), pool)


def test_a_folder_below_is_suggested(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    read, _ = written.write("mnist", folder)
    written.assert_refused(read, tmp_path, f"name {folder}, which has it, with `data_dir`")

"""Readers give back what is in the files: the published ones, and small ones of each layout."""

import hashlib

import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.files import READERS
from tests.support import written

# Shape, and images of each class for training and for testing: of MNIST, USPS, optdigits and
# CIFAR-10 as they are published. Of MNIST-M it is the part of 10,000 and 2,000; digits_domains is
# the sum of four. PACS and Office-Caltech-10 have no images set apart; their domains, below, are as
# published. The SHA-256 hash is of all that is read, and was taken when these counts were right.
PUBLISHED = {
    "cifar10": (
        (32, 32, 3),
        [5000] * 10,
        [1000] * 10,
        "fe0e3eb6b5ed9e9798d0b08d6ce2ac2b4cd6195562ddcf5ccb734c2dbd3a4916",
    ),
    "digits_domains": (
        (16, 16, 3),
        [8494, 9263, 8060, 8210, 7861, 7216, 7973, 8367, 7717, 7953],
        [1692, 1815, 1626, 1566, 1580, 1413, 1487, 1559, 1506, 1560],
        "afb2060791c3f9f0c7e30d32c523203f598636fe9276cd626e9af1d3a2264e81",
    ),
    "mnist": (
        (28, 28, 1),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        "25cf9455630cb77fe031181724550fe2a9cc840ec42e50f57fc8b5201436907e",
    ),
    "mnist_m": (
        (32, 32, 3),
        [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978],
        [175, 234, 219, 207, 217, 179, 178, 205, 192, 194],
        "2e0e9bc45b420e1d3486af881a70008f22608bb8621a077ba555b17bda2405fe",
    ),
    "office_caltech10": (
        (32, 32, 3),
        [284, 234, 237, 277, 222, 282, 297, 236, 216, 248],
        [0] * 10,
        "046e6030b8a229d658885d4ffa24f60d148f4aafdad0a532d1b0a31ea7044eb5",
    ),
    "optdigits": (
        (8, 8, 1),
        [376, 389, 380, 389, 387, 376, 377, 387, 380, 382],
        [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
        "bd0d913d9a307c8741c5d4fa0a9c964cb29ea5fbc5686abd100a4bbf822189cc",
    ),
    "pacs": (
        (32, 32, 3),
        [1729, 1654, 1566, 1113, 1540, 943, 1446],
        [0] * 7,
        "c8f87ef604ace448e2f5674a39a306a94cefbbf71a5ddf8b11eca9979ea1f040",
    ),
    "usps": (
        (16, 16, 1),
        [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
        [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
        "2e19fd97b7e2ced2cb0e33d7e66efdcac278ac371a366f26ab0cb95d1ffb6612",
    ),
}
GROUPS = {
    "digits_domains": {"mnist": 70000, "mnist_m": 12000, "usps": 9298, "optdigits": 5620},
    "office_caltech10": {"Caltech": 1123, "amazon": 958, "dslr": 157, "webcam": 295},
    "pacs": {"art_painting": 2048, "cartoon": 2344, "photo": 1670, "sketch": 3929},
}


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def real(request, data_dir):
    """A reader's name, and what it reads from the published files."""
    folder = data_dir if request.param == "digits_domains" else data_dir / request.param
    return request.param, READERS[request.param](folder)


def test_published_counts(real):
    name, pool = real
    shape, train, test, _ = PUBLISHED[name]
    assert pool.inputs.shape == (sum(train) + sum(test), *shape)
    assert (pool.inputs.dtype, pool.targets.dtype, pool.is_test.dtype, pool.groups.dtype) == (
        np.uint8,
        np.int32,
        bool,
        np.int32,
    )
    for is_test, expected in ((False, train), (True, test)):
        counts = np.bincount(pool.targets[pool.is_test == is_test], minlength=len(pool.classes))
        assert counts.tolist() == expected
    groups = GROUPS.get(name, {"all": len(pool.targets)})
    assert dict(zip(pool.group_names, np.bincount(pool.groups).tolist(), strict=True)) == groups


def test_published_bytes(real):
    name, pool = real
    digest = hashlib.sha256()
    for array in (pool.inputs, pool.targets, pool.is_test, pool.groups):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest() == PUBLISHED[name][-1]


def same(found, expected):
    for name in ("inputs", "targets", "is_test", "groups"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert (found.classes, found.group_names) == (expected.classes, expected.group_names)


@pytest.mark.parametrize("layout", sorted(written.LAYOUTS))
def test_what_was_written_is_read(layout, tmp_path):
    read, pool = written.write(layout, tmp_path)
    same(read(tmp_path), pool)


def test_every_reader_has_a_layout():
    # Texts and the user's own files have tests of their own.
    images = set(READERS) - {"ag_news", "csv", "image_folder"}
    assert {name for name, _ in written.LAYOUTS.values()} == images == set(PUBLISHED)


def test_files_that_are_not_packed_come_first(tmp_path):
    read, pool = written.write("mnist", tmp_path)
    written.write("mnist gz", tmp_path, seed=1)
    same(read(tmp_path), pool)


def test_the_whole_mnist_m_comes_before_its_small_part(tmp_path):
    read, _ = written.write("mnist_m", tmp_path, seed=1)
    (tmp_path / "mnist_m.npz").rename(tmp_path / "mnist_m_small.npz")
    small = read(tmp_path)
    _, pool = written.write("mnist_m", tmp_path)
    same(read(tmp_path), pool)
    assert not np.array_equal(small.inputs, pool.inputs)


def test_more_than_nine_files_of_mosaics_are_in_the_order_of_their_numbers(tmp_path):
    images, labels = written.drawn(np.random.default_rng(0), 13, 1, 1, 3)
    images = np.tile(images, (1, 32, 32, 1))
    for number in range(12):
        part = written.mosaics(images[number : number + 1], labels[number : number + 1])
        np.savez(tmp_path / f"train_{number}.npz", **part)
    np.savez(tmp_path / "test.npz", **written.mosaics(images[12:], labels[12:]))
    np.testing.assert_array_equal(READERS["cifar10"](tmp_path).inputs, images)


def test_labels_of_any_whole_numbers_and_arrays_by_columns_are_read(tmp_path):
    read, pool = written.write("pacs", tmp_path)
    np.savez(
        tmp_path / "pacs32.npz",
        x=np.asfortranarray(pool.inputs),
        y=pool.targets.astype(">i8"),
        domain=pool.groups.astype(np.int8),
        domains=pool.group_names,
        classes=pool.classes,
    )
    same(read(tmp_path), pool)


@pytest.mark.parametrize("layout", sorted(written.LAYOUTS))
def test_an_empty_folder_is_told(layout, tmp_path):
    name, _ = written.LAYOUTS[layout]
    with pytest.raises(UserError, match="--data_dir"):
        READERS[name](tmp_path)

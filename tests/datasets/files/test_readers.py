"""Readers return what is in the files: the published files, and small files of each layout."""

import functools
import hashlib
import importlib

import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.files import READERS
from tests.support import written

# Shape, number of training and test images of each class, and SHA-256 hash of the pool. The numbers
# of MNIST, USPS, optdigits and CIFAR-10 are the published ones. MNIST-M is the part with 10,000 and
# 2,000 images; digits_domains is the sum of four. PACS and Office-Caltech-10 have no test set; the
# numbers of their domains, below, are the published ones.
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


def assert_published(name, pool):
    shape, train, test, expected = PUBLISHED[name]
    assert pool.inputs.shape == (sum(train) + sum(test), *shape)
    for is_test, of_classes in ((False, train), (True, test)):
        counts = np.bincount(pool.targets[pool.is_test == is_test], minlength=len(pool.classes))
        assert counts.tolist() == of_classes
    groups = GROUPS.get(name, {"all": len(pool.targets)})
    assert dict(zip(pool.group_names, np.bincount(pool.groups).tolist(), strict=True)) == groups
    digest = hashlib.sha256()
    for array in (pool.inputs, pool.targets, pool.is_test, pool.groups):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    assert digest.hexdigest() == expected


@pytest.mark.parametrize("name", ["cifar10", "office_caltech10", "pacs"])
def test_published_images(name, data_dir):
    assert_published(name, READERS[name](data_dir / name))


def test_published_digits(data_dir, monkeypatch):
    """digits_domains reads four data sets; the pool of each is checked on the way."""

    def checked(folder, name, read):
        pool = read(folder)
        assert_published(name, pool)
        return pool

    sets = importlib.import_module("hasa_jax.datasets.files.digits_domains")._SETS
    assert {*sets, "digits_domains", "cifar10", *GROUPS} == set(PUBLISHED)
    for name, read in list(sets.items()):
        monkeypatch.setitem(sets, name, functools.partial(checked, name=name, read=read))
    assert_published("digits_domains", READERS["digits_domains"](data_dir))


@pytest.mark.parametrize("layout", sorted(written.LAYOUTS))
def test_small_files(layout, tmp_path):
    read, pool = written.write(layout, tmp_path)
    written.assert_equal_pools(read(tmp_path), pool)


def test_every_reader_of_published_images_has_a_layout():
    # Readers of texts and of the user's own files have tests of their own.
    images = set(READERS) - {"ag_news", "csv", "image_folder"}
    assert {name for name, _ in written.LAYOUTS.values()} == images == set(PUBLISHED)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_an_empty_folder_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="name the folder that has it with `data_dir`"):
        READERS[name](tmp_path)

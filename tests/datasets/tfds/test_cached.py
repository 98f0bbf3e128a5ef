"""Saved arrays: read instead of the prepared files, and only if they are intact and of these."""

import errno
import shutil
import sys

import numpy as np
import pytest

from hasa_jax.datasets.tfds import tfds
from tests.support import prepared
from tests.support.prepared import counted, images, shapes
from tests.support.written import assert_equal_pools


def test_saved_arrays_are_read_without_tfds(folder, monkeypatch):
    first = tfds("shapes", folder)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert_equal_pools(first, tfds("shapes", folder))
    assert [p.name for p in (folder / "hasa_jax").iterdir()] == ["shapes.npz"]


def test_damaged_arrays_are_written_again(folder):
    first, path = tfds("shapes", folder), folder / "hasa_jax" / "shapes.npz"
    content = path.read_bytes()
    for damaged in (
        content[: len(content) // 2],
        content[:700] + bytes(64) + content[764:],
        b"",
        b"PK\x03\x04",
    ):
        path.write_bytes(damaged)
        assert_equal_pools(first, tfds("shapes", folder))
        assert path.read_bytes() == content


def test_objects_are_not_unpickled(folder):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    first, path = tfds("shapes", folder), folder / "hasa_jax" / "shapes.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "images": np.array([Bomb()] * len(first.targets))})
    assert_equal_pools(first, tfds("shapes", folder))


def test_arrays_of_other_prepared_files_are_not_read(folder):
    tfds("shapes", folder)
    shutil.rmtree(folder / "shapes")
    prepared.prepare(folder, {"train": shapes(7, seed=5)})
    pool = tfds("shapes", folder)
    assert counted(pool.inputs, pool.targets) == counted(*images(7, seed=5))


def test_a_folder_that_cannot_be_written_is_left_as_it_is(folder):
    """A file in place of the folder keeps even root from writing."""
    first = tfds("shapes", folder)
    shutil.rmtree(folder / "hasa_jax")
    (folder / "hasa_jax").write_text("mine", encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(folder.rglob("*"))
    assert_equal_pools(first, tfds("shapes", folder))
    assert sorted(folder.rglob("*")) == before
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)


def test_a_full_disk_leaves_no_part_of_a_file(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    tfds("shapes", folder)
    assert list((folder / "hasa_jax").iterdir()) == []

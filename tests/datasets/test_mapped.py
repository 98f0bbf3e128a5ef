"""Inputs that stay in their file: what is not needed is not read, and numbers are the same."""

import sys

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import fingerprint, npz
from hasa_jax.datasets.mapped import Mapped
from tests.support.population import CLASSES, EXAMPLES, write_population
from tests.support.written import little_memory

MODULE = sys.modules["hasa_jax.datasets.npz"]
KEY = jax.random.key(0)
SPLITS = ("train", "validation", "test")


def read(path, monkeypatch, mapped=True):
    monkeypatch.setattr(MODULE, "_READ", 0 if mapped else 2**40)
    return npz(KEY, data_path=path)


def saved(folder, **changes):
    """A file of 40 shuffled examples of 4 clients."""
    generator = np.random.default_rng(0)
    arrays = {
        "inputs": generator.standard_normal((40, 3)),
        "targets": generator.integers(0, 3, 40),
        "clients": generator.permutation(np.arange(40) % 4),
    }
    np.savez(folder / "a.npz", **(arrays | changes))
    return folder / "a.npz"


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i8", "<f2", "<f4", ">f8"])
def test_mapped_inputs_are_those_that_are_read(tmp_path, monkeypatch, dtype):
    values = np.random.default_rng(1).integers(0, 200, (40, 3, 2)).astype(dtype)
    path = saved(tmp_path, inputs=values)
    mapped, known = (read(path, monkeypatch, mapped) for mapped in (True, False))
    assert mapped.client_names == known.client_names
    for split in SPLITS:
        own, other = getattr(mapped, split), getattr(known, split)
        assert isinstance(own.inputs, Mapped)
        assert own.inputs.dtype == other.inputs.dtype
        assert own.inputs.shape == other.inputs.shape
        assert own.inputs.ndim == 3
        assert len(own.inputs) == len(other.inputs)
        np.testing.assert_array_equal(np.asarray(own.inputs), other.inputs)
        np.testing.assert_array_equal(own.inputs[1:3], other.inputs[1:3])
        np.testing.assert_array_equal(own.inputs[np.array([2, 0])], other.inputs[[2, 0]])
        np.testing.assert_array_equal(own.targets, other.targets)
        np.testing.assert_array_equal(own.offsets, other.offsets)
    assert mapped.notes == (
        "40 inputs stay in the file, where rounds read and check those that they need",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": np.asfortranarray(np.ones((40, 3)))},
        {"inputs": np.ones((40, 3), bool)},
    ],
)
def test_inputs_that_cannot_be_mapped_are_read(tmp_path, monkeypatch, change):
    data = read(saved(tmp_path, **change), monkeypatch)
    assert isinstance(data.train.inputs, np.ndarray)
    assert not data.notes


def test_compressed_inputs_are_read(tmp_path, monkeypatch):
    path = saved(tmp_path)
    with np.load(path) as arrays:
        np.savez_compressed(tmp_path / "b.npz", **arrays)
    packed = read(tmp_path / "b.npz", monkeypatch)
    assert fingerprint(packed) == fingerprint(read(path, monkeypatch, mapped=False))


def test_bad_numbers_are_found_where_they_are_read(tmp_path, monkeypatch):
    inputs = np.ones((40, 3))
    inputs[[7, 9], 1] = np.nan, np.inf
    data = read(saved(tmp_path, inputs=inputs), monkeypatch)
    with pytest.raises(UserError, match=r"example [79] of .*a.npz has inputs that are not finite"):
        np.concatenate([np.asarray(getattr(data, split).inputs) for split in SPLITS])
    where = data.train.inputs.indices
    good = np.flatnonzero(~np.isin(where, [7, 9]))
    assert (data.train.inputs[good] == 1).all()
    large = read(saved(tmp_path, inputs=np.full((40, 3), 2**40)), monkeypatch)
    with pytest.raises(UserError, match="do not fit int32"):
        large.train.inputs[:1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.arange(40) % 3 - 1}, "targets of client '0' go from -1 to 1"),
        ({"clients": np.arange(40) // 39}, "client '1' has 1 examples"),
        ({"targets": np.eye(3, dtype=int)[np.arange(40) % 3]}, "targets are one-hot"),
        ({"targets": np.zeros((40, 5), int)}, r"have shape \(10, 5\)"),
    ],
)
def test_other_arrays_are_checked_at_once(tmp_path, monkeypatch, change, message):
    messages = []
    path = saved(tmp_path, **change)
    for mapped in (True, False):
        with pytest.raises(UserError, match=message) as caught:
            read(path, monkeypatch, mapped)
        messages.append(str(caught.value))


def test_the_hash_of_mapped_inputs_reads_none(tmp_path, monkeypatch):
    path = saved(tmp_path)
    first = fingerprint(read(path, monkeypatch))

    def never(self, places):
        raise AssertionError("inputs were read")

    with monkeypatch.context() as patched:
        patched.setattr(Mapped, "_read", never)
        assert fingerprint(read(path, monkeypatch)) == first
    with np.load(path) as arrays:
        changed = {**arrays, "inputs": arrays["inputs"] + 1}
    np.savez(path, **changed)
    assert fingerprint(read(path, monkeypatch)) != first


def test_a_file_that_is_cut_off_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="not an npz file"):
        read(path, monkeypatch)


@pytest.mark.parametrize("named", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_hundred_thousand_clients_take_little_memory(tmp_path, monkeypatch, named):
    """Some numbers for each example; the inputs, 25 MB, are not read."""
    path = write_population(tmp_path / "a.npz", 100_000, named=named)
    text = 4 * 12 * EXAMPLES * 100_000 if named else 0
    with little_memory(100 * EXAMPLES * 100_000 + 2 * text):
        data = read(path, monkeypatch)
    assert data.train.num_clients == len(data.client_names) == 100_000
    assert data.train.num_classes == CLASSES
    assert (data.train.num_examples == EXAMPLES - 2).all()
    assert (data.test.num_examples == 1).all()
    with np.load(path) as arrays:
        for client in (0, 99_999):
            own = data.train.inputs[data.train.offsets[client] : data.train.offsets[client + 1]]
            all_own = arrays["inputs"][client * EXAMPLES : (client + 1) * EXAMPLES]
            assert all((line == all_own).all(axis=1).any() for line in own)

"""Examples from an npz file; no code in the file is run."""

import io
import math
import pickle
import zipfile

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasa_jax import UserError
from hasa_jax.datasets import memory, npz
from tests.support.written import little_memory

INDICES = np.arange(30)
KEY = jax.random.key(0)


def save(path, **changes):
    arrays = {
        "inputs": np.arange(30 * 4, dtype=np.float32).reshape(30, 2, 2),
        "targets": INDICES % 3,
        "clients": np.where(INDICES % 2, "south", "north"),
    }
    np.savez(path, **{name: a for name, a in (arrays | changes).items() if a is not None})
    return path


def test_every_example_is_with_its_client(tmp_path):
    dataset = npz(KEY, data_path=save(tmp_path / "a.npz"))
    assert dataset.client_names == ("north", "south")
    assert dataset.train.num_classes == 3
    splits = (dataset.train, dataset.validation, dataset.test)
    for client in range(2):
        seen = [
            split.inputs[split.offsets[client] : split.offsets[client + 1], 0, 0]
            for split in splits
        ]
        assert sorted(np.concatenate(seen) // 4) == list(INDICES[client::2])


def test_arrays_of_other_lengths_are_refused(tmp_path):
    with pytest.raises(UserError, match="need one entry for each example"):
        npz(KEY, data_path=save(tmp_path / "a.npz", targets=INDICES[:9]))
    np.save(tmp_path / "one.npy", INDICES)
    with pytest.raises(UserError, match="has a single array: save inputs, targets, clients"):
        npz(KEY, data_path=tmp_path / "one.npy")


@pytest.mark.parametrize("clients", [INDICES % 3, (INDICES % 3).astype("S2")])
def test_clients_are_numbers_or_bytes_too(clients, tmp_path):
    path = save(tmp_path / "a.npz", clients=clients)
    assert npz(KEY, data_path=path).client_names == ("0", "1", "2")


def test_names_that_are_not_utf8_are_refused(tmp_path):
    clients = np.where(INDICES % 2, b"\xff", b"\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        npz(KEY, data_path=save(tmp_path / "a.npz", clients=clients))


def test_bytes_are_pixels(tmp_path):
    pixels = np.full((30, 2, 2), 51, np.uint8)
    dataset = npz(KEY, data_path=save(tmp_path / "a.npz", inputs=pixels))
    assert dataset.train.inputs.dtype == np.float32
    np.testing.assert_allclose(dataset.train.inputs, 0.2)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_objects_are_refused_and_not_run(tmp_path):
    trapped = tmp_path / "it ran"
    objects = np.array([Trap(trapped)] * 30, dtype=object)
    path = save(tmp_path / "a.npz", clients=objects)
    with pytest.raises(UserError, match="without objects"):
        npz(KEY, data_path=path)
    bare = tmp_path / "bare.npz"
    bare.write_bytes(pickle.dumps(Trap(trapped)))
    with pytest.raises(UserError, match="without objects"):
        npz(KEY, data_path=bare)
    assert not trapped.exists()


def test_names_in_the_archive_are_not_paths(tmp_path):
    """Entries are read by name, and never written."""
    path = save(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../escaped.npy", b"out")
    npz(KEY, data_path=path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert not (tmp_path.parent / "escaped.npy").exists()


def zeros(path, shape, rows=300, level=9):
    """An npz file whose inputs are packed zeros, made without the memory for them."""
    np.savez_compressed(
        path,
        targets=np.arange(rows) % 3,
        clients=np.arange(rows) % 2,
    )
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    block = bytes(2**20)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=level) as archive,
        archive.open("inputs.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(header.getvalue())
        left = 4 * math.prod(shape)
        while left:
            entry.write(block[:left])
            left -= min(left, len(block))
    return path


def test_a_bomb_is_refused_before_it_unpacks(tmp_path):
    path = zeros(tmp_path / "a.npz", (300, 1 << 18))
    assert path.stat().st_size < 2**21
    with (
        little_memory(2**23),
        pytest.raises(UserError, match=r"array inputs .* that unpack to 3145"),
    ):
        npz(KEY, data_path=path)


@pytest.mark.parametrize("shape", [(300, 2**60), (300, -4), (2**40,), (300, 2, 2**31)])
def test_headers_that_name_other_values_take_no_memory(tmp_path, shape):
    path = save(tmp_path / "a.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("inputs.npy", header.getvalue() + bytes(480))
    with little_memory(2**23), pytest.raises(UserError, match="values of its shape"):
        npz(KEY, data_path=path)


def test_small_arrays_may_pack_well(tmp_path):
    path = zeros(tmp_path / "a.npz", (300, 100))
    assert npz(KEY, data_path=path).train.inputs.shape[1:] == (100,)


def test_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_available_memory", lambda: 20_000)
    path = save(tmp_path / "a.npz", inputs=np.zeros((30, 300)))
    with pytest.raises(UserError, match=r"needs 0.2 MiB of memory"):
        npz(KEY, data_path=path)


@pytest.mark.parametrize("largest", [10**7, 10**9, 2**31, 2**62])
def test_labels_far_above_the_rows_are_refused(tmp_path, largest):
    path = save(tmp_path / "a.npz", targets=np.where(INDICES == 3, largest, INDICES % 3))
    with little_memory(2**23), pytest.raises(UserError, match=str(largest)):
        npz(KEY, data_path=path)


def test_inputs_without_features_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"of shape \(15, 0\): give numbers"):
        npz(KEY, data_path=save(tmp_path / "a.npz", inputs=np.zeros((30, 0))))


def test_equal_numbers_and_equal_names_are_one_client(tmp_path):
    numbers = npz(KEY, data_path=save(tmp_path / "a.npz", clients=INDICES % 3 / 1))
    assert numbers.client_names == ("0", "1", "2")
    clients = np.array(["1", "1.0", "cafe\u0301", "caf\u00e9", "caf\u00e9\u200b"] * 6)
    data = npz(KEY, data_path=save(tmp_path / "b.npz", clients=clients))
    assert data.client_names == ("1", "caf\u00e9")
    assert data.notes[0].startswith("3 spellings of clients were joined with others: '1.0' is '1'")
    huge = np.where(INDICES % 2, 2.0**60, 1.0)
    with pytest.raises(UserError, match="an integer or a text"):
        npz(KEY, data_path=save(tmp_path / "c.npz", clients=huge))


def test_names_of_no_valid_characters_are_refused(tmp_path):
    clients = np.array([0xD800 + i % 2 for i in range(30)], np.uint32).view("U1")
    with pytest.raises(UserError, match="UTF-8"):
        npz(KEY, data_path=save(tmp_path / "a.npz", clients=clients))


dtypes = st.sampled_from(
    ["i1", "i8", "u1", "u8", "f2", "f4", "f8", "?", "<U3", "S3", "c8", "M8[s]"]
)
layouts = st.sampled_from([(30,), (30, 1), (30, 2), (30, 3), (1, 30), (30, 1, 1), ()])
values = st.sampled_from([(0, 1), (0, 1, 2), (-1, 1), (1, 2), (0, 0.5), (-2, 0), (0, 300), (7,)])


@given(dtype=dtypes, layout=layouts, of=values, fortran=st.booleans(), order=st.sampled_from("<>"))
@settings(max_examples=150, deadline=None)
def test_labels_are_read_as_they_are_or_refused(
    tmp_path_factory, dtype, layout, of, fortran, order
):
    """Any type, layout and values: the same labels, or one line; never other ones."""
    cycle = np.resize(np.array(of), math.prod(layout)).reshape(layout)
    with np.errstate(all="ignore"):
        labels = np.array(cycle).astype(np.dtype(dtype).newbyteorder(order))
    labels = np.asfortranarray(labels) if fortran else labels
    path = tmp_path_factory.getbasetemp() / "labels.npz"
    inputs = np.arange(30.0).reshape(30, 1)
    save(path, targets=labels, inputs=inputs, clients=INDICES // 15)
    try:
        data = npz(KEY, data_path=path)
    except UserError:
        plain = labels.dtype.kind in "iu" and labels.shape in ((30,), (30, 1))
        assert not plain or labels.min() < 0
        return
    expected = labels.astype(np.float64).reshape(30)
    for split in (data.train, data.validation, data.test):
        indices = np.asarray(split.inputs)[:, 0].astype(int)
        assert np.array_equal(expected[indices], split.targets)
    assert data.train.num_classes == expected.max() + 1

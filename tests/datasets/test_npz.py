"""Examples from an npz file; no code in the file is run."""

import pickle
import zipfile

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import npz

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

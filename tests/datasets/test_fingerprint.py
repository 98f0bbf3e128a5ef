import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import ClientData, FederatedDataset
from hasa_jax.datasets.fingerprint import fingerprint


def small():
    part = ClientData(
        np.arange(6, dtype=np.float32).reshape(3, 2),
        np.array([0, 1, 0], np.int32),
        np.array([0, 1, 3], np.int32),
        num_classes=2,
    )
    return FederatedDataset(part, part, part, ("a", "b"))


def test_equal_data_equal_hash():
    assert fingerprint(small()) == fingerprint(small())
    assert len(fingerprint(small())) == 64


def test_host_and_device_arrays_have_one_hash():
    data = small()
    part = data.test.replace(inputs=jnp.asarray(data.test.inputs))
    assert fingerprint(dataclasses.replace(data, test=part)) == fingerprint(data)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_part_counts(split):
    data = small()
    for change in (
        {"inputs": np.arange(1, 7, dtype=np.float32).reshape(3, 2)},
        {"inputs": np.arange(6, dtype=np.float32).reshape(3, 2, 1)},
        {"inputs": np.arange(6, dtype=np.int32).reshape(3, 2)},
        {"targets": np.array([0, 1, 1], np.int32)},
        {"offsets": np.array([0, 2, 3], np.int32)},
        {"num_classes": 3},
    ):
        changed = dataclasses.replace(data, **{split: getattr(data, split).replace(**change)})
        assert fingerprint(changed) != fingerprint(data)


def test_names_count():
    data = small()
    assert fingerprint(dataclasses.replace(data, client_names=("b", "a"))) != fingerprint(data)

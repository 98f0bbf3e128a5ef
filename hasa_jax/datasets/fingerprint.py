"""A hash of a dataset: two runs with the same hash saw the same data."""

from __future__ import annotations

import hashlib

import numpy as np

from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.mapped import Mapped


def fingerprint(dataset: FederatedDataset) -> str:
    """Hashes the examples of a dataset and their assignment to clients.

    Args:
      dataset: arrays on the host or on a device.

    Returns:
      SHA-256 in hexadecimal of the client names and, for every split, the number of classes
      and the dtype, shape and bytes of every array. Inputs that stay in their file count by its own
      checksum of them and by which of them there are, so they are not read.
    """
    digest = hashlib.sha256(repr(dataset.client_names).encode())
    for data in (dataset.train, dataset.validation, dataset.test):
        digest.update(repr(data.num_classes).encode())
        for array in (data.inputs, data.targets, data.offsets):
            if isinstance(array, Mapped):
                digest.update(array.checksum.encode())
                array = array.indices
            array = np.asarray(array)
            # Dtype and shape also mark the start of each array: other arrays give other bytes.
            digest.update(repr((array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()

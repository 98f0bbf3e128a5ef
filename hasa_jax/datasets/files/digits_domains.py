"""Four data sets of digits as four domains."""

from __future__ import annotations

import pathlib

import numpy as np

from hasa_jax.datasets.files.mnist import mnist
from hasa_jax.datasets.files.mnist_m import mnist_m
from hasa_jax.datasets.files.optdigits import optdigits
from hasa_jax.datasets.files.usps import usps
from hasa_jax.datasets.images import resized
from hasa_jax.datasets.pool import Pool

_SETS = {"mnist": mnist, "mnist_m": mnist_m, "usps": usps, "optdigits": optdigits}
_SIDE = 16


def digits_domains(data_dir: pathlib.Path) -> Pool:
    """Reads MNIST, MNIST-M, USPS and optdigits, one group each.

    Args:
      data_dir: folder of the folders `mnist`, `mnist_m`, `usps` and `optdigits`.

    Returns:
      Images of bytes `[n, 16, 16, 3]`; grey images have three equal channels.

    Raises:
      UserError: if one of their files is missing or damaged.
    """
    pools = [read(data_dir / name) for name, read in _SETS.items()]
    inputs = [
        np.broadcast_to(small, (*small.shape[:3], 3))
        for small in (resized(pool.inputs, _SIDE) for pool in pools)
    ]
    return Pool(
        inputs=np.concatenate(inputs),
        targets=np.concatenate([pool.targets for pool in pools]),
        is_test=np.concatenate([pool.is_test for pool in pools]),
        classes=pools[0].classes,
        groups=np.repeat(np.arange(len(pools), dtype=np.int32), [len(p.targets) for p in pools]),
        group_names=tuple(_SETS),
    )

"""A run of one seed: what differs between the seeds of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.base import FederatedDataset


class Trial(NamedTuple):
    """A run of one seed.

    Attributes:
      dataset: train, validation and test examples of every client.
      allocation: every client's size.
      key: root key of the run; it is not consumed.
      labels: columns to put in front of every record.
    """

    dataset: FederatedDataset
    allocation: Allocation
    key: jax.Array
    labels: Mapping[str, Any] = {}

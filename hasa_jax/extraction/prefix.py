"""Prefix extraction: a subnet keeps the first units of every group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction


def prefix(levels: Sequence[float] = ()) -> Extraction:
    """Ranks the units by their position, in every round: `idx = {0, ..., k - 1}`.

    The subnets are nested.

    Args:
      levels: published widths of the clients; one of them keeps `ceil(U level)` of U units.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if a level is not in (0, 1].

    References:
      HeteroFL, arXiv 2010.01264; the extraction of HASA, arXiv 2606.07621.
    """
    return units.ranked(by_position, levels=levels, by_size=True, name="prefix")


def by_position(broadcast: Broadcast) -> dict[str, np.ndarray]:
    """Ranks the units of every group by their position: an `OrderFn`.

    The ranks are constants, so `units.gather` cuts a subnet out as a plain slice.
    """
    return {name: np.arange(count) for name, count in broadcast.model.groups.items()}

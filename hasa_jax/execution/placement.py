"""Placement: clients into slots, slots into blocks that run together."""

from __future__ import annotations

import numpy as np

from hasa_jax import units
from hasa_jax.base import Block, Cohort, Model

_LARGEST_STEP_RATIO = 1.25
"""Clients of one block wait for its largest; beyond this ratio a new block begins."""


def make_cohort(
    model: Model,
    units_kept: np.ndarray,
    num_examples: np.ndarray,
    weights: np.ndarray,
    batch_size: int,
) -> Cohort:
    """Lays all clients out as a cohort: sorted by width, then by number of batches.

    Args:
      model: the supernet.
      units_kept: units of the largest group that each client keeps `[N]`.
      num_examples: examples of each client `[N]`.
      weights: aggregation weights `[N]`.
      batch_size: examples in a batch.

    Returns:
      A cohort with every client in one slot; `C = N`.
    """
    finest = max(model.groups.values())
    num_batches = -(-num_examples // batch_size)
    order = np.lexsort((-num_batches, -units_kept))
    blocks: list[Block] = []
    for client in order:
        kept, batches = int(units_kept[client]), int(num_batches[client])
        width = kept / finest
        last = blocks[-1] if blocks else None
        if last and last.width == width and last.num_batches <= _LARGEST_STEP_RATIO * batches:
            blocks[-1] = last._replace(size=last.size + 1)
        else:
            sizes = units.sizes_of_units(model.groups, kept)
            blocks.append(Block(1, width, tuple(sizes.items()), batches))
    sizes = [units.sizes_of_units(model.groups, int(units_kept[client])) for client in order]
    return Cohort(
        index=order.astype(np.int32),
        widths=(units_kept[order] / finest).astype(np.float32),
        sizes={
            group: np.array([size[group] for size in sizes], np.int32) for group in model.groups
        },
        weights=weights[order].astype(np.float32),
        blocks=tuple(blocks),
    )

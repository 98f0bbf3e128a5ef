"""Placement: clients into slots, slots into blocks that run together.

Arguments of both placements: the supernet; units of the largest group that each client keeps
`[N]`; examples of each client `[N]`; aggregation weights `[N]`; examples in a batch. Every
client gets one slot, so `C = N`.
"""

from __future__ import annotations

import numpy as np

from hasa_jax import units
from hasa_jax.base import Block, Cohort, Model

_LARGEST_STEP_RATIO = 1.25
"""Clients of one block wait for its largest; beyond this ratio a new block begins."""


def by_width(
    model: Model,
    units_kept: np.ndarray,
    num_examples: np.ndarray,
    weights: np.ndarray,
    batch_size: int,
) -> Cohort:
    """Sorts clients by width, then by number of batches; a block has one width."""
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
    return _cohort(model, order, units_kept, weights, blocks)


def one_block(
    model: Model,
    units_kept: np.ndarray,
    num_examples: np.ndarray,
    weights: np.ndarray,
    batch_size: int,
) -> Cohort:
    """Keeps clients in order, in one block at full width: one program, whatever the widths."""
    num_batches = -(-int(num_examples.max()) // batch_size)
    block = Block(len(units_kept), 1.0, tuple(model.groups.items()), num_batches)
    return _cohort(model, np.arange(len(units_kept)), units_kept, weights, [block])


def _cohort(
    model: Model,
    order: np.ndarray,
    units_kept: np.ndarray,
    weights: np.ndarray,
    blocks: list[Block],
) -> Cohort:
    """Makes the cohort of all clients in a given order."""
    sizes = [units.sizes_of_units(model.groups, int(units_kept[client])) for client in order]
    return Cohort(
        index=order.astype(np.int32),
        widths=(units_kept[order] / max(model.groups.values())).astype(np.float32),
        sizes={
            group: np.array([size[group] for size in sizes], np.int32) for group in model.groups
        },
        weights=weights[order].astype(np.float32),
        blocks=tuple(blocks),
    )

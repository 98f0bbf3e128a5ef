"""Placement: clients into slots, slots into blocks that run together.

Arguments of both placements: the supernet; the extraction; client ids `[C]`; the size that
each of them has, as units of the largest group `[C]`; their aggregation weights `[C]`;
examples of every client of the population `[N]`; examples in a batch.
"""

from __future__ import annotations

import numpy as np

from hasa_jax.base import Block, Cohort
from hasa_jax.supernet import Extraction, Model

_LARGEST_STEP_RATIO = 1.25
"""Clients of one block wait for its largest; beyond this ratio a new block begins."""


def by_shape(
    model: Model,
    extraction: Extraction,
    clients: np.ndarray,
    kept: np.ndarray,
    weights: np.ndarray,
    num_examples: np.ndarray,
    batch_size: int,
) -> Cohort:
    """Sorts clients by size, then by number of batches; a block has one shape."""
    num_batches = -(-num_examples[clients] // batch_size)
    order = np.lexsort((-num_batches, -kept))
    blocks: list[Block] = []
    for slot in order:
        shape, batches = extraction.shape(model, int(kept[slot])), int(num_batches[slot])
        last = blocks[-1] if blocks else None
        if last and last.shape == shape and last.num_batches <= _LARGEST_STEP_RATIO * batches:
            blocks[-1] = last._replace(size=last.size + 1)
        else:
            blocks.append(Block(1, shape, batches))
    return _cohort(model, extraction, clients[order], kept[order], weights[order], blocks)


def one_block(
    model: Model,
    extraction: Extraction,
    clients: np.ndarray,
    kept: np.ndarray,
    weights: np.ndarray,
    num_examples: np.ndarray,
    batch_size: int,
) -> Cohort:
    """Keeps clients in order, in one block of the full shape: one program for all cohorts."""
    num_batches = -(-int(num_examples.max()) // batch_size)
    full = extraction.shape(model, max(model.groups.values()))
    block = Block(len(clients), full, num_batches)
    return _cohort(model, extraction, clients, kept, weights, [block])


def _cohort(
    model: Model,
    extraction: Extraction,
    clients: np.ndarray,
    kept: np.ndarray,
    weights: np.ndarray,
    blocks: list[Block],
) -> Cohort:
    """Makes the cohort of clients in a given order."""
    shapes = [extraction.shape(model, int(k)) for k in kept]
    return Cohort(
        index=clients.astype(np.int32),
        widths=np.array([shape.width for shape in shapes], np.float32),
        sizes={
            group: np.array([dict(shape.sizes)[group] for shape in shapes], np.int32)
            for group, _ in shapes[0].sizes
        },
        exits=np.array([shape.exits for shape in shapes], np.int32),
        weights=weights.astype(np.float32),
        blocks=tuple(blocks),
    )

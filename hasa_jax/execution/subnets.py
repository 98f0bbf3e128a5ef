"""One client's subnet, at full size with zeros outside it, or truly narrow.

Masked: every subnet is computed at full size with zeros outside it. It is the reference. It runs
any extraction, and one compiled body serves all sizes. A narrow client costs as much as a wide one.

Sliced: parameters are truly narrow, so compute follows the budget. Each bucket is compiled.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import PyTree
from hasa_jax.execution.layout import Bucket, Slot
from hasa_jax.supernet import units
from hasa_jax.supernet.subnet import Subnet
from hasa_jax.supernet.types import Broadcast, Extraction, Model


def masked_subnet(
    model: Model, extraction: Extraction, broadcast: Broadcast, slot: Slot, prepared: PyTree
) -> Subnet:
    """Makes a subnet of the supernet's own parameters, with zeros outside it.

    Args:
      model: the supernet.
      extraction: which part of it the client holds.
      broadcast: what the extraction may look at.
      slot: the client's slot: every entry is a scalar.
      prepared: what `extraction.prepare` returned.

    Returns:
      The subnet.
    """
    ranks = None
    exits = jnp.asarray(slot.exits)
    if extraction.mask is not None:
        view, masks = extraction.mask(broadcast, slot.kept, prepared)
    else:
        assert extraction.order is not None
        ranks = extraction.order(broadcast)
        masks = units.masks(model.shapes, model.axes, ranks, slot.kept)
        view = functools.partial(jax.tree.map, jnp.multiply, masks)
    if extraction.all_exits:
        masks = _to_depth(masks, model, exits)
    return Subnet(
        model=model,
        params=broadcast.params,
        apply=model.apply,
        view=view,
        ranks=ranks,
        partial=ranks is not None,
        kept=slot.kept,
        width=jnp.asarray(slot.width),
        exits=exits if extraction.all_exits else model.num_exits,
        held=masks,
        masks=masks,
        supernet_ranks=None,
    )


def sliced_subnet(
    model: Model, extraction: Extraction, broadcast: Broadcast, slot: Slot, bucket: Bucket
) -> Subnet:
    """Makes a subnet of truly narrow parameters.

    Args:
      model: the supernet.
      extraction: ranks the units.
      broadcast: what the extraction may look at.
      slot: the client's slot: every entry is a scalar.
      bucket: the shape to compute it at, and whether the client holds all of that.

    Returns:
      The subnet.
    """
    assert extraction.order is not None
    ranks, cut = extraction.order(broadcast), dict(bucket.shape.kept)
    # Inside the narrow network, units stand in the order of their rank.
    positions = {group: np.arange(size) for group, size in cut.items()}
    own, width, exits = slot.kept, jnp.asarray(slot.width), jnp.asarray(slot.exits)
    if bucket.exact:
        own, width, exits = cut, bucket.shape.width, bucket.shape.exits
    narrow = units.gather(broadcast.params, model.axes, ranks, cut)
    inner = units.masks(narrow, model.axes, positions, own)
    if not bucket.exact:
        # Zeros at the start and confined steps keep the other units at zero: no step masks them.
        narrow = jax.tree.map(jnp.multiply, inner, narrow)
    depth = jnp.asarray(exits, jnp.int32)
    return Subnet(
        model=model,
        params=narrow,
        apply=model.narrow(cut, bucket.shape.exits),
        view=None,
        ranks=positions,
        partial=not bucket.exact,
        kept=own,
        width=width,
        exits=exits,
        # Parameters of deeper exits are there, but unused.
        held=_to_depth(inner, model, depth),
        masks=_to_depth(units.masks(model.shapes, model.axes, ranks, own), model, depth),
        supernet_ranks=ranks,
        places=units.places(ranks, cut) if model.draws else None,
    )


def _to_depth(masks: PyTree, model: Model, exits: jax.Array) -> PyTree:
    """Empties the masks of parameters that only deeper exits use."""
    return jax.tree.map(
        lambda mask, depth: mask * (depth <= exits).astype(mask.dtype), masks, model.depths
    )

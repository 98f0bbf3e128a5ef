"""One client's subnet, at full width with zeros outside it, or truly narrow."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from hasa_jax import units
from hasa_jax.base import Params, PyTree, Shape
from hasa_jax.supernet import Broadcast, Context, Extraction, Model, Sizes, Subnet


def masked_subnet(
    model: Model,
    extraction: Extraction,
    sent: Broadcast,
    sizes: Sizes,
    *,
    width: jax.Array,
    exits: jax.Array,
    prepared: PyTree,
) -> Subnet:
    """Makes a subnet out of the whole supernet's parameters, by zeros.

    Args:
      model: the supernet.
      extraction: which part of it the client holds.
      sent: what the extraction may look at.
      sizes: what the client keeps of every group; may be traced.
      width: its width, a scalar.
      exits: its exits, an int32 scalar.
      prepared: what `extraction.prepare` returned.

    Returns:
      The subnet.
    """
    ranks = None
    if extraction.mask is not None:
        view, masks = extraction.mask(sent, sizes, prepared)
    else:
        assert extraction.order is not None
        ranks = extraction.order(sent)
        masks = units.masks(model.shapes, model.axes, ranks, sizes)
        view = functools.partial(jax.tree.map, jnp.multiply, masks)
    if extraction.all_exits:
        masks = _to_depth(masks, model, exits)

    def forward(
        params: Params, inputs: Any, *, valid=None, train=False, sizes=None, moments=None
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        if ranks is None:
            context = Context(width, None, None, valid, train)
            return model.apply(view(params), inputs, context, moments)
        if sizes is None:
            context = Context(width, ranks, own, valid, train)
            return model.apply(view(params), inputs, context, moments)
        nested = units.masks(model.shapes, model.axes, ranks, sizes)
        context = Context(units.width_of(model, sizes), ranks, sizes, valid, train)
        return model.apply(jax.tree.map(jnp.multiply, nested, params), inputs, context, moments)

    own = sizes
    confine = functools.partial(_confine, masks)
    return Subnet(
        params=sent.params,
        forward=forward,
        confine=confine,
        insert=lambda update: update,
        masks=masks,
        sizes=sizes,
        exits=exits if extraction.all_exits else model.num_exits,
    )


def sliced_subnet(model: Model, extraction: Extraction, sent: Broadcast, shape: Shape) -> Subnet:
    """Makes a subnet of truly narrow parameters.

    Args:
      model: the supernet.
      extraction: ranks the units.
      sent: what the extraction may look at.
      shape: what the client keeps (static).

    Returns:
      The subnet.
    """
    assert extraction.order is not None
    ranks = extraction.order(sent)
    own = dict(shape.sizes)
    apply = model.narrow(own, shape.exits)
    # Inside the narrow network, units stand in the order of their rank.
    positions = {group: jnp.arange(size) for group, size in own.items()}
    masks = _to_depth(
        units.masks(model.shapes, model.axes, ranks, own), model, jnp.int32(shape.exits)
    )
    # Parameters of deeper exits ride along unused.
    used = jax.tree.map(lambda depth: jnp.float32(depth <= shape.exits), model.depths)

    def forward(
        params: Params, inputs: Any, *, valid=None, train=False, sizes=None, moments=None
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        context = Context(shape.width, None, None, valid, train)
        if sizes is not None:
            nested = units.masks(params, model.axes, positions, sizes)
            params = jax.tree.map(jnp.multiply, nested, params)
            context = Context(units.width_of(model, sizes), positions, sizes, valid, train)
        return apply(params, inputs, context, moments)

    return Subnet(
        params=units.gather(sent.params, model.axes, ranks, own),
        forward=forward,
        confine=functools.partial(_confine, used),
        insert=lambda update: units.scatter(update, model.axes, ranks),
        masks=masks,
        sizes=own,
        exits=shape.exits,
    )


def _confine(masks: PyTree, change: Params) -> Params:
    """Zeroes a change outside the masks, even where it is not a number."""
    return jax.tree.map(lambda m, x: jnp.where(m > 0, x, 0.0), masks, change)


def _to_depth(masks: PyTree, model: Model, exits: jax.Array) -> PyTree:
    """Empties the masks of parameters that only deeper exits use."""
    return jax.tree.map(
        lambda mask, depth: mask * (depth <= exits).astype(mask.dtype), masks, model.depths
    )

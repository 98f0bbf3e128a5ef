"""One client's subnet, at full width with zeros outside it, or truly narrow."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import Cohort, Kind, Params, PyTree
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Context, Extraction, Model, Subnet


def masked_subnet(
    model: Model,
    extraction: Extraction,
    sent: Broadcast,
    slot: Cohort,
    prepared: PyTree,
) -> Subnet:
    """Makes a subnet out of the whole supernet's parameters, by zeros.

    Args:
      model: the supernet.
      extraction: which part of it the client holds.
      sent: what the extraction may look at.
      slot: the client's slot of the cohort: every entry is a scalar.
      prepared: what `extraction.prepare` returned.

    Returns:
      The subnet.
    """
    ranks, own = None, slot.sizes
    width, exits = jnp.asarray(slot.widths), jnp.asarray(slot.exits)
    if extraction.mask is not None:
        view, masks = extraction.mask(sent, own, prepared)
    else:
        assert extraction.order is not None
        ranks = extraction.order(sent)
        masks = units.masks(model.shapes, model.axes, ranks, own)
        view = functools.partial(jax.tree.map, jnp.multiply, masks)
    if extraction.all_exits:
        masks = _to_depth(masks, model, exits)

    def forward(
        params: Params,
        inputs: Any,
        *,
        valid=None,
        train=False,
        sizes=None,
        moments=None,
        wanted=None,
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        if ranks is None:
            context = Context(width, None, None, valid, wanted, train)
            return model.apply(view(params), inputs, context, moments)
        if sizes is None:
            context = Context(width, ranks, own, valid, wanted, train)
            return model.apply(view(params), inputs, context, moments)
        nested = units.masks(model.shapes, model.axes, ranks, sizes)
        context = Context(units.width_of(model, sizes), ranks, sizes, valid, wanted, train)
        return model.apply(jax.tree.map(jnp.multiply, nested, params), inputs, context, moments)

    return Subnet(
        params=sent.params,
        forward=forward,
        confine=functools.partial(_confine, masks),
        insert=lambda update: update,
        masks=masks,
        sizes=own,
        exits=exits if extraction.all_exits else model.num_exits,
    )


def sliced_subnet(
    model: Model, extraction: Extraction, sent: Broadcast, slot: Cohort, kind: Kind
) -> Subnet:
    """Makes a subnet of truly narrow parameters.

    Args:
      model: the supernet.
      extraction: ranks the units.
      sent: what the extraction may look at.
      slot: the client's slot of the cohort: every entry is a scalar.
      kind: the shape to compute it at, and whether the client holds all of that.

    Returns:
      The subnet.
    """
    assert extraction.order is not None
    ranks, cut = extraction.order(sent), dict(kind.shape.sizes)
    apply = model.narrow(cut, kind.shape.exits)
    # Inside the narrow network, units stand in the order of their rank.
    positions = {group: np.arange(size) for group, size in cut.items()}
    own, width, exits = slot.sizes, jnp.asarray(slot.widths), jnp.asarray(slot.exits)
    if kind.exact:
        own, width, exits = cut, kind.shape.width, kind.shape.exits
    narrow = units.gather(sent.params, model.axes, ranks, cut)
    inner = units.masks(narrow, model.axes, positions, own)
    if not kind.exact:
        # Zeros once, and steps confined, keep the other units silent: no step needs the masks.
        narrow = jax.tree.map(jnp.multiply, inner, narrow)
    # Parameters of deeper exits ride along unused.
    used = _to_depth(inner, model, jnp.asarray(exits, jnp.int32))

    def forward(
        params: Params,
        inputs: Any,
        *,
        valid=None,
        train=False,
        sizes=None,
        moments=None,
        wanted=None,
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        context = Context(width, None, None, valid, wanted, train)
        if sizes is not None:
            nested = units.masks(params, model.axes, positions, sizes)
            params = jax.tree.map(jnp.multiply, nested, params)
            kept_width = units.width_of(model, sizes)
            context = dataclasses.replace(context, width=kept_width, ranks=positions, sizes=sizes)
        elif not kind.exact:
            context = dataclasses.replace(context, ranks=positions, sizes=own)
        return apply(params, inputs, context, moments)

    return Subnet(
        params=narrow,
        forward=forward,
        confine=functools.partial(_confine, used),
        insert=lambda update: units.scatter(update, model.axes, ranks),
        masks=_to_depth(
            units.masks(model.shapes, model.axes, ranks, own), model, jnp.asarray(exits, jnp.int32)
        ),
        sizes=own,
        exits=exits,
    )


def _confine(masks: PyTree, change: Params) -> Params:
    """Zeroes a change outside the masks, even where it is not a number."""
    return jax.tree.map(lambda m, x: jnp.where(m > 0, x, 0.0), masks, change)


def _to_depth(masks: PyTree, model: Model, exits: jax.Array) -> PyTree:
    """Empties the masks of parameters that only deeper exits use."""
    return jax.tree.map(
        lambda mask, depth: mask * (depth <= exits).astype(mask.dtype), masks, model.depths
    )

"""One client's part of the supernet, inside one traced round."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree
from hasa_jax.supernet import units
from hasa_jax.supernet.types import ApplyFn, Context, Kept, Model


@dataclasses.dataclass(frozen=True)
class Subnet:
    """A subnet, at full size with zeros outside it, or truly narrow.

    Attributes:
      model: the supernet.
      params: the parameters that the client trains.
      apply: forward pass of the network that has these parameters.
      view: parameters -> those that the forward pass uses; None if it uses them as they are.
      ranks: `{group: rank [U]}` of the units in `params`; None if the subnet keeps single
        parameters.
      partial: whether some units in `params` are not the client's.
      kept: units that it keeps in every group.
      width: fraction of units that it keeps.
      exits: exits that it has, an int or int32 scalar; logits of deeper ones do not count.
      held: 1 where a coordinate of `params` is the client's, broadcastable to `params`.
      masks: 1 where a coordinate of the supernet is the client's, broadcastable to the supernet.
      supernet_ranks: `{group: rank [U]}` of the supernet's units, if `params` are narrow.
      places: position in the supernet of the units in `params`, `{group: [k]}`; None if they are
        its first ones, or if the model draws nothing for its units.
    """

    model: Model
    params: Params
    apply: ApplyFn
    view: Callable[[Params], Params] | None
    ranks: Mapping[str, Any] | None
    partial: bool
    kept: Kept
    width: float | jax.Array
    exits: int | jax.Array
    held: PyTree
    masks: PyTree
    supernet_ranks: Mapping[str, Any] | None
    places: Mapping[str, Any] | None = None


def forward(
    subnet: Subnet,
    params: Params,
    inputs: Any,
    *,
    valid: jax.Array | None = None,
    train: bool = False,
    defer_logits: bool = False,
    kept: Kept | None = None,
    kept_width: float | jax.Array | None = None,
    moments: PyTree | None = None,
    key: jax.Array | None = None,
) -> tuple[tuple[Any, ...], PyTree]:
    """Runs a subnet's forward pass.

    Args:
      subnet: the subnet.
      params: parameters shaped like `subnet.params`.
      inputs: a batch `[B, ...]`.
      valid: which examples count in batch statistics `[B]`, bool; None for all.
      train: whether this is a training step.
      defer_logits: whether a model of texts may return linear heads in place of logits.
      kept: units of a smaller subnet that is nested in this one, int32 scalars; None for this
        subnet. A subnet of single parameters has no nested one and ignores it.
      kept_width: width of that smaller subnet; that of its largest group if None.
      moments: calibrated moments of static norms, or None.
      key: key of what the model draws for its units in a training step, or None.

    Returns:
      Logits or the linear head of each exit, and the batch's own moments.
    """
    if kept is None or subnet.ranks is None:
        ranks, own = (subnet.ranks, subnet.kept) if subnet.partial else (None, None)
        context = Context(subnet.width, ranks, own, valid, key, subnet.places, train, defer_logits)
        used = params if subnet.view is None else subnet.view(params)
    else:
        nested = units.masks(params, subnet.model.axes, subnet.ranks, kept)
        width = units.width_of(subnet.model, kept) if kept_width is None else kept_width
        context = Context(width, subnet.ranks, kept, valid, key, subnet.places, train, defer_logits)
        used = jax.tree.map(jnp.multiply, nested, params)
    return subnet.apply(used, inputs, context, moments)


def confine(subnet: Subnet, change: Params) -> Params:
    """Zeroes a change of `subnet.params` outside the subnet, even where it is not a number."""
    return jax.tree.map(lambda m, x: jnp.where(m > 0, x, 0.0), subnet.held, change)


def insert(subnet: Subnet, update: Params) -> Params:
    """Puts a confined update of `subnet.params` into supernet coordinates, zero elsewhere."""
    if subnet.supernet_ranks is None:
        return update
    return units.scatter(update, subnet.model.axes, subnet.supernet_ranks)

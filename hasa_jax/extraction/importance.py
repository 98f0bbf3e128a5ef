"""Importance: a subnet keeps the single parameters that are most important."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree
from hasa_jax.extraction import parameter_groups
from hasa_jax.extraction.measures import MEASURES, check_measure
from hasa_jax.supernet.types import Broadcast, Extraction, Kept, Model, ParameterMask


def importance(threshold: str = "model", measure: str = "magnitude") -> Extraction:
    """Keeps the most important parameters of every group; those of norms are always kept.

    By magnitude: `tau` is the k-th largest `|theta|` of the group as broadcast (0 if all are
    kept). Each step computes with `theta * M`, where `M = 1[|theta| >= tau]` follows the current
    theta. What falls below tau gets no more gradient in the round, so plain SGD does not move it
    (an optimizer with memory still does). The gradient contains how M follows theta:
    `g * M * (1 + 2 tau |theta| / (|theta| + tau)^2)`. Ties with tau are kept as well.

    By another measure: M keeps the k best scores at the start of the round and is constant, so
    the gradient is `g * M`. Ties go to the first. `pruning_greedy` does the same by magnitude.

    Of the H sizes, size k has as many parameters as the subnet of k units: see
    `parameter_groups.shape_by_count`.

    Args:
      threshold: what shares one: the `model`, a `stage` or a `layer`, as defined by
        `parameter_groups.THRESHOLDS`.
      measure: of `measures.MEASURES`; all but `magnitude` use each client's own data.

    Returns:
      An `Extraction` of single parameters.

    Raises:
      UserError: if there is no such threshold or measure.

    References:
      FIARSE, arXiv 2407.19389.
    """
    check_measure(measure)
    parameter_groups.check_threshold(threshold)
    shape = functools.partial(parameter_groups.shape_by_count, threshold=threshold)
    if measure != "magnitude":
        best = functools.partial(_mask_best, threshold=threshold, measure=measure)
        return Extraction(shape=shape, mask=best, name="importance")
    return Extraction(
        shape=shape,
        mask=functools.partial(_mask_above, threshold=threshold),
        prepare=functools.partial(_sort_magnitudes, threshold=threshold),
        by_size=True,
        name="importance",
    )


def _sort_magnitudes(params: Params, model: Model, threshold: str) -> dict[str, jax.Array]:
    """Sorts the magnitudes of each group, the largest first: `{group: [D]}`."""
    groups = parameter_groups.name_groups(model, threshold)
    joined = parameter_groups.join(jax.tree.map(jnp.abs, params), groups)
    return {name: jnp.sort(flat, descending=True) for name, flat in joined.items()}


def _mask_above(
    broadcast: Broadcast, kept: Kept, prepared: dict[str, jax.Array], threshold: str
) -> ParameterMask:
    """Keeps the magnitudes of `tau` or more, at every step."""
    thresholds = {
        name: jnp.where(kept[name] < flat.size, flat[kept[name] - 1], 0)
        for name, flat in prepared.items()
    }
    # A threshold of 0 cuts nothing and does not change the gradient.
    thresholds[parameter_groups.UNCUT] = jnp.float32(0)
    groups = parameter_groups.name_groups(broadcast.model, threshold)
    taus = jax.tree.map(thresholds.__getitem__, groups)
    masks = jax.tree.map(
        lambda leaf, tau: (jnp.abs(leaf) >= tau).astype(leaf.dtype), broadcast.params, taus
    )
    return ParameterMask(lambda params: jax.tree.map(cut_below, params, taus), masks)


def _mask_best(
    broadcast: Broadcast, kept: Kept, prepared: PyTree, threshold: str, measure: str
) -> ParameterMask:
    """Keeps the best scores of a measure on the client's data, all through the round."""
    del prepared
    groups = parameter_groups.name_groups(broadcast.model, threshold)
    ranks = parameter_groups.rank_falling(MEASURES[measure](broadcast), groups)
    return parameter_groups.keep_first(broadcast.params, groups, ranks, kept)


@jax.custom_vjp
def cut_below(weights: jax.Array, threshold: jax.Array) -> jax.Array:
    """Sets the weights whose magnitude is below the threshold to zero.

    Args:
      weights: of any shape.
      threshold: `tau >= 0`, a scalar.

    Returns:
      `theta * M`; its gradient is `g * M * (1 + 2 tau |theta| / (|theta| + tau)^2)`, and 0 for tau.
    """
    return jnp.where(jnp.abs(weights) >= threshold, weights, 0)


def _cut_forward(weights: jax.Array, threshold: jax.Array):
    return cut_below(weights, threshold), (weights, threshold)


def _cut_backward(saved: tuple[jax.Array, jax.Array], slope: jax.Array):
    weights, threshold = saved
    magnitude = jnp.abs(weights)
    # 0 / 0 at weight and threshold 0 becomes 0. A square may underflow, so two quotients.
    total = jnp.maximum(magnitude + threshold, jnp.finfo(weights.dtype).tiny)
    factor = 1 + 2 * (threshold / total) * (magnitude / total)
    return jnp.where(magnitude >= threshold, slope * factor, 0), jnp.zeros_like(threshold)


cut_below.defvjp(_cut_forward, _cut_backward)

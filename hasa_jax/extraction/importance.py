"""Importance: a subnet keeps the single parameters that are most important."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.extraction import parameter_groups
from hasa_jax.extraction.measures import MEASURES, check_measure
from hasa_jax.supernet.types import Broadcast, Extraction, Kept, Model, ParameterMask

GRADIENTS = ("tcb", "masked")
"""The gradient of importance by magnitude: with how the mask follows the parameters, or without."""


def importance(
    threshold: str = "model",
    measure: str = "magnitude",
    gradient: str = "tcb",
    levels: Sequence[float] = (),
) -> Extraction:
    """Keeps the most important parameters of every group; those of norms are always kept.

    By magnitude: `tau` is the k-th largest `|theta|` of the group as broadcast (0 if all are
    kept). Each step computes with `theta * M`, where `M = 1[|theta| >= tau]` follows the current
    theta. What falls below tau gets no more gradient in the round, so plain SGD does not move it
    (an optimizer with memory still does). Ties with tau are kept as well. The gradient `tcb` of
    the paper (Eq. 3) contains how M follows theta: `g * M * (1 + 2 tau |theta| / (|theta| +
    tau)^2)`. The gradient `masked` is `g * M`: what the released code computes, because its mask
    is a boolean, through which PyTorch sends no gradient.

    By another measure: M keeps the k best scores at the start of the round and is constant, so
    the gradient is `g * M`. Ties go to the first. `pruning_greedy` does the same by magnitude.

    Of D maskable parameters a size keeps `k = int(gamma D)`: see
    `parameter_groups.shape_by_count`.

    Args:
      threshold: what shares one: the `model`, a `stage`, a `layer`, or what `published_text` says,
        as defined by `parameter_groups.THRESHOLDS`.
      measure: of `measures.MEASURES`; all but `magnitude` use each client's own data.
      gradient: one of `GRADIENTS`; by other measures than magnitude both are the same.
      levels: fractions `gamma` of the maskable parameters that some sizes meet exactly.

    Returns:
      An `Extraction` of single parameters.

    Raises:
      UserError: if there is no such threshold, measure or gradient.

    References:
      FIARSE, arXiv 2407.19389.
    """
    check_measure(measure)
    parameter_groups.check_threshold(threshold)
    if gradient not in GRADIENTS:
        raise UserError(
            f"unknown gradient of importance {gradient!r}: use one of {', '.join(GRADIENTS)}"
        )
    shape = functools.partial(
        parameter_groups.shape_by_count, threshold=threshold, levels=tuple(levels)
    )
    if measure != "magnitude":
        best = functools.partial(_mask_best, threshold=threshold, measure=measure)
        return Extraction(shape=shape, mask=best, by_data=True, name="importance")
    cut = cut_below if gradient == "tcb" else zero_below
    return Extraction(
        shape=shape,
        mask=functools.partial(_mask_above, threshold=threshold, cut=cut),
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
    broadcast: Broadcast,
    kept: Kept,
    prepared: dict[str, jax.Array],
    threshold: str,
    cut: Callable[[jax.Array, jax.Array], jax.Array],
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
    return ParameterMask(lambda params: jax.tree.map(cut, params, taus), masks)


def _mask_best(
    broadcast: Broadcast, kept: Kept, prepared: PyTree, threshold: str, measure: str
) -> ParameterMask:
    """Keeps the best scores of a measure on the client's data, all through the round."""
    del prepared
    groups = parameter_groups.name_groups(broadcast.model, threshold)
    ranks = parameter_groups.rank_falling(MEASURES[measure](broadcast), groups)
    return parameter_groups.keep_first(broadcast.params, groups, ranks, kept)


def zero_below(weights: jax.Array, threshold: jax.Array) -> jax.Array:
    """Sets the weights whose magnitude is below the threshold to zero.

    Args:
      weights: of any shape.
      threshold: `tau >= 0`, a scalar.

    Returns:
      `theta * M`; its gradient is `g * M`, and 0 for tau.
    """
    return jnp.where(jnp.abs(weights) >= threshold, weights, 0)


@jax.custom_vjp
def cut_below(weights: jax.Array, threshold: jax.Array) -> jax.Array:
    """Sets the weights whose magnitude is below the threshold to zero.

    Args:
      weights: of any shape.
      threshold: `tau >= 0`, a scalar.

    Returns:
      `theta * M`; its gradient is `g * M * (1 + 2 tau |theta| / (|theta| + tau)^2)`, and 0 for tau.
    """
    return zero_below(weights, threshold)


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

"""Importance: a subnet keeps the single parameters that matter most."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.extraction import parameter_groups
from hasa_jax.extraction.measures import MEASURES, check_measure
from hasa_jax.supernet.types import Broadcast, Extraction, Model, ParameterMask, Sizes


def importance(
    threshold: str = "model", measure: str = "magnitude", greedy: bool = False
) -> Extraction:
    """Keeps the most important parameters of every group; those of norms are always kept.

    By magnitude: `tau` is the k-th largest `|theta|` of the group as broadcast (0 if all are
    kept), and a step computes with `theta * M`, `M = 1[|theta| >= tau]` anew at each step, so
    what falls below gets no more gradient in the round, and under SGD stays where it is (an
    optimizer with memory still carries it on). The gradient also holds how M follows theta:
    `g * M * (1 + 2 tau |theta| / (|theta| + tau)^2)`. Ties with tau are kept as well.

    By another measure, or greedily: M is what has the k best scores at the start of the round,
    it stays, and the gradient is `g * M`; ties go to the first. Greedy magnitude is plain
    pruning, the ablation of FIARSE.

    The k-th of H sizes has as many parameters as the subnet of k units: see
    `parameter_groups.shape_by_count`.

    Args:
      threshold: what shares one: the whole `model`, a `stage` or a `layer`, as defined by
        `parameter_groups.THRESHOLDS`.
      measure: of `measures.MEASURES`; all but `magnitude` score on each client's own data.
      greedy: whether masks by magnitude stay for the round too, with plain gradients.

    Returns:
      An `Extraction` of single parameters.

    Raises:
      UserError: if there is no such threshold or measure.

    References:
      FIARSE, arXiv 2407.19389.
    """
    check_measure(measure)
    if threshold not in parameter_groups.THRESHOLDS:
        known = ", ".join(parameter_groups.THRESHOLDS)
        raise UserError(f"unknown threshold {threshold!r}: use one of {known}")
    shape = functools.partial(parameter_groups.shape_by_count, threshold=threshold)

    def sort_magnitudes(params: Params, model: Model) -> dict[str, jax.Array]:
        groups = parameter_groups.name_groups(model, threshold)
        joined = parameter_groups.join(jax.tree.map(jnp.abs, params), groups)
        return {name: jnp.sort(flat, descending=True) for name, flat in joined.items()}

    def mask_above(broadcast: Broadcast, sizes: Sizes, prepared: PyTree) -> ParameterMask:
        thresholds = {
            name: jnp.where(sizes[name] < flat.size, flat[sizes[name] - 1], 0)
            for name, flat in prepared.items()
        }
        # A threshold of 0 cuts nothing and leaves the gradient as it is.
        thresholds[parameter_groups.WHOLE] = jnp.float32(0)
        groups = parameter_groups.name_groups(broadcast.model, threshold)
        taus = jax.tree.map(thresholds.__getitem__, groups)
        masks = jax.tree.map(
            lambda leaf, tau: (jnp.abs(leaf) >= tau).astype(leaf.dtype), broadcast.params, taus
        )
        return ParameterMask(lambda params: jax.tree.map(cut_below, params, taus), masks)

    def rank_magnitudes(params: Params, model: Model) -> PyTree:
        groups = parameter_groups.name_groups(model, threshold)
        return parameter_groups.rank_falling(jax.tree.map(jnp.abs, params), groups)

    def mask_best(broadcast: Broadcast, sizes: Sizes, prepared: PyTree) -> ParameterMask:
        groups = parameter_groups.name_groups(broadcast.model, threshold)
        ranks = prepared
        if measure != "magnitude":
            ranks = parameter_groups.rank_falling(MEASURES[measure](broadcast), groups)
        # Leaves of no group have rank 0.
        kept = jax.tree.map(lambda name, rank: rank < sizes.get(name, 1), groups, ranks)
        masks = jax.tree.map(lambda keep, leaf: keep.astype(leaf.dtype), kept, broadcast.params)
        return ParameterMask(functools.partial(jax.tree.map, _choose, kept), masks)

    if measure != "magnitude":
        return Extraction(shape=shape, mask=mask_best)
    if greedy:
        return Extraction(shape=shape, mask=mask_best, prepare=rank_magnitudes, by_size=True)
    return Extraction(shape=shape, mask=mask_above, prepare=sort_magnitudes, by_size=True)


def _choose(kept: jax.Array, leaf: jax.Array) -> jax.Array:
    """Zeroes what is not kept."""
    return jnp.where(kept, leaf, 0)


@jax.custom_vjp
def cut_below(weights: jax.Array, threshold: jax.Array) -> jax.Array:
    """Zeroes the weights whose magnitude is below the threshold.

    Args:
      weights: of any shape.
      threshold: `tau >= 0`, a scalar.

    Returns:
      `theta * M`; the gradient is `g * M * (1 + 2 tau |theta| / (|theta| + tau)^2)`, none for tau.
    """
    return jnp.where(jnp.abs(weights) >= threshold, weights, 0)


def _cut_forward(weights: jax.Array, threshold: jax.Array):
    return cut_below(weights, threshold), (weights, threshold)


def _cut_backward(saved: tuple[jax.Array, jax.Array], slope: jax.Array):
    weights, threshold = saved
    magnitude = jnp.abs(weights)
    # 0 / 0 at weight and threshold 0 stands for 0; two quotients, as a square may underflow.
    total = jnp.maximum(magnitude + threshold, jnp.finfo(weights.dtype).tiny)
    factor = 1 + 2 * (threshold / total) * (magnitude / total)
    return jnp.where(magnitude >= threshold, slope * factor, 0), jnp.zeros_like(threshold)


cut_below.defvjp(_cut_forward, _cut_backward)

"""Greedy pruning: a subnet keeps the largest parameters, chosen once a round."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree
from hasa_jax.extraction import parameter_groups
from hasa_jax.supernet.types import Broadcast, Extraction, Kept, Model, ParameterMask


def pruning_greedy(threshold: str = "model", levels: Sequence[float] = ()) -> Extraction:
    """Keeps the k largest magnitudes of every group; parameters of norms are always kept.

    The mask M is that of the parameters as broadcast, and constant for the round: a step computes
    with `theta * M`, and the gradient is `g * M`. Ties go to the first. The counts k are those of
    `importance`.

    Args:
      threshold: what shares one: the `model`, a `stage`, a `layer`, or what `published_text` says,
        as defined by `parameter_groups.THRESHOLDS`.
      levels: fractions of the maskable parameters that some sizes meet exactly.

    Returns:
      An `Extraction` of single parameters.

    Raises:
      UserError: if there is no such threshold.

    References:
      The ablation of FIARSE, arXiv 2407.19389.
    """
    parameter_groups.check_threshold(threshold)
    return Extraction(
        shape=functools.partial(
            parameter_groups.shape_by_count, threshold=threshold, levels=tuple(levels)
        ),
        mask=functools.partial(_mask_largest, threshold=threshold),
        prepare=functools.partial(_rank_magnitudes, threshold=threshold),
        by_size=True,
        name="pruning_greedy",
    )


def _rank_magnitudes(params: Params, model: Model, threshold: str) -> PyTree:
    groups = parameter_groups.name_groups(model, threshold)
    return parameter_groups.rank_falling(jax.tree.map(jnp.abs, params), groups)


def _mask_largest(
    broadcast: Broadcast, kept: Kept, prepared: PyTree, threshold: str
) -> ParameterMask:
    groups = parameter_groups.name_groups(broadcast.model, threshold)
    return parameter_groups.keep_first(broadcast.params, groups, prepared, kept)

"""Neuron importance: a subnet keeps the units whose parameters are most important."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from hasa_jax.base import PyTree
from hasa_jax.extraction.measures import MEASURES, check_measure
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction, Model


def neuron_importance(measure: str = "magnitude", levels: Sequence[float] = ()) -> Extraction:
    """Ranks units, in every round, by the summed importance of the parameters they touch.

    The score of a unit is the sum of the measure over every coordinate that is cut with it, of
    every parameter (for `magnitude` of its square, so the squared norm). A parameter with two
    axes of the group counts along both. Of equal scores the first position ranks first.

    Args:
      measure: of `measures.MEASURES`; all but `magnitude` use each client's own data.
      levels: published widths of the clients; one of them keeps `ceil(U level)` of U units.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if there is no such measure, or a level is not in (0, 1].

    References:
      Importance per neuron instead of per parameter is ours; per parameter it is FIARSE, arXiv
      2407.19389.
    """
    check_measure(measure)
    order = functools.partial(_by_score, measure=measure)
    by_size = measure == "magnitude"
    extraction = units.ranked(order, levels=levels, by_size=by_size, name="neuron_importance")
    return dataclasses.replace(extraction, by_data=measure != "magnitude")


def _by_score(broadcast: Broadcast, measure: str) -> dict[str, jax.Array]:
    """Ranks units by falling score."""
    scores = MEASURES[measure](broadcast)
    if measure == "magnitude":
        scores = jax.tree.map(jnp.square, scores)
    return {
        name: jnp.argsort(jnp.argsort(-total, stable=True))
        for name, total in unit_scores(broadcast.model, scores).items()
    }


def unit_scores(model: Model, scores: PyTree) -> dict[str, jax.Array]:
    """Sums the scores of parameters over the coordinates of each unit.

    Args:
      model: the supernet.
      scores: a score of every parameter, shaped like the params.

    Returns:
      `{group: scores [U]}`.
    """
    totals = {name: jnp.zeros(count) for name, count in model.groups.items()}

    def add(names, leaf):
        for axis, name in enumerate(names):
            if name in totals:
                others = tuple(other for other in range(leaf.ndim) if other != axis)
                totals[name] = totals[name] + jnp.sum(leaf, axis=others)

    units.map_with_axes(add, model.axes, scores)
    return totals

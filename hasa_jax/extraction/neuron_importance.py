"""Neuron importance: a subnet keeps the units whose parameters matter most."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hasa_jax.base import PyTree
from hasa_jax.extraction.measures import MEASURES, check_measure
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction, Model


def neuron_importance(measure: str = "magnitude") -> Extraction:
    """Ranks units, every round anew, by the summed importance of the parameters they touch.

    A unit's score is the sum of the measure over every coordinate that is cut with it, of every
    parameter (for `magnitude` of its square, the squared norm); a parameter with two axes of
    the group counts along both. Ties go to the unit that stands first.

    Args:
      measure: of `measures.MEASURES`; all but `magnitude` rank for each client on its own data.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if there is no such measure.

    References:
      Importance per neuron instead of per parameter is ours; per parameter it is FIARSE, arXiv
      2407.19389.
    """
    check_measure(measure)

    def order(broadcast: Broadcast) -> dict[str, jax.Array]:
        scores = MEASURES[measure](broadcast)
        if measure == "magnitude":
            scores = jax.tree.map(jnp.square, scores)
        return {
            name: jnp.argsort(jnp.argsort(-total, stable=True))
            for name, total in unit_scores(broadcast.model, scores).items()
        }

    return units.ranked(order, by_size=measure == "magnitude")


def unit_scores(model: Model, scores: PyTree) -> dict[str, jax.Array]:
    """Sums the scores of parameters over the coordinates of each unit.

    Args:
      model: the supernet.
      scores: a score of every parameter, shaped like the params.

    Returns:
      `{group: scores [U]}`.
    """
    totals = {name: jnp.zeros(size) for name, size in model.groups.items()}

    def add(names, leaf):
        for axis, name in enumerate(names):
            if name in totals:
                others = tuple(other for other in range(leaf.ndim) if other != axis)
                totals[name] = totals[name] + jnp.sum(leaf, axis=others)

    units.map_with_axes(add, model.axes, scores)
    return totals

"""Which classes and tokens occur in each client's training data.

HeteroFL's masked loss hides absent classes, and its label split lets a client contribute only
the rows of the head (and of the token embedding) that its own data speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, PyTree, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Model


def present_classes(data: ClientData) -> jax.Array:
    """Tells which classes occur in each client's targets: `[N, K]`, bool."""
    return _occurrences(data, jnp.asarray(data.targets), data.num_classes)


def present_rows(data: ClientData, model: Model) -> dict[str, jax.Array]:
    """Tells which rows of each row axis each client's data speaks of.

    Args:
      data: training examples of all clients.
      model: the supernet.

    Returns:
      `{row axis of the model: [N, rows] bool}`.
    """
    sources = {"classes": data.targets, "tokens": data.inputs}
    return {
        name: _occurrences(data, jnp.asarray(sources[name]), size)
        for name, size in row_axes(model).items()
    }


def row_axes(model: Model) -> dict[str, int]:
    """Returns the row axes of a model, `{name: rows}`; raises a `UserError` if it names none."""
    sizes: dict[str, int] = {}

    def visit(names: tuple, leaf: jax.ShapeDtypeStruct) -> None:
        for name, dim in zip(names, leaf.shape, strict=True):
            if name in units.ROW_AXES:
                sizes[name] = dim

    units.map_with_axes(visit, model.axes, model.shapes)
    if not sizes:
        raise UserError(
            "label_split weighs the rows of classes and tokens, but this model names no axis "
            "'classes' or 'tokens': name the output axis of its head 'classes'"
        )
    return sizes


def row_masks(model: Model, present: Mapping[str, jax.Array]) -> PyTree:
    """Builds masks of the parameters whose rows a client owns.

    Args:
      model: the supernet.
      present: one client's `{row axis: [rows] bool}`.

    Returns:
      Float masks that broadcast to the parameters.
    """
    kept = {name: rows.astype(jnp.float32) for name, rows in present.items()}
    return units.outer(model.shapes, model.axes, kept)


def _occurrences(data: ClientData, values: jax.Array, count: int) -> jax.Array:
    """Marks the values below `count` that occur in each client's rows `[N, count]`."""
    owners = jnp.searchsorted(jnp.asarray(data.offsets), jnp.arange(len(values)), side="right") - 1
    owners = jnp.broadcast_to(owners.reshape(-1, *(1,) * (values.ndim - 1)), values.shape)
    # Negative ids (padding, unknown words) would count from the end.
    values = jnp.where(values < 0, count, values)
    marks = jnp.zeros((data.num_clients, count), bool)
    return marks.at[owners, values].set(True, mode="drop")

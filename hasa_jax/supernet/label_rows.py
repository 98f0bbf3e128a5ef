"""Label rows: the parts of the head and of the token embedding for one class or token each.

A client's training data contains some classes and tokens. HeteroFL's masked loss hides the
absent classes. Its label split lets a client contribute only the label rows whose class or
token its own data contains.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, PyTree, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Model


def present_classes(data: ClientData) -> jax.Array:
    """Returns which classes occur in each client's targets: `[N, K]`, bool."""
    return _occurrences(data, jnp.asarray(data.targets), data.num_classes)


def present_label_rows(data: ClientData, model: Model) -> dict[str, jax.Array]:
    """Returns which classes and tokens occur in each client's data, by label axis.

    Args:
      data: training examples of all clients.
      model: the supernet.

    Returns:
      `{label axis of the model: [N, classes or tokens] bool}`.

    Raises:
      UserError: if the model names no label axis.
    """
    sources = {"classes": data.targets, "tokens": data.inputs}
    return {
        name: _occurrences(data, jnp.asarray(sources[name]), count)
        for name, count in label_row_axes(model).items()
    }


def label_row_axes(model: Model) -> dict[str, int]:
    """Returns the label axes of a model and their lengths.

    Args:
      model: the supernet.

    Returns:
      `{label axis: classes or tokens}`.

    Raises:
      UserError: if the model names no label axis.
    """
    lengths: dict[str, int] = {}

    def visit(names: tuple, leaf: jax.ShapeDtypeStruct) -> None:
        for name, length in zip(names, leaf.shape, strict=True):
            if name in units.LABEL_AXES:
                lengths[name] = length

    units.map_with_axes(visit, model.axes, model.shapes)
    if not lengths:
        raise UserError(
            "`label_split` weighs the label rows of classes and tokens, but this model names no "
            "axis 'classes' or 'tokens': name the output axis of its head 'classes'"
        )
    return lengths


def label_row_masks(model: Model, present: Mapping[str, jax.Array]) -> PyTree:
    """Builds masks of the label rows that a client contributes; all else is 1.

    Args:
      model: the supernet.
      present: one client's `{label axis: [classes or tokens] bool}`.

    Returns:
      Float masks that broadcast to the parameters.
    """
    inside = {name: occurs.astype(jnp.float32) for name, occurs in present.items()}
    return units.outer(model.shapes, model.axes, inside)


def _occurrences(data: ClientData, values: jax.Array, count: int) -> jax.Array:
    """Marks the values below `count` that occur among each client's examples `[N, count]`."""
    owners = jnp.searchsorted(jnp.asarray(data.offsets), jnp.arange(len(values)), side="right") - 1
    owners = jnp.broadcast_to(owners.reshape(-1, *(1,) * (values.ndim - 1)), values.shape)
    # Negative ids (padding, unknown words) would index from the end.
    values = jnp.where(values < 0, count, values)
    marks = jnp.zeros((data.num_clients, count), bool)
    return marks.at[owners, values].set(True, mode="drop")

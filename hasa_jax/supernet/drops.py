"""Which layers of a model drop units: their names in its trace."""

from __future__ import annotations

import collections
from typing import Any

import jax

from hasa_jax.supernet.costs import inner_jaxprs

_SCOPE = "drop "


def key_of_layer(key: jax.Array, layer: str, number: int) -> jax.Array:
    """Returns the key of a layer that drops units; a trace has the layer's name beside it.

    Args:
      key: of the step; it is not consumed.
      layer: name of the layer.
      number: of the layer, the same for the same name.

    Returns:
      The key folded with the number.
    """
    with jax.named_scope(_SCOPE + layer):
        return jax.random.fold_in(key, number)


def layers_that_drop(jaxpr: Any) -> collections.Counter[str]:
    """Counts how often each layer of a trace drops units in one forward pass.

    Args:
      jaxpr: of the forward pass.

    Returns:
      Number of draws by the layer's name. A body of a loop counts once, and of the branches of a
      conditional the one with most draws.
    """
    found: collections.Counter[str] = collections.Counter()
    for equation in jaxpr.eqns:
        scopes = equation.source_info.name_stack.stack
        own = scopes[-1].name if scopes else ""
        if equation.primitive.name == "random_fold_in" and own.startswith(_SCOPE):
            found[own.removeprefix(_SCOPE)] += 1
        inner = [layers_that_drop(each) for each in inner_jaxprs(equation.params)]
        one = equation.primitive.name == "cond"
        total: collections.Counter[str] = collections.Counter()
        for each in inner:
            total = total | each if one else total + each
        found += total
    return found

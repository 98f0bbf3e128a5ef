"""The parameters with which a run starts."""

from __future__ import annotations

import jax

from hasa_jax import keys
from hasa_jax.base import Params
from hasa_jax.supernet.types import Model


def initial_params(model: Model, key: jax.Array) -> Params:
    """Initialises the supernet.

    Args:
      model: the supernet.
      key: root key of the run; it is not consumed.

    Returns:
      Its parameters before round 0.
    """
    return model.init(keys.address(key, keys.Stream.INIT))

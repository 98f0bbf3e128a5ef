"""The library computes in 32 bits, with JAX's usual promotion, whatever a user's switches say."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def in_32_bits(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Makes a function compute the same under `jax_enable_x64` and strict dtype promotion.

    Optimizers of optax do not: Adam promotes its count of steps, to 64 bits or not at all. So the
    switches are taken back while the function runs, in this thread, and not in the user's code.

    Args:
      function: an entry to the library.

    Returns:
      The function; its arrays are float32 and int32.
    """

    @functools.wraps(function)
    def wrapped(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
            return function(*args, **kwargs)

    return wrapped

"""Checks of the numbers that dataset builders take."""

from __future__ import annotations

from hasa_jax.base import UserError


def at_least(least: int, **arguments: int) -> None:
    """Checks that numbers are not too small.

    Args:
      least: smallest allowed value.
      **arguments: values by the name of their argument.

    Raises:
      UserError: if a value is below `least`; the message names its argument.
    """
    for name, value in arguments.items():
        if value < least:
            raise UserError(f"`{name}` is {value}: it must be at least {least}")


def fraction(**arguments: float) -> None:
    """Checks that numbers are in [0, 1].

    Args:
      **arguments: values by the name of their argument.

    Raises:
      UserError: if a value is outside [0, 1]; the message names its argument.
    """
    for name, value in arguments.items():
        if not 0 <= value <= 1:
            raise UserError(f"`{name}` is {value}: it must be between 0 and 1")

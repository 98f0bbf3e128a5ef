"""Checks of the numbers that builders take."""

from __future__ import annotations

from hasa_jax.base import UserError


def at_least(least: int, **arguments: int) -> None:
    """Raises a `UserError` if an argument, told by its name, is below `least`."""
    for name, value in arguments.items():
        if value < least:
            raise UserError(f"{name} is {value}: it must be at least {least}")


def fraction(**arguments: float) -> None:
    """Raises a `UserError` if an argument, told by its name, is not in [0, 1]."""
    for name, value in arguments.items():
        if not 0 <= value <= 1:
            raise UserError(f"{name} is {value}: it must be between 0 and 1")

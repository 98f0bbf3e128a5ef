"""Packages of trackers, which only their users have."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from hasa_jax.base import UserError
from hasa_jax.datasets.messages import one_line


def tracker_package(load: Callable[[], ModuleType], tracker: str, extra: str) -> ModuleType:
    """Imports the package of a tracker.

    Args:
      load: imports it.
      tracker: name of the tracker.
      extra: the extra that installs it.

    Returns:
      The package.

    Raises:
      UserError: if it is missing, or does not work here; it has the command that installs it.
    """
    try:
        return load()
    except Exception as error:
        why = "is not installed" if isinstance(error, ImportError) else "cannot be imported"
        raise UserError(
            f"`tracker` {tracker} {why} ({one_line(error)}): pip install 'hasa_jax[{extra}]'"
        ) from None

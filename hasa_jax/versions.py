"""The version of this package, and those of others that numbers depend on."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence

__version__ = "0.2.0"


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Returns the versions of Python, of this package and of others.

    Args:
      packages: names of the others, as pip has them.

    Returns:
      The versions, by name.
    """
    # What pip has noted of an editable checkout is that of the day on which it was installed.
    own = {"python": platform.python_version(), "hasa_jax": __version__}
    return own | {name: _installed(name) for name in packages}


def _installed(package: str) -> str:
    """Returns the version of a package that pip has noted."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

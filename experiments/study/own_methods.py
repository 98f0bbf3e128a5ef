"""Methods of a user's own, which join by the name of a function that makes one."""

from __future__ import annotations

import functools
import hashlib
import importlib
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hasa_jax.base import UserError
from hasa_jax.methods import METHODS, Method


class OwnMethod(NamedTuple):
    """A method that is not in `METHODS`.

    Attributes:
      where: `module:factory`, as the user wrote it.
      method: what the factory returns.
      source_sha256: hash of the module's file, in hexadecimal digits.
    """

    where: str
    method: Method
    source_sha256: str

    @property
    def recorded(self) -> dict[str, str]:
        """What run.json holds of it beside its parts."""
        return {"own_method": self.where, "source_sha256": self.source_sha256}


def own_methods(places: Sequence[str]) -> dict[str, OwnMethod]:
    """Loads methods of a user's own.

    Args:
      places: `module:factory` of each.

    Returns:
      The methods, by their names.

    Raises:
      UserError: if a module cannot be imported, a factory makes no `Method`, or two methods have
        one name.
    """
    found: dict[str, OwnMethod] = {}
    for own in map(_loaded, places):
        name = own.method.name
        if name in METHODS:
            raise UserError(
                f"`own_method={own.where}` makes method {name!r}, which is a published one: give "
                "it another name"
            )
        if name in found:
            raise UserError(
                f"`own_method`: {found[name].where} and {own.where} both make method {name!r}: "
                "give each another name"
            )
        found[name] = own
    return found


def method_called(places: Sequence[str], name: str) -> Method:
    """Returns a method by its name.

    Args:
      places: of methods of a user's own.
      name: of one of them, or one of `METHODS`.

    Returns:
      The method as it was published, or as its factory makes it.

    Raises:
      UserError: if there is none of this name, or as `own_methods`.
    """
    if name in METHODS:
        return METHODS[name]()
    own = own_methods(places)
    if name not in own:
        known = ", ".join([*own, *sorted(METHODS)])
        raise UserError(f"there is no method {name!r}: use one of {known}")
    return own[name].method


def refuse_idle(places: Sequence[str], running: Sequence[str]) -> None:
    """Refuses methods of a user's own that do not run.

    Args:
      places: `module:factory` of each.
      running: names of the methods that run.

    Raises:
      UserError: naming the method.
    """
    for name, own in own_methods(places).items():
        if name not in running:
            raise UserError(
                f"`own_method={own.where}` makes method {name!r}, which does not run: name it in "
                "`methods`, or as `method`"
            )


def refuse_other_source(
    folder: pathlib.Path,
    there: Mapping[str, Mapping[str, Any]],
    here: Mapping[str, Mapping[str, Any]],
) -> None:
    """Refuses to go on with a method whose source is not that of the runs that are there.

    Args:
      folder: the workdir.
      there: parts of its methods by name, as run.json has them.
      here: parts of the methods that run.

    Raises:
      UserError: naming the method.
    """
    for name in there.keys() & here.keys():
        old, new = (own[name].get("source_sha256") for own in (there, here))
        if old != new:
            raise UserError(
                f"workdir {folder} holds runs of method {name!r} from other source (SHA-256 "
                f"{_short(old)} there, {_short(new)} here): give the method another name, or name "
                "another folder with `workdir`"
            )


@functools.cache
def _loaded(place: str) -> OwnMethod:
    """Imports a module once, and makes its method; the hash is that of what was imported."""
    module_name, _, factory_name = place.partition(":")
    module = _imported(place, module_name)
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise UserError(
            f"`own_method={place}`: module {module_name!r} has no function {factory_name!r}"
        )
    try:
        method = factory()
    except (Exception, SystemExit) as error:  # The function is a user's, and may do anything.
        raise UserError(
            f"`own_method={place}`: {factory_name} cannot be called without arguments "
            f"({type(error).__name__}: {error})"
        ) from None
    if not isinstance(method, Method):
        raise UserError(
            f"`own_method={place}` returns {type(method).__name__}, not a hasa_jax.Method"
        )
    if not method.name.isidentifier():
        raise UserError(
            f"`own_method={place}` makes method {method.name!r}: its name must have only letters, "
            "digits and underscores"
        )
    path = getattr(module, "__file__", None)
    source = pathlib.Path(path).read_bytes() if path else b""
    return OwnMethod(place, method, hashlib.sha256(source).hexdigest())


def _imported(place: str, name: str) -> types.ModuleType:
    """Imports a module of a user's."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"`own_method={place}`: {name} cannot be imported ({error})") from None
        raise UserError(
            f"`own_method={place}`: there is no module {error.name!r}: run where it is, or add its "
            "folder to PYTHONPATH"
        ) from None
    except (Exception, SystemExit) as error:  # The module is a user's, and may do anything.
        raise UserError(
            f"`own_method={place}`: {name} cannot be imported ({type(error).__name__}: {error})"
        ) from None


def _short(digest: str | None) -> str:
    """Returns the first letters of a hash."""
    return digest[:8] if digest else "none"

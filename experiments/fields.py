"""Fields of a configuration: what each of them may hold, and how a bad value is refused."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hasa_jax.base import UserError
from hasa_jax.datasets.paths import path_of

_KNOB = "knob"


@dataclasses.dataclass(frozen=True)
class Knob:
    """What is known of a field beside its type and its default.

    Attributes:
      help: what it does, in a sentence.
      least: smallest value, included.
      most: largest value, included.
      above: values are above it.
      choices: all values of a text; empty for any.
      common: whether most runs need it, so that the short help shows it.
      decides: whether results depend on it.
      path: whether it is a path, or several with commas between them.
      repeats: whether its flag may be given several times, each time with one value more.
    """

    help: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    common: bool = False
    decides: bool = True
    path: bool = False
    repeats: bool = False


class Kind(NamedTuple):
    """Type of a field.

    Attributes:
      of: bool, int, float or str.
      many: whether it holds a tuple of them.
      optional: whether it may be None.
    """

    of: type
    many: bool
    optional: bool


def knob(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    choices: Iterable[str] = (),
    common: bool = False,
    decides: bool = True,
    path: bool = False,
    repeats: bool = False,
) -> Any:
    """Makes a field of a frozen dataclass.

    Args:
      default: its default.
      help: what it does, in a sentence.
      least: smallest value, included.
      most: largest value, included.
      above: values are above it.
      choices: all values of a text; empty for any.
      common: whether most runs need it, so that the short help shows it.
      decides: whether results depend on it.
      path: whether it is a path, or several with commas between them; `~` is the home folder.
      repeats: whether its flag may be given several times, each time with one value more.

    Returns:
      What `dataclasses.field` returns.
    """
    about = Knob(help, least, most, above, tuple(choices), common, decides, path, repeats)
    return dataclasses.field(default=default, metadata={_KNOB: about})


def default_of(function: Callable[..., Any], argument: str) -> Any:
    """Returns the default of an argument, so that it is written once.

    Args:
      function: any function or class.
      argument: name of one of its arguments.

    Returns:
      The default.
    """
    return inspect.signature(function).parameters[argument].default


@functools.cache
def knobs(room: type) -> dict[str, Knob]:
    """Returns what is known of every field of a dataclass, by name."""
    return {field.name: field.metadata[_KNOB] for field in dataclasses.fields(room)}


@functools.cache
def defaults(room: type) -> dict[str, Any]:
    """Returns the default of every field of a dataclass, by name."""
    return {field.name: field.default for field in dataclasses.fields(room)}


@functools.cache
def kinds(room: type) -> dict[str, Kind]:
    """Returns the type of every field of a dataclass, by name."""
    return {name: _kind(hint) for name, hint in typing.get_type_hints(room).items()}


def check(room: Any) -> None:
    """Refuses bad values of a dataclass; lists become tuples, and whole numbers floats.

    Args:
      room: an instance of a frozen dataclass whose fields are made by `knob`.

    Raises:
      UserError: naming the field.
    """
    for name, kind in kinds(type(room)).items():
        value = _checked(name, getattr(room, name), kind, knobs(type(room))[name])
        object.__setattr__(room, name, value)


def _kind(hint: Any) -> Kind:
    """Reads a type hint such as `float`, `str | None` or `tuple[float, ...]`."""
    if isinstance(hint, types.UnionType):
        (hint,) = [part for part in typing.get_args(hint) if part is not types.NoneType]
        return _kind(hint)._replace(optional=True)
    if typing.get_origin(hint) is tuple:
        return Kind(typing.get_args(hint)[0], many=True, optional=False)
    return Kind(hint, many=False, optional=False)


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_ACCEPTED = {
    bool: bool,
    int: numbers.Integral,
    float: numbers.Real,
    str: (str, os.PathLike),
}


def _checked(name: str, value: Any, kind: Kind, about: Knob) -> Any:
    """Returns the value of a field in its own type, or refuses it."""
    if value is None and kind.optional:
        return None
    if not kind.many:
        return _single(name, value, kind.of, about)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UserError(f"`{name}` is {value!r}: it must be a list")
    return tuple(_single(name, item, kind.of, about) for item in value)


def _single(name: str, value: Any, of: type, about: Knob) -> Any:
    """Returns one value in its own type, or refuses it."""
    if not isinstance(value, _ACCEPTED[of]) or (isinstance(value, bool) and of is not bool):
        raise UserError(f"`{name}` is {value!r}: it must be {_NAMES[of]}")
    value = os.fspath(value) if isinstance(value, os.PathLike) else of(value)
    if about.path and value:
        return _expanded(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"`{name}` is {value}: numbers must be finite")
    if of in (int, float):
        _check_range(name, value, about)
    if about.choices and value not in about.choices:
        raise UserError(f"`{name}` is {value!r}: use one of {', '.join(about.choices)}")
    return value


def _check_range(name: str, value: float, about: Knob) -> None:
    """Refuses a number outside its range."""
    low, above = about.least, about.above
    high = math.inf if about.most is None else about.most
    if (low is None or low <= value) and (above is None or above < value) and value <= high:
        return
    parts = [] if above is None else [f"above {above:g}"]
    parts += [] if low is None or high < math.inf else [f"at least {low}"]
    if high < math.inf:
        parts.append(f"between {low} and {high}" if low is not None else f"at most {high}")
    raise UserError(f"`{name}` is {value}: it must be {' and '.join(parts)}")


def _expanded(value: str) -> str:
    """Returns paths with commas between them; the home folder is written out."""
    path_of(value)  # Refuses what no path can be.
    return ",".join(str(path_of(p)) if p.startswith("~") else p for p in value.split(","))

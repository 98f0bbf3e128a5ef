"""A part of a method as text: which functions it is made of, and with which options."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

_DEEPEST = 8
"""How far functions within functions are followed."""

_MOST_NUMBERS = 20
"""Numbers of an array that are written one by one."""


def described(part: Any) -> str:
    """Writes a part so that parts with other options have other texts.

    Functions are written by their names, with what `functools.partial` or an enclosing function
    fixes for them; dataclasses by their fields that are set. Addresses in memory are left out, so
    the text is the same in every process. Parts of other types are written by their type only.

    Args:
      part: a number, a text, a function, a dataclass, or containers of them.

    Returns:
      The text, one line.
    """
    return _text(part, _DEEPEST)


def _text(part: Any, deep: int) -> str:
    """Writes a part; below the deepest level it is dots."""
    if part is None or isinstance(part, bool | int | float | str | np.generic):
        return repr(part.item() if isinstance(part, np.generic) else part)
    if not deep:
        return "..."
    if isinstance(part, functools.partial):
        given = [_text(value, deep - 1) for value in part.args]
        return f"{_text(part.func, deep - 1)}({', '.join([*given, *_pairs(part.keywords, deep)])})"
    if isinstance(part, types.MethodType):
        return f"{_text(part.__self__, deep - 1)}.{part.__name__}"
    if isinstance(part, types.FunctionType):
        cells = zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
        held = {name: cell.cell_contents for name, cell in cells if _filled(cell)}
        name = part.__qualname__.rpartition(".")[2]
        return f"{name}({', '.join(_pairs(held, deep))})" if held else name
    if isinstance(part, np.ndarray | jax.Array):
        return _array_text(np.asarray(part))
    if isinstance(part, list | tuple):
        return f"[{', '.join(_text(value, deep - 1) for value in part)}]"
    if isinstance(part, Mapping):
        return f"{{{', '.join(_pairs(part, deep))}}}"
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        own = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        held = {
            n: v
            for n, v in own.items()
            if not (v is None or v is False or (isinstance(v, tuple) and not v))
        }
        return f"{type(part).__name__}({', '.join(_pairs(held, deep))})"
    if (wrapped := getattr(part, "__wrapped__", None)) is not None:
        return _text(wrapped, deep - 1)
    return part.__name__ if isinstance(part, type) else type(part).__name__


def _array_text(array: np.ndarray) -> str:
    """Writes the numbers of a short array, and a hash of those of a long one."""
    if array.size <= _MOST_NUMBERS:
        return repr(array.tolist())
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype}{list(array.shape)} of SHA-256 {digest[:16]}"


def _pairs(named: Mapping[Any, Any], deep: int) -> list[str]:
    """Writes names and values in the order of the names."""
    return [f"{name}={_text(named[name], deep - 1)}" for name in sorted(named, key=str)]


def _filled(cell: types.CellType) -> bool:
    """Returns whether a variable of an enclosing function has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False

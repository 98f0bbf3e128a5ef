"""What `--help` and `--helpfull` print: the flags of most runs, or all of them, by room."""

from __future__ import annotations

import pathlib
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from experiments import fields
from experiments.config import ROOMS
from experiments.flags import as_flags
from experiments.rooms import number_text
from hasa_jax.methods import METHODS

_SHORT = ("-h", "-help", "--help", "-helpshort", "--helpshort", "-?", "--?")
_FULL = ("-helpfull", "--helpfull")
_WIDTH = 98


def asked_for(argv: Sequence[str], about: str) -> str:
    """Returns the help that a command line asks for.

    Args:
      argv: name of the script, and its arguments.
      about: what the script does.

    Returns:
      The text, with the name by which the script was started; empty if no help is asked for.
    """
    full = any(argument in _FULL for argument in argv[1:])
    if not full and not any(argument in _SHORT for argument in argv[1:]):
        return ""
    return usage(_as_started(about, pathlib.PurePath(argv[0])), full=full)


def _as_started(about: str, program: pathlib.PurePath) -> str:
    """Names an installed script as the user called it: `hasa-train`, say, for `experiments.train`.

    `python -m` starts a file, whose name ends in .py.
    """
    if not program.name.startswith("hasa-"):
        return about
    return re.sub(r"python -m experiments\.\w+", program.stem, about)


def usage(about: str, *, full: bool) -> str:
    """Writes the help of a script.

    Args:
      about: what the script does.
      full: whether to list all flags, and what the methods are.

    Returns:
      The text, of at most 98 columns.
    """
    parts = [about.strip()]
    for room, kind in ROOMS.items():
        lines = [
            line
            for name, knob in fields.knobs(kind).items()
            if full or knob.common
            for line in _flag(name, fields.defaults(kind)[name], knob)
        ]
        if lines:
            parts.append("\n".join([f"{room}: {_first_line(kind)}", *lines]))
    if full:
        parts.append("\n".join(["methods:", *_methods()]))
    else:
        parts.append("--flagfile=FILE reads flags from a file; --helpfull lists all flags.")
    return "\n\n".join(parts)


def _flag(name: str, default: Any, knob: fields.Knob) -> list[str]:
    """Writes the lines of one flag."""
    choices = f" One of {', '.join(knob.choices)}." if knob.choices else ""
    text = f"{as_flags(knob.help)}{choices}"
    own = textwrap.wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return [f"  --{name}{_shown(default)}", *own]


def _shown(default: Any) -> str:
    """Writes a default behind the name of its flag; nothing for one that is empty."""
    if default is None or default == "" or default == ():
        return ""
    if isinstance(default, bool):
        return f"={str(default).lower()}"
    items = default if isinstance(default, tuple) else (default,)
    texts = [number_text(item) if isinstance(item, float) else str(item) for item in items]
    return f"={','.join(texts)}"


def _first_line(kind: type) -> str:
    """Returns the first line of the docstring of a room."""
    return (kind.__doc__ or "").splitlines()[0]


def _methods() -> list[str]:
    """Writes a line for each method."""
    return [f"  {name}: {METHODS[name]().summary}" for name in sorted(METHODS)]

"""Flags of the scripts: made from the fields of a configuration, and read into one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import fields
from experiments.config import ROOM_OF, ROOMS, RunConfig, with_fields
from experiments.rooms import number_text
from hasa_jax.base import UserError

OTHER_NAMES = {
    "capacity": "capacities",
    "devices": "host_devices",
    "dropout": "client_dropout",
    "embed": "embed_dim",
    "feedforward": "feedforward_dim",
    "hidden": "hidden_dim",
    "mode": "execution",
    "projection": "budget_projection",
    "proportions": "level_proportions",
    "scale": "corruption_scale",
    "shared": "shared_units",
    "step": "rolling_step",
    "target": "budget",
    "unit": "budget_unit",
}
"""Flags of arguments of the library that have another name there."""

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def config_from_flags(argv: Sequence[str]) -> tuple[RunConfig, frozenset[str]]:
    """Reads a command line, and the files that its `--flagfile` names.

    Args:
      argv: name of the script, and its arguments.

    Returns:
      The configuration, and the names of the fields that the command line gives.

    Raises:
      UserError: for a value that a field does not take; it names the field.
      flags.Error: for an unknown flag, or a value of another type.
      OSError: if a file of flags cannot be read.
    """
    found = _defined()
    _, *others = found(list(argv))
    if others:
        raise UserError(f"unexpected argument {others[0]!r}: flags are written --name=value")
    given = frozenset(name for name in ROOM_OF if found[name].present)
    values = {name: _value(name, found[name].value) for name in given}
    return with_fields(RunConfig(), values), given


def as_flags(message: str) -> str:
    """Writes the arguments that a message names in backticks as flags, if they have one.

    Args:
      message: such as "lower `batch_size`" or "use `client_block=4`".

    Returns:
      The message, such as "lower --batch_size".
    """

    def flag_of(match: re.Match[str]) -> str:
        name = OTHER_NAMES.get(match["name"], match["name"])
        return f"--{name}{match['value'] or ''}" if name in ROOM_OF else match[0]

    return re.sub(r"`(?P<name>\w+)(?P<value>=[^`]*)?`", flag_of, message)


def _defined() -> flags.FlagValues:
    """Defines a flag for every field; none of them is global."""
    found = flags.FlagValues()
    for room in ROOMS.values():
        for name, kind in fields.kinds(room).items():
            about, default = fields.knobs(room)[name], fields.defaults(room)[name]
            define = flags.DEFINE_list if kind.many else _DEFINE[kind.of]
            shown = list(map(_text, default)) if kind.many else default
            define(name, shown, about.help, flag_values=found)
    return found


def _value(name: str, value: Any) -> Any:
    """Returns the value of a flag as its field takes it: items of a list may be numbers."""
    kind = fields.kinds(ROOMS[ROOM_OF[name]])[name]
    if not kind.many or kind.of is str:
        return value
    try:
        return tuple(map(kind.of, value))
    except ValueError as error:
        raise UserError(f"`{name}={','.join(value)}`: {error}") from None


def _text(item: Any) -> str:
    """Writes an item of a list as a flag has it."""
    return number_text(item) if isinstance(item, float) else item

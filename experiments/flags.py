"""Flags of the scripts: made from the fields of a configuration, and read into one."""

from __future__ import annotations

import difflib
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
    "embed": "embed_dim",
    "feedforward": "feedforward_dim",
    "folds": "eval_folds",
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

_OF_OTHER_TOOLS = {
    "algo": "method",
    "algorithm": "method",
    "arch": "model",
    "beta": "alpha",
    "bs": "batch_size",
    "cache": "compilation_cache",
    "classes": "num_classes",
    "clients": "num_clients",
    "cosine": "lr_milestones",
    "cpus": "host_devices",
    "cross_validation": "eval_folds",
    "cv": "eval_folds",
    "decay": "client_weight_decay",
    "dim": "hidden_dim",
    "dirichlet": "alpha",
    "dtype": "compute_dtype",
    "epoch": "local_epochs",
    "epochs": "local_epochs",
    "file": "data_path",
    "folder": "data_dir",
    "frac": "clients_per_round",
    "fraction": "clients_per_round",
    "gamma": "lr_decay",
    "gpu": "host_devices",
    "gpus": "host_devices",
    "iid": "partition",
    "images": "num_images",
    "iterations": "num_rounds",
    "k_folds": "eval_folds",
    "kfold": "eval_folds",
    "log_dir": "workdir",
    "logdir": "workdir",
    "lr": "client_lr",
    "lr_decay_rate": "lr_decay",
    "lr_step": "lr_milestones",
    "learning_rate": "client_lr",
    "mu": "proximal",
    "net": "model",
    "network": "model",
    "noniid": "partition",
    "optim": "client_optimizer",
    "out": "workdir",
    "output": "workdir",
    "output_dir": "workdir",
    "participation": "clients_per_round",
    "path": "data_path",
    "precision": "compute_dtype",
    "random_seed": "seed",
    "rate": "client_lr",
    "repeats": "num_seeds",
    "resume": "workdir",
    "round": "num_rounds",
    "save_dir": "workdir",
    "schedule": "lr_milestones",
    "scheduler": "lr_milestones",
    "seeds": "num_seeds",
    "steps": "local_epochs",
    "strategy": "method",
    "users": "num_clients",
    "warmup": "lr_milestones",
    "wd": "client_weight_decay",
    "workers": "num_clients",
}
"""What other tools call a flag, or a part of such a name."""

_MOST_SUGGESTED, _LEAST_LIKENESS, _LIKE_LETTERS = 3, 0.3, 0.7

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def config_from_flags(
    argv: Sequence[str], positional: str = ""
) -> tuple[RunConfig, frozenset[str]]:
    """Reads a command line, and the files that its `--flagfile` names.

    Args:
      argv: name of the script, and its arguments.
      positional: field that arguments without a flag are items of; they are refused if empty.

    Returns:
      The configuration, and the names of the fields that the command line gives.

    Raises:
      UserError: for an unknown flag, or a value that a field does not take; it names the field.
      flags.Error: for a value of another type.
      OSError: if a file of flags cannot be read.
    """
    found = _defined()
    try:
        _, *others = found(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise UserError(unknown(error.flagname)) from None
    if others and not positional:
        raise UserError(f"unexpected argument {others[0]!r}: flags are written --name=value")
    given = frozenset(name for name in ROOM_OF if found[name].present)
    values = {name: _value(name, found[name].value) for name in given}
    if others and positional in given:
        raise UserError(f"`{positional}` is given as a flag and without one: use one of them")
    if others:
        given, values = given | {positional}, {**values, positional: ",".join(others)}
    return with_fields(RunConfig(), values), given


def value_of(name: str, text: str) -> Any:
    """Reads the value of one field as its flag would.

    Args:
      name: of the field.
      text: as it stands behind `=` on a command line.

    Returns:
      The value, which the field takes.

    Raises:
      UserError: for an unknown field, or a value that it does not take; it names the field.
    """
    if name not in ROOM_OF:
        raise UserError(unknown(name))
    try:
        config, _ = config_from_flags(["", f"--{name}={text}"])
    except flags.Error as error:
        raise UserError(str(error)) from None
    return getattr(getattr(config, ROOM_OF[name]), name)


def suggested(unknown: str) -> list[str]:
    """Returns the flags that a user may mean by one that there is not.

    Args:
      unknown: its name, such as `lr`, `n_rounds` or `client_learning_rate`.

    Returns:
      At most three names of flags, best first: what other tools or the library call so, and
      those that share parts or most letters of the name. Of a name of several known words, the
      last one counts most: `lr_schedule` is a schedule.
    """
    name = unknown.lower().replace("-", "_")
    known = {**OTHER_NAMES, **_OF_OTHER_TOOLS}
    if name in known:
        return [known[name]]
    parts = name.split("_")
    found = {flag: _likeness(name, flag) for flag in ROOM_OF}
    for place, word in enumerate(parts, 1):
        if word in known:
            found[known[word]] = (1 + place / len(parts)) / 2
    least = max(_LEAST_LIKENESS, max(found.values()) / 2)
    near = [flag for flag in found if found[flag] >= least]
    return sorted(near, key=lambda flag: -found[flag])[:_MOST_SUGGESTED]


def unknown(name: str) -> str:
    """Says that there is no such flag, and which ones a user may mean.

    Args:
      name: what the user calls it.

    Returns:
      A message of one line.
    """
    near = " or ".join(f"--{flag}" for flag in suggested(name))
    return f"there is no flag --{name}: " + (
        f"did you mean {near}?" if near else "--helpfull lists all flags"
    )


def _likeness(name: str, flag: str) -> float:
    """Returns how alike two names are, from 0 to 1, by their parts and by their letters."""
    one, other = set(name.split("_")), set(flag.split("_"))
    by_parts = len(one & other) / len(one | other)
    by_letters = difflib.SequenceMatcher(None, name, flag).ratio()
    return max(by_parts, by_letters if by_letters >= _LIKE_LETTERS else 0.0)


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
            of_many = flags.DEFINE_multi_string if about.repeats else flags.DEFINE_list
            define = of_many if kind.many else _DEFINE[kind.of]
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

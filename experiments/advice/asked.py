"""What advice reads of a configuration."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from experiments.advice.policies import named_policies
from experiments.config import ROOM_OF, RunConfig, to_json, with_fields
from experiments.study import manifest
from experiments.study.unused import refuse_unused_of_data
from hasa_jax.base import UserError

_READ = frozenset(
    {
        *("batch_size", "client_optimizer", "client_momentum", "local_epochs", "seed", "policies"),
        *("workdir", "picture_formats", "compilation_cache", "host_devices"),
    }
)
"""Fields that advice reads, beside those of `_ROOMS`."""

_ROOMS = ("advice", "data", "model", "method", "allocation")
_NOT_READ = frozenset({"budget", "policy", "reallocate_every", "need_objective", "own_method"})
_OF_SHAPES = ("image_size", "max_length", "num_classes", "vocab_size")
"""Fields of data that a file of clients needs for its model."""


def by_data(config: RunConfig, given: Set[str]) -> bool:
    """Returns whether advice is on the clients of a data set, and not only of a file."""
    return "dataset" in given or not config.advice.clients_path


def check_asked(config: RunConfig, given: Set[str]) -> None:
    """Refuses fields that advice does not read, and those that contradict each other.

    Args:
      config: the configuration.
      given: fields that the user gave.

    Raises:
      UserError: naming the field.
    """
    for name in sorted(given):
        if name in _NOT_READ or (name not in _READ and ROOM_OF[name] not in _ROOMS):
            raise UserError(f"advise does not read `{name}`: leave it out")
    if by_data(config, given):
        refuse_unused_of_data(config.data, given)
        if "image_channels" in given:
            raise UserError(
                "`image_channels` is for `clients_path` without `dataset`: leave it out"
            )
    else:
        for name in sorted(given):
            if ROOM_OF[name] == "data" and name not in _OF_SHAPES:
                raise UserError(
                    f"`{name}` is of data, but `clients_path` has none: name a `dataset`, or leave "
                    "it out; the file's own columns are named client, examples, ..."
                )
    if config.advice.clients_path and "capacities" in given:
        raise UserError("give what devices hold in `clients_path` or by `capacities`, not by both")
    if config.advice.measure_rate and "macs_per_second" in given:
        raise UserError("`measure_rate` measures `macs_per_second`: give one of them")


def asked(config: RunConfig, given: Set[str]) -> dict[str, dict[str, Any]]:
    """Returns what advice depends on, but for the file of clients.

    Args:
      config: the configuration, with the name of the model.
      given: fields that the user gave.

    Returns:
      JSON by room and name, as `manifest.recorded` has it.
    """
    config = with_fields(config, {"policies": named_policies(config, given)})
    rooms = {**manifest.recorded(config), "advice": to_json(config)["advice"]}
    left_out = _NOT_READ | {"clients_path"}
    found = {
        room: {
            name: value
            for name, value in own.items()
            if name not in left_out
            and (room in _ROOMS or name in _READ)
            and (room != "data" or by_data(config, given) or name in _OF_SHAPES)
        }
        for room, own in rooms.items()
    }
    return {room: own for room, own in found.items() if own}

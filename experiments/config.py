"""One configuration: everything that a user decides about a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments import fields
from experiments.rooms import (
    AdviceConfig,
    AllocationConfig,
    ComparisonConfig,
    DataConfig,
    ExecutionConfig,
    FaultsConfig,
    MethodConfig,
    ModelConfig,
    ReportingConfig,
    SweepConfig,
    TrainingConfig,
    check_methods,
)
from hasa_jax.base import UserError


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a user decides about a run; an empty one is a run of every default.

    Attributes:
      data: where the examples come from, and which client has which.
      model: the supernet.
      method: the method and its parts.
      allocation: which client trains at which width.
      training: how clients and the server train.
      faults: clients that fail.
      execution: how the run uses the machine.
      comparison: the arms of the table and their seeds.
      reporting: what the run writes, and where.
      sweep: which runs a sweep has.
      advice: what advise is asked.
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    method: MethodConfig = dataclasses.field(default_factory=MethodConfig)
    allocation: AllocationConfig = dataclasses.field(default_factory=AllocationConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    faults: FaultsConfig = dataclasses.field(default_factory=FaultsConfig)
    execution: ExecutionConfig = dataclasses.field(default_factory=ExecutionConfig)
    comparison: ComparisonConfig = dataclasses.field(default_factory=ComparisonConfig)
    reporting: ReportingConfig = dataclasses.field(default_factory=ReportingConfig)
    sweep: SweepConfig = dataclasses.field(default_factory=SweepConfig)
    advice: AdviceConfig = dataclasses.field(default_factory=AdviceConfig)

    def __post_init__(self) -> None:
        """Refuses methods to compare that are neither published nor the user's own."""
        check_methods(self.comparison.methods, own=bool(self.method.own_method))


ROOMS: dict[str, type] = {
    field.name: type(getattr(RunConfig(), field.name)) for field in dataclasses.fields(RunConfig)
}
"""Type of every room of a configuration, by its name."""

ROOM_OF = {name: room for room, kind in ROOMS.items() for name in fields.knobs(kind)}
"""Room of every field; no two fields have one name."""


def with_fields(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Returns a configuration with some fields changed.

    Args:
      config: the others' values.
      values: by the name of the field.

    Returns:
      The configuration.

    Raises:
      UserError: for an unknown field or a bad value.
    """
    for name in values:
        if name not in ROOM_OF:
            raise UserError(f"there is no field {name!r} in a configuration")
    rooms = {
        room: dataclasses.replace(
            getattr(config, room), **{n: value for n, value in values.items() if ROOM_OF[n] == room}
        )
        for room in ROOMS
    }
    return RunConfig(**rooms)


def to_json(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Returns a configuration as JSON holds it: `{room: {field: value}}`, with lists."""
    return {
        room: {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(getattr(config, room)).items()
        }
        for room in ROOMS
    }


def from_json(tree: Mapping[str, Mapping[str, Any]]) -> RunConfig:
    """Returns the configuration of `to_json`.

    Args:
      tree: `{room: {field: value}}`; what is not there has its default.

    Returns:
      The configuration.

    Raises:
      UserError: for an unknown room or field, or a bad value.
    """
    values: dict[str, Any] = {}
    for room, own in tree.items():
        for name, value in own.items():
            if ROOM_OF.get(name) != room:
                raise UserError(f"there is no field {name!r} in room {room!r} of a configuration")
            values[name] = value
    return with_fields(RunConfig(), values)


def deciding(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Returns as JSON the fields that results depend on; two runs that agree in them are equal."""
    found = {
        room: {
            name: own[name] for name, about in fields.knobs(ROOMS[room]).items() if about.decides
        }
        for room, own in to_json(config).items()
    }
    return {room: own for room, own in found.items() if own}

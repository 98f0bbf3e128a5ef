"""The one mesh of a run: the devices of all processes, by what they share.

Devices along `seeds` run different trials, those along `clients` share the cohort of a trial, and
those along `model` share the parameters of the supernet. Only this module makes meshes.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from hasa_jax.base import UserError

SEEDS, CLIENTS, MODEL = "seeds", "clients", "model"

AXES = (SEEDS, CLIENTS, MODEL)
"""Names of the axes. The last ones are nearest: devices along `model` talk the most."""

AUTO = "auto"
"""As many seeds at once as divide the trials, and all other devices for the clients."""

_HOW = "write it as `auto`, or as axes and numbers of devices, such as seeds:2,clients:4"


class MeshShape(NamedTuple):
    """Devices along each axis; static.

    Attributes:
      seeds: share the trials of a program.
      clients: share a cohort, `P`.
      model: share the parameters.
    """

    seeds: int = 1
    clients: int = 1
    model: int = 1

    @property
    def size(self) -> int:
        """Number of devices."""
        return math.prod(self)

    def __str__(self) -> str:
        """Returns it as a user writes it."""
        return ",".join(f"{axis}:{number}" for axis, number in zip(AXES, self, strict=True))


def parse_mesh(text: str) -> MeshShape | None:
    """Reads a mesh as a user writes it.

    Args:
      text: `auto`, or `axis:devices` separated by commas; an axis that is left out has 1.

    Returns:
      The shape; None for `auto`.

    Raises:
      UserError: if it is written in another way.
    """
    if text == AUTO:
        return None
    sizes: dict[str, int] = {}
    for part in text.split(","):
        axis, _, number = part.strip().partition(":")
        if axis not in AXES or axis in sizes:
            found = "twice in" if axis in sizes else "no axis of"
            raise UserError(f"{axis!r} is {found} `mesh` {text!r} ({', '.join(AXES)}): {_HOW}")
        if not (number.isascii() and number.isdigit() and int(number) > 0):
            raise UserError(f"`mesh` {text!r} has {number!r} devices along {axis}: {_HOW}")
        sizes[axis] = int(number)
    return MeshShape(**sizes)


def mesh_shape(text: str, trials: int) -> MeshShape:
    """Returns the devices that some trials run on.

    Args:
      text: see `parse_mesh`.
      trials: how many share a program.

    Returns:
      The shape.

    Raises:
      UserError: if there are fewer devices, a process has none of the mesh, or the seeds do not
        divide the trials.
    """
    available = len(jax.devices())
    wanted = parse_mesh(text)
    if wanted is None:
        seeds = math.gcd(trials, available)
        return MeshShape(seeds=seeds, clients=available // seeds)
    if wanted.size > available:
        raise UserError(
            f"`mesh` {text} needs {wanted.size} devices, but JAX has {available} "
            f"({jax.default_backend()}): use a smaller mesh, or `auto` for all of them"
        )
    if wanted.size < available and jax.process_count() > 1:
        raise UserError(
            f"`mesh` {text} needs {wanted.size} devices of {available}, but every process must "
            "take part: use all of them, or `auto`"
        )
    if trials % wanted.seeds:
        raise UserError(
            f"`mesh` {text} shares {trials} trials among {wanted.seeds} devices along seeds: use "
            "a number that divides them (see `seeds_per_program`)"
        )
    return wanted


@functools.cache
def mesh_of(shape: MeshShape) -> Mesh:
    """Returns the mesh of the first devices, in the order of their processes."""
    ordered = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    devices = np.array(ordered[: shape.size]).reshape(shape)
    return Mesh(devices, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def holders(shape: MeshShape) -> int:
    """Returns how many groups of processes share a cohort; each holds clients of its own.

    Args:
      shape: the mesh.

    Returns:
      A number that divides the devices along `clients`; 1 if one process has them all.
    """
    processes = [{d.process_index for d in place.flat} for place in mesh_of(shape).devices[0]]
    changes = sum(one != other for one, other in itertools.pairwise(processes))
    return math.gcd(changes + 1, shape.clients)

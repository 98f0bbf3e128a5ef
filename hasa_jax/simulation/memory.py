"""How much memory a run needs, told before it starts, and how much there is.

Parts are counted from shapes alone; activations are the values that `jax.vjp` keeps of a local
step, whatever the architecture. XLA fuses, copies and reorders as it likes, so the sum is an
estimate within a factor of two of what its CPU compiler allots: a quarter high for Transformers,
40 % low for ResNets. Evaluation, calibration of static norms included, is not counted.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.extend import core

from hasa_jax.base import ClientData, Cohort, Kind, Params, PyTree, UserError
from hasa_jax.client.training import LocalRule
from hasa_jax.execution.broadcast import broadcast_fn
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.subnets import masked_subnet, sliced_subnet
from hasa_jax.supernet.types import LocalStep, Subnet

_PLAN_BYTES = 24  # Of an example while batches are planned: keys, draws, orders, row numbers.


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """Bytes that one device needs; a client's parts are those of the largest kind.

    Attributes:
      data: examples of all splits that lie on the device.
      server: supernet and server optimizer state, before and after a round.
      sums: sums of updates and of their weights; a robust mean needs every update of a round
        instead, and a sorted copy.
      params: what a client trains, and what it was sent if that is a copy of its own.
      gradients: gradients of what it trains.
      optimizer: local optimizer state.
      activations: what the backward pass of a local step needs.
      plan: which examples make up its batches.
      inserted: its update and weights in supernet coordinates.
      lanes: clients that run together.
    """

    data: int
    server: int
    sums: int
    params: int
    gradients: int
    optimizer: int
    activations: int
    plan: int
    inserted: int
    lanes: int

    @property
    def per_lane(self) -> int:
        """Bytes of one client: while it trains, or while its update is inserted."""
        training = self.gradients + self.optimizer + self.activations + self.plan
        return self.params + max(training, self.inserted)

    @property
    def per_block(self) -> int:
        """Bytes of the clients that run together."""
        return self.lanes * self.per_lane

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return self.data + self.server + self.sums + self.per_block

    def describe(self) -> str:
        """Says in one line what takes how much."""
        names = [field.name for field in dataclasses.fields(self)]
        parts = [f"{name} {_readable(getattr(self, name))}" for name in names[:-1]]
        return (
            f"{_readable(self.total)} = {', '.join(parts[:3])}, {self.lanes} x "
            f"{_readable(self.per_lane)} for clients ({', '.join(parts[3:])})"
        )


def memory_need(
    algorithm: FederatedAlgorithm,
    splits: Sequence[ClientData],
    cohort: Cohort,
    trials: int = 1,
) -> MemoryNeed:
    """Predicts what one device needs to train.

    Args:
      algorithm: from `partial_training`.
      splits: what lies on the device of one seed, its training examples first.
      cohort: clients of a round, or of several, stacked.
      trials: seeds whose data and states lie on the device; they train one after the other.

    Returns:
      The need.
    """
    rule = algorithm.rule
    kind, model = cohort.kinds[0], algorithm.model  # The largest kind comes first.
    # Masked clients start from the server's own copy.
    shared = kind == Kind(algorithm.extraction.shape(model, max(model.groups.values())), False)
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    slot = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), cohort)
    make = functools.partial(_subnet, algorithm, None if shared else kind)
    params, masks, activations = _step(make, rule, algorithm.batch_size, (state, splits[0], slot))
    own, supernet = _bytes(params), _bytes(model.shapes)
    slots = math.prod(cohort.index.shape[-3:])
    # With weights for each row of classes and tokens, weights are as large as kernels.
    inserted = supernet + (supernet if algorithm.label_split else _bytes(masks))
    return MemoryNeed(
        data=trials * sum(_bytes(split) for split in splits),
        server=2 * trials * _bytes(state),
        sums=inserted * (1 if algorithm.robust == "none" else 2 * slots),
        params=own if shared else 2 * own,
        gradients=own,
        optimizer=_bytes(jax.eval_shape(rule.optimizer.init, params)),
        activations=activations,
        plan=_PLAN_BYTES * algorithm.local_epochs * cohort.num_batches * algorithm.batch_size,
        inserted=inserted,
        lanes=cohort.index.shape[-1],
    )


def available_bytes(device: Any, root: Path = Path("/")) -> int | None:
    """Returns the memory that a run may take on a device.

    Args:
      device: a `jax.Device`: an accelerator, which tells its own limit; or a CPU, whose memory is
        what is free of the machine's, or of a control group's around this process if less.
      root: where `proc` and `sys` are.

    Returns:
      Bytes; None for an accelerator that does not tell.
    """
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    told = 1024 * _numbers(root / "proc/meminfo").get("MemAvailable", 0)
    machine = told or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_group_bytes(root)])


def check_fits(need: MemoryNeed, available: int | None, devices: Sequence[Any]) -> None:
    """Refuses a run that its devices have no room for.

    Args:
      need: what each device needs.
      available: bytes that a device has, from `available_bytes`; None passes.
      devices: the `jax.Device`s that share a cohort.

    Raises:
      UserError: if the need is larger.
    """
    # Devices of a CPU are threads of one process.
    copies = len(devices) if devices[0].platform == "cpu" else 1
    if available is None or copies * need.total <= available:
        return
    share, steps = available // copies, ["a smaller --batch_size, then a smaller --hidden_dim"]
    streams = need.data > share // 2
    room = share - need.total + need.per_block + streams * need.data
    if (block := max(1, room // need.per_lane)) < need.lanes:
        steps.insert(0, f"--client_block={block}")
    if streams:
        steps.insert(0, "--stream, which keeps only a round's examples on the device")
    who = f"{copies} host devices, which share one memory, need" if copies > 1 else "a device needs"
    raise UserError(
        f"{who} about {_readable(copies * need.total)}, but {_readable(available)} are available: "
        f"use {', then '.join(steps)} (a device: {need.describe()})"
    )


def _subnet(algorithm: FederatedAlgorithm, kind: Kind | None, *known: Any) -> Subnet:
    """Makes the subnet of a client's slot: at a kind, or at full size with zeros for None."""
    model, extraction, (state, data, slot) = algorithm.model, algorithm.extraction, known
    sent = broadcast_fn(model, state, data, algorithm.batch_size)(slot.index)
    if kind is not None:
        return sliced_subnet(model, extraction, sent, slot, kind)
    prepared = extraction.prepare and extraction.prepare(sent.params, model)
    return masked_subnet(model, extraction, sent, slot, prepared)


def _step(make: Callable[..., Subnet], rule: LocalRule, batch_size: int, known: tuple) -> tuple:
    """Traces a local step: shapes of params and masks, bytes that its backward pass needs."""
    data = known[1]

    def residuals(known: tuple, inputs: Any, targets: Any, valid: Any, present: Any) -> PyTree:
        state, subnet = known[0], make(*known)

        def loss(params: Params) -> tuple[jax.Array, Any]:
            def forward(sizes: Any) -> tuple[jax.Array, ...]:
                return subnet.forward(params, inputs, valid=valid, train=True, sizes=sizes)[0]

            drawn = rule.draw and rule.draw(state.key, own=subnet.sizes)
            seen = present if rule.objective.own_classes else None
            return rule.objective.loss(
                LocalStep(forward, targets, valid, drawn, subnet.exits, seen, state.round)
            )

        return subnet.params, subnet.masks, jax.vjp(loss, subnet.params, has_aux=True)[1]

    batch = [
        jax.ShapeDtypeStruct((batch_size, *values.shape[1:]), values.dtype)
        for values in (data.inputs, data.targets)
    ]
    flags = [jax.ShapeDtypeStruct((size,), bool) for size in (batch_size, data.num_classes)]
    closed, (params, masks, _) = jax.make_jaxpr(residuals, return_shape=True)(known, *batch, *flags)
    outputs = closed.jaxpr.outvars
    own, first = (len(jax.tree.leaves(tree)) for tree in (params, (params, masks)))
    # A value that is kept for two operations is one; parameters are counted elsewhere.
    kept = {value for value in outputs[first:] if isinstance(value, core.Var)}
    kept -= {*outputs[:own], *closed.jaxpr.invars}
    return params, masks, _bytes([value.aval for value in kept])


def _bytes(tree: PyTree) -> int:
    """Counts the bytes of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _group_bytes(root: Path) -> list[int]:
    """Returns what is free in the control groups around this process that have a limit."""
    free, groups = [], root / "proc/self/cgroup"
    text = groups.read_text(encoding="utf-8") if groups.is_file() else ""
    for controller, name in re.findall(r"^\d+:(memory|):/(.*)$", text, re.MULTILINE):
        own = root / "sys/fs/cgroup" / controller / name
        for folder in (own, *own.parents):
            use = _numbers(folder / "memory.stat")
            # Pages of files are dropped when memory is short. Groups are of version 2 or 1.
            used = use.get("anon", 0) or use.get("total_rss", 0)
            for file in ("memory.max", "memory.limit_in_bytes"):
                free += [limit - used for limit in _numbers(folder / file).values()]
    return free


def _numbers(path: Path) -> dict[str, int]:
    """Reads each line's first number by the word before it, or by "" if it stands alone."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.findall(r"^(?:(\S+?):? +)?(\d+)\b", text, re.MULTILINE)
    return {name: int(number) for name, number in found}


def _readable(number: float) -> str:
    """Writes bytes in MiB, or in GiB from one on."""
    return f"{number / 2**20:.1f} MiB" if number < 2**30 else f"{number / 2**30:.1f} GiB"

"""One client's local training: optax steps on its subnet.

Everything here is written for one client; execution maps it over a cohort.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from hasa_jax.base import ClientData, ClientMetrics, Params, PyTree
from hasa_jax.client.augmentation import Augmented, AugmentFn, augment_batch
from hasa_jax.client.batches import Batch, Batches, take_batch
from hasa_jax.client.objectives.objective import LocalStep, Objective
from hasa_jax.client.target_chunks import largest, targets_of
from hasa_jax.supernet import losses, units
from hasa_jax.supernet.subnet import Subnet, confine, forward
from hasa_jax.supernet.types import Drawn


class LocalRule(NamedTuple):
    """How clients train, beside their batches; the same for all clients.

    Attributes:
      optimizer: local optax transformation, fresh each round.
      objective: what is minimised.
      proximal: FedProx's `mu`; adds `mu / 2 ||theta_i - theta||^2`.
      levels: widths of ordered dropout; each step draws one of them. Empty without it.
      chunk: targets of texts whose logits are computed at once; 0 for all of a batch.
      augment: random change of each training input, or None.
    """

    optimizer: optax.GradientTransformation
    objective: Objective
    proximal: float = 0.0
    levels: tuple[float, ...] = ()
    chunk: int = 0
    augment: AugmentFn | None = None


class LocalTask(NamedTuple):
    """One client's task in one round.

    Attributes:
      batches: its batches.
      key: key of its draws; step t folds in t.
      round: communication round, int32 scalar.
      present: classes of its training data `[K]`, bool, or None.
      scale: factor on every optimizer step, a scalar: the learning-rate schedule over rounds.
      lane_axis: name of the axis of clients that run in one `vmap`; None without (static).
      augmented: what its augmentation depends on; None without.
      units: key of what the model draws for its units; None if it draws nothing.
    """

    batches: Batches
    key: jax.Array
    round: jax.Array
    present: jax.Array | None
    scale: jax.Array
    lane_axis: str | None
    augmented: Augmented | None = None
    units: jax.Array | None = None


def local_training(
    subnet: Subnet, data: ClientData, task: LocalTask, rule: LocalRule
) -> tuple[Params, ClientMetrics]:
    """Trains one client's subnet on its batches, from a fresh optimizer state.

    A batch without a target (padding, or only unknown words) changes neither the parameters
    nor the optimizer's state. The loop ends with the client's own last batch.

    Args:
      subnet: the client's subnet, its params being the broadcast ones.
      data: training examples of all clients.
      task: the client's batches and keys.
      rule: how clients train.

    Returns:
      The update `theta_i - theta` over the subnet's params, and metrics summed over the steps.
    """
    start = (subnet.params, rule.optimizer.init(subnet.params), losses.no_metrics())
    step = functools.partial(_step, subnet, data, task, rule)
    steps = largest(task.batches.used, task.lane_axis)
    params, _, total = jax.lax.fori_loop(0, steps, step, start)
    return jax.tree.map(jnp.subtract, params, subnet.params), total


def _step(
    subnet: Subnet,
    data: ClientData,
    task: LocalTask,
    rule: LocalRule,
    number: jax.Array,
    carry: tuple[Params, PyTree, ClientMetrics],
) -> tuple[Params, PyTree, ClientMetrics]:
    """Takes one optimizer step."""
    params, opt_state, total = carry
    batch, draws = local_batch(subnet, data, task, rule, number)
    gradient = jax.grad(batch_loss, has_aux=True)
    grads, sums = gradient(params, subnet, task, rule, batch, draws)
    steps, new_opt_state = rule.optimizer.update(grads, opt_state, params)
    # Weight decay must not move what the client does not hold.
    steps = confine(subnet, jax.tree.map(lambda s: task.scale * s, steps))
    new = (optax.apply_updates(params, steps), new_opt_state)
    took_part = sums.loss_count > 0
    new = jax.tree.map(lambda n, o: jnp.where(took_part, n, o), new, (params, opt_state))
    return *new, jax.tree.map(jnp.add, total, sums)


class StepDraws(NamedTuple):
    """What one local step draws.

    Attributes:
      drawn: what ordered dropout drew, or None.
      units: key of what the model draws for its units; None if it draws nothing.
    """

    drawn: Drawn | None
    units: jax.Array | None


def local_batch(
    subnet: Subnet, data: ClientData, task: LocalTask, rule: LocalRule, number: jax.Array
) -> tuple[Batch, StepDraws]:
    """Returns the batch of a local step, augmented, and what the step draws.

    Args:
      subnet: the client's subnet.
      data: training examples of all clients.
      task: the client's batches and keys.
      rule: how clients train.
      number: number of the step, int32 scalar.

    Returns:
      The batch and the draws.
    """
    batch = take_batch(data, task.batches, number)
    if rule.augment is not None:
        assert task.augmented is not None
        batch = augment_batch(rule.augment, task.augmented, batch, task.batches, number)
    drawn = None
    if rule.levels:
        key = jax.random.fold_in(task.key, number)
        own = Drawn(subnet.width, subnet.kept)
        drawn = units.draw_kept(key, subnet.model, rule.levels, own)
    key = None if task.units is None else jax.random.fold_in(task.units, number)
    return batch, StepDraws(drawn, key)


def batch_loss(
    params: Params,
    subnet: Subnet,
    task: LocalTask,
    rule: LocalRule,
    batch: Batch,
    draws: StepDraws,
) -> tuple[jax.Array, ClientMetrics]:
    """Returns what a local step minimises.

    Args:
      params: parameters shaped like `subnet.params`.
      subnet: the client's subnet, its params being the broadcast ones.
      task: the client's task.
      rule: how clients train.
      batch: the step's batch.
      draws: what the step draws.

    Returns:
      The loss, a scalar, and the metrics of the batch.

    References:
      The proximal term: FedProx, arXiv 1812.06127.
    """
    drawn = draws.drawn
    loss, sums = rule.objective.loss(
        LocalStep(
            forward=functools.partial(
                forward,
                subnet,
                params,
                batch.inputs,
                valid=batch.valid,
                train=True,
                defer_logits=True,
                kept_width=None if drawn is None else drawn.width,
                key=draws.units,
            ),
            targets=targets_of(batch, rule.chunk, task.lane_axis),
            drawn=None if drawn is None else drawn.kept,
            exits=subnet.exits,
            present=task.present,
            round=task.round,
        )
    )
    if rule.proximal:
        moved = jax.tree.map(jnp.subtract, params, subnet.params)
        loss += 0.5 * rule.proximal * optax.tree.norm(moved, squared=True)
    return loss, sums

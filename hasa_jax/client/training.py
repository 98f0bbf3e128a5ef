"""One client's local work: optax steps on its subnet, evaluation, calibration.

Everything here is written for one client; execution maps it over a cohort.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hasa_jax.base import ClientData, ClientMetrics, Params, PyTree
from hasa_jax.client import batches
from hasa_jax.client.batches import BatchPlan
from hasa_jax.supernet import losses
from hasa_jax.supernet.types import LocalStep, Objective, Sizes, Subnet


class LocalRule(NamedTuple):
    """How clients train, beside their batches.

    Attributes:
      optimizer: local optax transformation, fresh each round.
      objective: what is minimised.
      proximal: FedProx's `mu`; adds `mu / 2 ||theta_i - theta||^2`.
      draw: `(step key, own=sizes) -> sizes` of ordered dropout, or None.
      positions: rising numbers of targets; a batch of texts computes logits at as many
        positions as the first number that holds its targets, or at all.
    """

    optimizer: optax.GradientTransformation
    objective: Objective
    proximal: float = 0.0
    draw: Callable[..., Sizes] | None = None
    positions: tuple[int, ...] = ()


class LocalTurn(NamedTuple):
    """One client's turn in one round.

    Attributes:
      plan: its batches.
      key: key of its draws; step t folds in t.
      round: communication round, int32 scalar.
      present: classes of its training data `[K]`, bool, or None.
      scale: factor on every optimizer step, a scalar: the learning-rate schedule over rounds.
      over_lanes: the largest of a scalar over the clients that run together.
    """

    plan: BatchPlan
    key: jax.Array
    round: jax.Array
    present: jax.Array | None
    scale: jax.Array
    over_lanes: Callable[[jax.Array], jax.Array] = lambda value: value


class EvaluationTurn(NamedTuple):
    """One client's turn in an evaluation.

    Attributes:
      plan: its batches.
      moments: calibrated moments of static norms, or None.
      present: classes that the client may predict `[K]`, bool; None for all.
      positions: as in `LocalRule`.
      over_lanes: as in `LocalTurn`.
    """

    plan: BatchPlan
    moments: PyTree | None
    present: jax.Array | None
    positions: tuple[int, ...]
    over_lanes: Callable[[jax.Array], jax.Array]


def local_training(
    subnet: Subnet, data: ClientData, turn: LocalTurn, rule: LocalRule
) -> tuple[Params, ClientMetrics]:
    """Trains one client's subnet on its batches, from a fresh optimizer state.

    A batch without a target (padding, or only unknown words) changes neither the parameters
    nor the optimizer's state. The loop ends with the client's own last batch.

    Args:
      subnet: the client's subnet, its params being the broadcast ones.
      data: training examples of all clients.
      turn: the client's batches and keys.
      rule: how clients train.

    Returns:
      The update `theta_i - theta` over the subnet's params, and metrics summed over the steps.
    """
    plan = turn.plan

    def gradients(params: Params, t: jax.Array) -> tuple[Params, ClientMetrics]:
        rows, valid = plan.rows[t], plan.valid[t]
        inputs, targets = jnp.asarray(data.inputs)[rows], jnp.asarray(data.targets)[rows]
        drawn = rule.draw and rule.draw(jax.random.fold_in(turn.key, t), own=subnet.sizes)

        def at(wanted: jax.Array | None, targets: jax.Array, valid: jax.Array):
            def loss_fn(params: Params) -> tuple[jax.Array, ClientMetrics]:
                forward = functools.partial(
                    _logits, subnet, params, inputs, valid=plan.valid[t], wanted=wanted
                )
                loss, sums = rule.objective.loss(
                    LocalStep(
                        forward=forward,
                        targets=targets,
                        valid=valid,
                        drawn=drawn,
                        exits=subnet.exits,
                        present=turn.present,
                        round=turn.round,
                    )
                )
                if rule.proximal:
                    moved = jax.tree.map(jnp.subtract, params, subnet.params)
                    loss += 0.5 * rule.proximal * optax.tree.norm(moved, squared=True)
                return loss, sums

            return jax.grad(loss_fn, has_aux=True)(params)

        return batches.at_targets(at, targets, valid, rule.positions, turn.over_lanes)

    def step(t: jax.Array, carry):
        params, opt_state, total = carry
        grads, sums = gradients(params, t)
        steps, new_opt_state = rule.optimizer.update(grads, opt_state, params)
        # Weight decay must not move what the client does not hold.
        steps = subnet.confine(jax.tree.map(lambda s: turn.scale * s, steps))
        new = (optax.apply_updates(params, steps), new_opt_state)
        took_part = sums.loss_count > 0
        new = jax.tree.map(lambda n, o: jnp.where(took_part, n, o), new, (params, opt_state))
        return *new, jax.tree.map(jnp.add, total, sums)

    start = (subnet.params, rule.optimizer.init(subnet.params), _no_metrics())
    params, _, total = jax.lax.fori_loop(0, turn.over_lanes(plan.used), step, start)
    return jax.tree.map(jnp.subtract, params, subnet.params), total


def _logits(
    subnet: Subnet, params: Params, inputs: jax.Array, sizes: Sizes | None, **context: Any
) -> tuple[jax.Array, ...]:
    """Returns a training step's logits at every exit."""
    return subnet.forward(params, inputs, train=True, sizes=sizes, **context)[0]


def evaluate(
    subnet: Subnet,
    data: ClientData,
    turn: EvaluationTurn,
) -> ClientMetrics:
    """Sums one client's metrics over its examples.

    Args:
      subnet: the client's subnet.
      data: examples of all clients.
      turn: the client's batches, and how to score them.

    Returns:
      Sums over the client's examples.
    """
    plan = turn.plan

    def step(t: jax.Array, total: ClientMetrics) -> ClientMetrics:
        rows, valid = plan.rows[t], plan.valid[t]
        inputs, targets = jnp.asarray(data.inputs)[rows], jnp.asarray(data.targets)[rows]

        def at(wanted: jax.Array | None, targets: jax.Array, counted: jax.Array):
            outputs, _ = subnet.forward(
                subnet.params, inputs, valid=valid, moments=turn.moments, wanted=wanted
            )
            logits = losses.at_exit(outputs, subnet.exits)
            if turn.present is not None:
                logits = losses.hide_classes(logits, turn.present)
            return None, losses.score_batch(logits, targets, counted)

        _, sums = batches.at_targets(at, targets, valid, turn.positions, turn.over_lanes)
        return jax.tree.map(jnp.add, total, sums)

    return jax.lax.fori_loop(0, turn.over_lanes(plan.used), step, _no_metrics())


def calibrate(subnet: Subnet, data: ClientData, plan: BatchPlan) -> PyTree:
    """Averages the moments of static norms over batches of training data (HeteroFL's sBN).

    Args:
      subnet: the subnet to calibrate.
      data: training examples.
      plan: batches.

    Returns:
      Mean over the batches of each norm's batch mean and variance.

    References:
      HeteroFL, arXiv 2010.01264.
    """

    def moments(t: jax.Array) -> PyTree:
        inputs = jnp.asarray(data.inputs)[plan.rows[t]]
        # As in evaluation: a scaler that only acts in training would scale the moments too.
        return subnet.forward(subnet.params, inputs, valid=plan.valid[t])[1]

    def step(t: jax.Array, total: PyTree) -> PyTree:
        return jax.tree.map(jnp.add, total, moments(t))

    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(moments, 0))
    total = jax.lax.fori_loop(0, plan.used, step, zeros)
    return jax.tree.map(lambda x: x / jnp.maximum(plan.used, 1), total)


def _no_metrics() -> ClientMetrics:
    """Returns sums over nothing."""
    return ClientMetrics(jnp.float32(0), jnp.int32(0), jnp.int32(0), jnp.int32(0))

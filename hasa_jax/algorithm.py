"""One communication round, and evaluation, as pure functions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from hasa_jax import aggregation as aggregating
from hasa_jax import batches, keys, rows, units
from hasa_jax import client as local
from hasa_jax.base import ClientData, ClientMetrics, Cohort, ServerState, UserError
from hasa_jax.broadcast import broadcast_fn
from hasa_jax.execution import masked, sliced
from hasa_jax.execution.interface import Execution, Turn
from hasa_jax.extraction import prefix
from hasa_jax.objectives import cross_entropy
from hasa_jax.supernet import Extraction, Model, Objective, Subnet


@dataclasses.dataclass(frozen=True, eq=False)
class FederatedAlgorithm:
    """Pure functions, and what they were built from.

    Attributes:
      init: `key -> ServerState` before round 0.
      round: `(state, training data, cohort) -> (state, ClientMetrics [1, V, L])`, and
      evaluate: `(state, data, training data, cohort, whole) -> ClientMetrics [1, V, L]`, are what
        one device does; `scan_rounds` and `hasa_jax.evaluate` call them on all. `whole`
        (static) evaluates on all classes, whatever the objective hides.
      execution: how training runs a cohort, and
      evaluation: how evaluation does.
      extraction: which part of the supernet a client holds.
      model: the supernet.
      batch_size: examples in a local batch.
      devices: how many share a cohort, or share the seeds that run together.
      rule: how clients train,
      local_epochs: passes over a client's data in a round, and
      label_split: whether clients contribute rows of their own classes and tokens alone.
    """

    init: Callable[[jax.Array], ServerState]
    round: Callable[[ServerState, ClientData, Cohort], tuple[ServerState, ClientMetrics]]
    evaluate: Callable[[ServerState, ClientData, ClientData, Cohort, bool], ClientMetrics]
    execution: Execution
    evaluation: Execution
    extraction: Extraction
    model: Model
    batch_size: int
    devices: int
    rule: local.LocalRule
    local_epochs: int
    label_split: bool


def partial_training(
    model: Model,
    *,
    extraction: Extraction | None = None,
    objective: Objective | None = None,
    execution: Callable[..., Execution] | None = None,
    client_optimizer: optax.GradientTransformation | None = None,
    server_optimizer: optax.GradientTransformation | None = None,
    schedule: Callable[[jax.Array], jax.Array] | None = None,
    aggregation: str = "coverage",
    label_split: bool = False,
    proximal: float = 0.0,
    local_epochs: int = 1,
    batch_size: int = 32,
    client_block: int | None = None,
    devices: int = 1,
    positions: tuple[int, ...] = (),
) -> FederatedAlgorithm:
    """Federated averaging in which every client trains a subnet of one supernet.

    Each round: extract every client's subnet, train it locally, sum the masked updates, take
    one server step. With all widths 1 and weights `n_i` this is FedAvg.

    Args:
      model: the supernet.
      extraction: which part of it a client holds; `prefix()` if None.
      objective: what clients minimise; `cross_entropy()` if None.
      execution: `masked` or `sliced` (see `hasa_jax.execution`); if None, `sliced` where the
        extraction ranks units, `masked` where it keeps single parameters.
      client_optimizer: local optimizer, fresh each round; `optax.sgd(0.1)` if None.
      server_optimizer: takes the mean update; `optax.sgd(1.0)`, plain averaging, if None.
      schedule: round -> factor on the clients' learning rate; 1 if None.
      aggregation: `coverage`, `full` or `nonzero`.
      label_split: whether a client contributes only those rows of the head, and of the token
        embedding, whose classes and tokens occur in its training data.
      proximal: FedProx's `mu`.
      local_epochs: passes over the client's data in a round.
      batch_size: examples in a local batch.
      client_block: clients in one `vmap`; by default one on CPUs and all of a size elsewhere.
      devices: how many share a cohort, or the seeds that run together.
      positions: from `batches.usual_positions` for data of texts: logits are computed where
        there are targets, at so many positions of a batch.

    Returns:
      The algorithm; build it once and share it between seeds, so that they share programs.

    Raises:
      UserError: for parts that do not fit together.

    References:
      FedAvg, arXiv 1602.05629; HeteroFL, arXiv 2010.01264; FedProx, arXiv 1812.06127; HASA,
      arXiv 2606.07621.
    """
    extraction, objective = extraction or prefix(), objective or cross_entropy()
    _check_parts(model, extraction, objective, aggregation, label_split)
    execution = execution or (masked if extraction.order is None else sliced)
    server_optimizer = server_optimizer or optax.sgd(1.0)
    # A calibration that is the same for the clients of a turn is made once for all of them.
    calibrated = 16 if model.has_moments and execution is sliced else None
    lanes = client_block or calibrated
    if client_block is None and jax.default_backend() == "cpu":
        # Batched products of small matrices are slower there than the products one by one.
        client_block = 1
    levels = extraction.levels
    draw = functools.partial(units.draw_sizes, model=model, levels=levels)
    parts = _Parts(
        model=model,
        execution=execution(model, extraction, client_block, devices),
        evaluation=execution(model, extraction, lanes or client_block, devices),
        rule=local.LocalRule(
            optimizer=client_optimizer or optax.sgd(0.1),
            objective=objective,
            proximal=proximal,
            draw=draw if levels else None,
            positions=positions if model.picks_positions else (),
        ),
        server_optimizer=server_optimizer,
        schedule=schedule or (lambda round: jnp.float32(1.0)),
        aggregation=aggregation,
        label_split=label_split,
        local_epochs=local_epochs,
        batch_size=batch_size,
    )

    def init(key: jax.Array) -> ServerState:
        params = model.init(keys.address(key, keys.Stream.INIT))
        return ServerState(params, server_optimizer.init(params), jnp.int32(0), key)

    return FederatedAlgorithm(
        init=init,
        round=functools.partial(_round, parts),
        evaluate=functools.partial(_evaluate, parts),
        execution=parts.execution,
        evaluation=parts.evaluation,
        extraction=extraction,
        model=model,
        batch_size=batch_size,
        devices=devices,
        rule=parts.rule,
        local_epochs=local_epochs,
        label_split=label_split,
    )


class _Parts(NamedTuple):
    """What a round is made of; fields as the arguments of `partial_training`."""

    model: Model
    execution: Execution
    evaluation: Execution
    rule: local.LocalRule
    server_optimizer: optax.GradientTransformation
    schedule: Callable[[jax.Array], jax.Array]
    aggregation: str
    label_split: bool
    local_epochs: int
    batch_size: int


def _check_parts(
    model: Model, extraction: Extraction, objective: Objective, aggregation: str, split: bool
) -> None:
    """Refuses parts that do not fit together."""
    aggregating.check(aggregation)
    if split:
        rows.row_axes(model)
    # An extraction tells of a model that it does not fit when asked for a shape.
    extraction.shape(model, max(model.groups.values()))
    if extraction.all_exits != objective.all_exits:
        raise UserError(
            "subnets that differ in depth train all their exits: extraction depth_width and "
            "objective multi_exit go together"
        )
    if extraction.teacher != objective.teacher:
        raise UserError(
            "self-distillation needs a drawn width and a teacher: extraction ordered_dropout "
            "with teacher, and objective self_distillation, go together"
        )


def _round(
    parts: _Parts, state: ServerState, data: ClientData, cohort: Cohort
) -> tuple[ServerState, ClientMetrics]:
    """Runs one communication round."""
    model, aggregation = parts.model, parts.aggregation
    classes = rows.present_classes(data) if parts.rule.objective.own_classes else None
    owned = rows.present_rows(data, model) if parts.label_split else None

    def train_client(subnet: Subnet, client: jax.Array, weight: jax.Array, shared: Turn):
        key = batches.batch_key(state.key, state.round, client)
        turn = local.LocalTurn(
            plan=batches.shuffled_batches(
                key, data, client, shared.num_batches, parts.batch_size, parts.local_epochs
            ),
            key=keys.address(state.key, keys.Stream.STEPS, state.round, client),
            round=state.round,
            present=None if classes is None else classes[client],
            scale=parts.schedule(state.round),
            over_lanes=shared.over_lanes,
        )
        update, metrics = local.local_training(subnet, data, turn, parts.rule)
        masks = subnet.masks
        if owned is not None:
            mine = rows.row_masks(model, {name: table[client] for name, table in owned.items()})
            masks = jax.tree.map(jnp.multiply, masks, mine)
        inserted = subnet.insert(update)
        return aggregating.partial_sum(inserted, masks, weight, aggregation), metrics

    broadcast = broadcast_fn(model, state, data, parts.batch_size)
    partial, metrics = parts.execution.run(train_client, broadcast, cohort)
    params, opt_state = aggregating.server_update(
        state.params, state.opt_state, partial, parts.server_optimizer, aggregation
    )
    return ServerState(params, opt_state, state.round + 1, state.key), metrics


def _evaluate(
    parts: _Parts,
    state: ServerState,
    data: ClientData,
    train: ClientData,
    cohort: Cohort,
    whole: bool,
) -> ClientMetrics:
    """Evaluates every client's subnet on that client's examples."""
    hides = parts.rule.objective.own_classes and not whole
    classes = rows.present_classes(train) if hides else None
    calibration = batches.mixed_batches(state.key, train) if parts.model.has_moments else None

    def evaluate_client(subnet: Subnet, client: jax.Array, weight: jax.Array, shared: Turn):
        del weight
        plan = batches.sequential_batches(data, client, shared.num_batches, parts.batch_size)
        moments = None if calibration is None else local.calibrate(subnet, train, calibration)
        present = None if classes is None else classes[client]
        positions = parts.rule.positions
        turn = local.EvaluationTurn(plan, moments, present, positions, shared.over_lanes)
        return (), local.evaluate(subnet, data, turn)

    broadcast = broadcast_fn(parts.model, state, train, parts.batch_size)
    return parts.evaluation.run(evaluate_client, broadcast, cohort)[1]

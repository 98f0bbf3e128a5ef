"""One communication round, and evaluation, as pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import flax.struct
import jax
import jax.numpy as jnp
import optax

from hasa_jax import keys
from hasa_jax.base import ClientData, ClientMetrics, ClientReport, Cohort, PyTree, ServerState
from hasa_jax.client import batches
from hasa_jax.client import training as local
from hasa_jax.execution.broadcast import broadcast_fn
from hasa_jax.execution.interface import Execution, Turn
from hasa_jax.execution.loop import of_all_devices
from hasa_jax.server import aggregation as aggregating
from hasa_jax.server.faults import Faults, as_sent
from hasa_jax.server.robust import robust_sum
from hasa_jax.supernet import label_rows as rows
from hasa_jax.supernet.types import Extraction, Model, Subnet


@dataclasses.dataclass(frozen=True, eq=False)
class FederatedAlgorithm:
    """Pure functions, and what they were built from.

    Attributes:
      model: the supernet.
      extraction: which part of it a client holds.
      execution: how training runs a cohort, and
      evaluation: how evaluation does.
      rule: how clients train.
      server_optimizer: takes the mean update.
      schedule: round -> factor on the clients' learning rate.
      aggregation: one of `AGGREGATIONS`.
      label_split: whether clients contribute rows of their own classes and tokens alone.
      local_epochs: passes over a client's data in a round.
      batch_size: examples in a local batch.
      devices: how many share a cohort, or share the seeds that run together.
      drop_nonfinite: whether clients whose update is not finite are left out.
      faults: what goes wrong.
      robust: one of `ROBUST`.
      trim: share that the trimmed mean cuts off at each side.
    """

    model: Model
    extraction: Extraction
    execution: Execution
    evaluation: Execution
    rule: local.LocalRule
    server_optimizer: optax.GradientTransformation
    schedule: Callable[[jax.Array], jax.Array]
    aggregation: str
    label_split: bool
    local_epochs: int
    batch_size: int
    devices: int
    drop_nonfinite: bool
    faults: Faults
    robust: str
    trim: float

    def init(self, key: jax.Array) -> ServerState:
        """Returns the server's state before round 0."""
        params = self.model.init(keys.address(key, keys.Stream.INIT))
        return ServerState(params, self.server_optimizer.init(params), jnp.int32(0), key)

    def round(
        self, state: ServerState, data: ClientData, cohort: Cohort
    ) -> tuple[ServerState, ClientReport]:
        """Runs one round: what one device does, while `scan_rounds` calls it on all.

        Args:
          state: the server's state.
          data: training examples of all clients.
          cohort: the clients of this device `[1, V, L]`.

        Returns:
          The state afterwards, and what the clients tell `[1, V, L]`.
        """
        model, aggregation = self.model, self.aggregation
        classes = rows.present_classes(data) if self.rule.objective.own_classes else None
        owned = rows.present_rows(data, model) if self.label_split else None
        sound = aggregating.all_finite(state.params)

        def train_client(subnet: Subnet, client: jax.Array, weight: jax.Array, shared: Turn):
            key = batches.batch_key(state.key, state.round, client)
            plan = batches.shuffled_batches(
                key, data, client, shared.num_batches, self.batch_size, self.local_epochs
            )
            turn = local.LocalTurn(
                plan=batches.cut(plan, shared.steps),
                key=keys.address(state.key, keys.Stream.STEPS, state.round, client),
                round=state.round,
                present=None if classes is None else classes[client],
                scale=self.schedule(state.round),
                over_lanes=shared.over_lanes,
            )
            update, metrics = local.local_training(subnet, data, turn, self.rule)
            masks = subnet.masks
            if owned is not None:
                mine = rows.row_masks(model, {name: table[client] for name, table in owned.items()})
                masks = jax.tree.map(jnp.multiply, masks, mine)
            update, weight = as_sent(self.faults, state, client, data.num_clients, update, weight)
            finite = aggregating.all_finite(update)
            if self.drop_nonfinite or self.robust != "none":
                weight = jnp.where(finite, weight, 0.0)
            # Nobody can answer for a supernet that was no number when it was sent.
            report = ClientReport(metrics, finite | ~sound, weight, weight)
            inserted = subnet.insert(update)
            if self.robust != "none":
                return (weight, ()), (report, (inserted, masks, weight))
            partial = aggregating.partial_sum(inserted, masks, weight, aggregation)
            return (weight, partial), (report, ())

        broadcast = broadcast_fn(model, state, data, self.batch_size)
        (mass, partial), (report, sent) = self.execution.run(train_client, broadcast, cohort)
        report = report.replace(share=report.share / jnp.where(mass > 0, mass, 1.0))
        if self.robust != "none":
            sent = of_all_devices(sent, cohort)
            partial = robust_sum(*sent, robust=self.robust, aggregation=aggregation, trim=self.trim)
        params, opt_state = aggregating.server_update(
            state.params, state.opt_state, partial, self.server_optimizer, aggregation
        )
        return ServerState(params, opt_state, state.round + 1, state.key), report

    def calibrate(
        self, state: ServerState, train: ClientData, cohort: Cohort
    ) -> tuple[PyTree, PyTree]:
        """Calibrates static norms: what one device does, while `hasa_jax.evaluate` calls it on all.

        Args:
          state: the server's state.
          train: training examples of all clients.
          cohort: the clients of this device `[1, V, L]`.

        Returns:
          Nothing that devices share, and the moments of their subnets `[1, V, L, ...]`, filled up
          with zeros to those of the supernet.
        """
        plan = batches.mixed_batches(state.key, train)

        def calibrate_client(subnet: Subnet, client: jax.Array, weight: jax.Array, shared: Turn):
            del client, weight, shared
            return (), _resized(local.calibrate(subnet, train, plan), self.model.moments)

        broadcast = broadcast_fn(self.model, state, train, self.batch_size)
        return self.evaluation.run(calibrate_client, broadcast, cohort)

    def evaluate(
        self,
        state: ServerState,
        data: ClientData,
        train: ClientData,
        cohort: Cohort,
        calibrated: Calibrated | None,
        whole: bool,
    ) -> tuple[PyTree, ClientMetrics]:
        """Evaluates clients: what one device does, while `hasa_jax.evaluate` calls it on all.

        Args:
          state: the server's state.
          data: examples to evaluate.
          train: training examples of all clients.
          cohort: the clients of this device `[1, V, L]`.
          calibrated: moments of their subnets; None for a model without static norms.
          whole: whether all classes count, whatever the objective hides (static).

        Returns:
          Nothing that devices share, and the clients' sums `[1, V, L]`.
        """
        hides = self.rule.objective.own_classes and not whole
        classes = rows.present_classes(train) if hides else None

        def evaluate_client(subnet: Subnet, client: jax.Array, weight: jax.Array, shared: Turn):
            del weight
            plan = batches.sequential_batches(data, client, shared.num_batches, self.batch_size)
            moments = None if calibrated is None else self._moments(subnet, client, calibrated)
            present = None if classes is None else classes[client]
            positions = self.rule.positions
            turn = local.EvaluationTurn(plan, moments, present, positions, shared.over_lanes)
            return (), local.evaluate(subnet, data, turn)

        broadcast = broadcast_fn(self.model, state, train, self.batch_size)
        return self.evaluation.run(evaluate_client, broadcast, cohort)

    def _moments(self, subnet: Subnet, client: jax.Array, calibrated: Calibrated) -> PyTree:
        """Finds the moments of a client's subnet."""
        alike = calibrated.index == client
        if self.extraction.by_size:
            same = [calibrated.sizes[name] == kept for name, kept in subnet.sizes.items()]
            alike = jnp.stack([calibrated.exits == subnet.exits, *same]).all(axis=0)
        # Slots of nobody hold no moments.
        place = jnp.argmax(alike & (calibrated.index >= 0))
        found = jax.tree.map(lambda x: x[place], calibrated.moments)
        example = jax.ShapeDtypeStruct((1, *self.model.input_shape), self.model.input_dtype)
        own = jax.eval_shape(lambda x: subnet.forward(subnet.params, x)[1], example)
        return _resized(found, own)


@flax.struct.dataclass
class Calibrated:
    """Moments of static norms, of some subnets that stand for all.

    Attributes:
      index: whose subnets they are `[R]`; -1 for nobody's.
      sizes: what is kept in every group `{group: [R]}`.
      exits: exits of the subnets `[R]`.
      moments: as `Model.moments` `[R, ...]`; of a narrow subnet in its own order of units, with
        zeros after them.
    """

    index: jax.Array
    sizes: Mapping[str, jax.Array]
    exits: jax.Array
    moments: PyTree


def _resized(moments: PyTree, shapes: PyTree) -> PyTree:
    """Cuts the axes of moments off at their ends, or fills them up with zeros."""

    def resize(leaf: jax.Array, shape: jax.ShapeDtypeStruct) -> jax.Array:
        cut = leaf[tuple(slice(size) for size in shape.shape)]
        missing = [(0, size - had) for size, had in zip(shape.shape, cut.shape, strict=True)]
        return jnp.pad(cut, missing)

    return jax.tree.map(resize, moments, shapes)

"""Containers and callables of supernets and subnets; letters as in `base`, `Q` wanted positions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import flax.struct
import jax
import numpy as np

from hasa_jax.base import ClientData, ClientMetrics, Params, PyTree, Shape

Sizes = Mapping[str, Any]
"""What is kept in every group: `{group: k}`; ints, or traced int32 scalars."""


@flax.struct.dataclass
class Context:
    """What a forward pass is told beside parameters and inputs.

    Attributes:
      width: fraction of units kept; a scaler divides by it.
      ranks: `{group: rank [U]}` of the units at hand: those of rank below `sizes[group]` are
        kept, the others are zero. None if all units at hand are kept.
      sizes: `{group: k}` beside `ranks`.
      valid: which examples of the batch count in batch statistics `[B]`, bool; None for all.
      wanted: flat positions `b T + t` `[Q]` where logits are wanted; None for everywhere. Only
        models with `picks_positions` are given any.
      train: whether this is a training step (static).
    """

    width: float | jax.Array = 1.0
    ranks: Mapping[str, jax.Array] | None = None
    sizes: Sizes | None = None
    valid: jax.Array | None = None
    wanted: jax.Array | None = None
    train: bool = flax.struct.field(pytree_node=False, default=False)


class ApplyFn(Protocol):
    """A forward pass: `(params, inputs [B, ...], context, moments) -> (logits, moments)`.

    Logits are a tuple, `[B, ..., K]` (`[Q, K]` at wanted positions) for each exit, deepest last.
    `moments` in are the calibrated means and variances of static norms, or None to use the
    batch's own; `moments` out are the batch's own, an empty dict if the model has no such norm.
    """

    def __call__(
        self, params: Params, inputs: Any, context: Context, moments: PyTree | None = None
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        """Runs the forward pass."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A supernet: one architecture at full size and at every smaller one.

    Attributes:
      init: `key -> params` at full size; the key is consumed.
      apply: forward pass of the whole supernet.
      narrow: `({group: units}, exits) -> ApplyFn` of the same architecture, smaller; it ignores
        parameters of deeper exits.
      shapes: full-size parameters as `jax.ShapeDtypeStruct` leaves.
      axes: same tree; each leaf names every axis: its unit group, a row axis (`classes`,
        `tokens`) that is never cut, or `None` if never cut.
      depths: same tree; the first exit (from 1) that uses the parameter.
      groups: units of every unit group at full width.
      num_exits: exits, 1 if there is only the last.
      moments: shapes of what calibration makes static; empty without such norms.
      picks_positions: whether it computes logits at `Context.wanted` alone.
      input_shape: shape of one example, without the batch axis, and
      input_dtype: its dtype.
    """

    init: Callable[[jax.Array], Params]
    apply: ApplyFn
    narrow: Callable[[Mapping[str, int], int], ApplyFn]
    shapes: PyTree
    axes: PyTree
    depths: PyTree
    groups: Mapping[str, int]
    num_exits: int
    moments: PyTree
    picks_positions: bool
    input_shape: tuple[int, ...]
    input_dtype: Any


SampleLossFn = Callable[[Params, jax.Array], jax.Array]
"""`(supernet params, positions [b]) -> losses [b]` of a client's first examples; 0 beyond them."""


class Broadcast(NamedTuple):
    """What an extraction may look at when it decides what a client keeps.

    Attributes:
      model: the supernet.
      params: its parameters, as sent.
      round: communication round, int32 scalar.
      client: client id, int32 scalar.
      key: root key of the run; use `keys.address`.
      sample_loss: the client's losses on a sample of its training data,
      sample_size: examples in it, int32 scalar, and
      sample_capacity: the most that it can be (static): a batch.
    """

    model: Model
    params: Params
    round: jax.Array
    client: jax.Array
    key: jax.Array
    sample_loss: SampleLossFn
    sample_size: jax.Array
    sample_capacity: int


OrderFn = Callable[[Broadcast], Mapping[str, Any]]
"""`broadcast -> {group: rank [U]}`: a client of k units keeps `rank < k`. Constant ranks may be
NumPy arrays, of which `arange` makes a subnet a plain slice."""

MaskFn = Callable[[Broadcast, Sizes, PyTree], "ParameterMask"]
"""`(broadcast, sizes, prepared) -> mask`: which single parameters a client of some size keeps."""


class ParameterMask(NamedTuple):
    """A choice of single parameters.

    Attributes:
      view: `params -> effective params`; its gradient is the method's own.
      masks: 1 where a coordinate is kept at the start of the round, shaped like the params.
    """

    view: Callable[[Params], Params]
    masks: PyTree


@dataclasses.dataclass(frozen=True)
class Extraction:
    """Which part of the supernet a client holds. Exactly one of `order` and `mask` is set.

    Attributes:
      shape: `(model, k) -> Shape` of the k-th of H sizes, H units of the largest group being
        the whole; a `UserError` tells that the method does not fit the model.
      order: ranks units; every execution can run it.
      mask: keeps single parameters; only masked execution can run it.
      prepare: for `mask`: `(params, model) -> anything`, computed once a round for all clients.
      levels: widths of ordered dropout: each step draws one of those below the client's own, or
        its own; empty if it trains the whole subnet.
      teacher: whether each step also runs the whole subnet, as the teacher of the drawn one.
      all_exits: whether subnets differ in depth, and train all the exits that they have.
      by_size: whether all clients of one size hold the same part in a round.
    """

    shape: Callable[[Model, int], Shape]
    order: OrderFn | None = None
    mask: MaskFn | None = None
    prepare: Callable[[Params, Model], PyTree] | None = None
    levels: tuple[float, ...] = ()
    teacher: bool = False
    all_exits: bool = False
    by_size: bool = False


class ForwardFn(Protocol):
    """A subnet's forward pass: `(params, inputs, ...) -> (logits of each exit, moments)`.

    `sizes`, if given, are those of a smaller subnet nested in this one.
    """

    def __call__(
        self,
        params: Params,
        inputs: Any,
        *,
        valid: jax.Array | None = None,
        train: bool = False,
        sizes: Sizes | None = None,
        moments: PyTree | None = None,
        wanted: jax.Array | None = None,
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        """Runs the forward pass."""
        ...


@dataclasses.dataclass(frozen=True)
class Subnet:
    """One client's part of the supernet, inside one traced round.

    Attributes:
      params: the parameters that the client trains.
      forward: forward pass of the subnet.
      confine: a change of `params` -> the same change, zero outside the subnet.
      insert: a confined update -> the same update in supernet coordinates.
      masks: 1 where the supernet coordinate is the client's, broadcastable to the supernet.
      sizes: what it keeps of every group.
      exits: exits that it has, an int or int32 scalar; logits of deeper ones do not count.
    """

    params: Params
    forward: ForwardFn
    confine: Callable[[Params], Params]
    insert: Callable[[Params], Params]
    masks: PyTree
    sizes: Sizes
    exits: int | jax.Array


@dataclasses.dataclass(frozen=True)
class LocalStep:
    """What a local objective sees of one step.

    Attributes:
      forward: `sizes -> logits of each exit` for the step's batch, at the current parameters;
        None stands for the client's whole subnet.
      targets: `[B]` or `[B, T]`, or those at the wanted positions of texts `[Q]`.
      valid: which examples (or positions) count `[B]` (or `[Q]`), bool.
      drawn: sizes that ordered dropout drew for this step, None without it.
      exits: exits that the client has, int32 scalar.
      present: which classes occur in the client's training data `[K]`, bool; None unless the
        objective says that it needs them.
      round: communication round, int32 scalar.
    """

    forward: Callable[[Sizes | None], tuple[jax.Array, ...]]
    targets: jax.Array
    valid: jax.Array
    drawn: Sizes | None
    exits: int | jax.Array
    present: jax.Array | None
    round: jax.Array


ObjectiveFn = Callable[[LocalStep], tuple[jax.Array, ClientMetrics]]
"""`step -> (scalar loss, metrics of the batch)`: what a client minimises."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a client minimises.

    Attributes:
      loss: of one step.
      own_classes: whether classes absent from a client's training data have logit 0, in
        training and when its own subnet is evaluated.
      all_exits: whether it trains every exit of a subnet, and
      teacher: whether it needs a teacher's pass beside each drawn width (FjORD).
    """

    loss: ObjectiveFn
    own_classes: bool = False
    all_exits: bool = False
    teacher: bool = False


ScoreFn = Callable[[ClientData, Model, jax.Array], np.ndarray]
"""`(training data, model, key) -> scores [N]`; larger means more heterogeneous."""

"""Containers and callables of supernets and subnets.

Shape letters are those of `base`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import flax.struct
import jax
import jax.numpy as jnp

from hasa_jax.base import FederatedDataset, Params, PyTree

Kept = Mapping[str, Any]
"""Units kept in every group: `{group: k}`; ints, or traced int32 scalars."""


class Shape(NamedTuple):
    """What a subnet keeps; static and hashable, so that array shapes may depend on it.

    Attributes:
      width: fraction of units kept; scalers divide by it.
      kept: `(group, units kept)` pairs, for every group of the extraction.
      exits: exits (depth) of the supernet that the subnet has, counted from the input.
    """

    width: float
    kept: tuple[tuple[str, int], ...]
    exits: int


class Drawn(NamedTuple):
    """The smaller subnet, nested in the client's own, that one step of ordered dropout trains.

    Attributes:
      width: its width, by which scalers divide; a float or float32 scalar.
      kept: units that it keeps in every group.
    """

    width: Any
    kept: Kept


@flax.struct.dataclass
class Context:
    """What a forward pass receives beside parameters and inputs.

    Attributes:
      width: fraction of units kept; a scaler divides by it.
      ranks: `{group: rank [U]}` of the units at hand: those of rank below `kept[group]` are
        kept, the others are zero. None if all units at hand are kept.
      kept: `{group: k}` beside `ranks`.
      valid: which examples of the batch count in batch statistics `[B]`, bool; None for all.
      key: key of what a training step draws for its units, the same in masked and sliced execution;
        None in evaluation, and for a model that draws nothing.
      places: position in the supernet of the units at hand, `{group: [U]}`, so that a draw for a
        unit is the same in a narrow network; None if they are the supernet's first ones.
      defer_logits: whether a model of texts may return a `LinearHead` in place of logits
        (static).
      train: whether this is a training step (static).
    """

    width: float | jax.Array = 1.0
    ranks: Mapping[str, jax.Array] | None = None
    kept: Kept | None = None
    valid: jax.Array | None = None
    key: jax.Array | None = None
    places: Mapping[str, Any] | None = None
    train: bool = flax.struct.field(pytree_node=False, default=False)
    defer_logits: bool = flax.struct.field(pytree_node=False, default=False)


@flax.struct.dataclass
class LinearHead:
    """Logits `h W + b` that are not computed yet.

    Attributes:
      states: inputs `h` of the head `[..., U]`.
      kernel: `W` `[U, K]`.
      bias: `b` `[K]`.
    """

    states: jax.Array
    kernel: jax.Array
    bias: jax.Array

    def logits(self) -> jax.Array:
        """Computes the logits `[..., K]`, in float32."""
        products = jnp.einsum("...u,uk->...k", self.states, self.kernel)
        bias = self.bias.reshape((1,) * (products.ndim - 1) + (-1,))
        return (products + bias).astype(jnp.float32)


Output = jax.Array | LinearHead
"""What an exit returns: logits, or what they are computed from."""


class ApplyFn(Protocol):
    """A forward pass: `(params, inputs [B, ...], context, moments) -> (outputs, moments)`.

    Outputs are a tuple, logits `[B, ..., K]` for each exit, deepest last. Where the context lets
    a model defer logits, they may be linear heads.
    `moments` in are the calibrated means and variances of static norms, or None to use the
    batch's own; `moments` out are the batch's own, an empty dict if the model has no such norm.
    """

    def __call__(
        self, params: Params, inputs: Any, context: Context, moments: PyTree | None = None
    ) -> tuple[tuple[Any, ...], PyTree]:
        """Runs the forward pass."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A supernet: one architecture at full size and at every smaller one.

    Attributes:
      init: `key -> params` at full size; the key is consumed.
      apply: forward pass of the supernet.
      narrow: `(kept, exits) -> ApplyFn` of the same architecture, smaller; it ignores
        parameters of deeper exits.
      module: `(kept, exits, width, params) -> module` of that network, to deploy: a linen module,
        which takes its parameters in each call, or an nnx module that has them.
      resized: `kept -> supernet` of the same architecture that has so many units, with an
        initialisation of its own.
      shapes: full-size parameters as `jax.ShapeDtypeStruct` leaves.
      axes: same tree; each leaf names every axis: its unit group, an axis of label rows
        (`classes`, `tokens`), which is never cut, or `None` if never cut.
      depths: same tree; the first exit (from 1) that uses the parameter.
      groups: units of every unit group at full width.
      num_exits: exits, 1 if there is only the last.
      moments: shapes of what calibration makes static; empty without such norms.
      input_shape: shape of one example, without the batch axis, and
      input_dtype: its dtype.
      draws: whether a training step reads `Context.key`, as dropout does.
    """

    init: Callable[[jax.Array], Params]
    apply: ApplyFn
    narrow: Callable[[Mapping[str, int], int], ApplyFn]
    module: Callable[[Mapping[str, int], int, float, Params], Any]
    resized: Callable[[Mapping[str, int]], Model]
    shapes: PyTree
    axes: PyTree
    depths: PyTree
    groups: Mapping[str, int]
    num_exits: int
    moments: PyTree
    input_shape: tuple[int, ...]
    input_dtype: Any
    draws: bool = False


class ModelSpec(Protocol):
    """An architecture, until a method and a data set make a supernet of it."""

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        """Makes the supernet.

        Args:
          dataset: supplies the shape of an example, the classes and the tokens.
          norm: the method's kind of norm, for models that have a choice.
          scaler: when the method divides activations by the width.

        Returns:
          The supernet.

        Raises:
          UserError: if the model does not fit the data or the method.
        """
        ...


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

MaskFn = Callable[[Broadcast, Kept, PyTree], "ParameterMask"]
"""`(broadcast, kept, prepared) -> mask`: which single parameters a client of some size keeps."""


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
      shape: `(model, size) -> Shape`; of the H sizes, H is the supernet. It raises a `UserError`
        if the extraction does not fit the model.
      order: ranks units; every execution can run it.
      mask: keeps single parameters; only masked execution can run it.
      prepare: for `mask`: `(params, model) -> anything`, computed once a round for all clients.
      levels: widths of ordered dropout: each step draws one of those below the client's own, or
        its own; empty if it trains all of its subnet.
      teacher: whether each step also runs the full subnet, as the teacher of the drawn one.
      all_exits: whether subnets differ in depth, and train all the exits that they have.
      by_size: whether all clients of one size hold the same part in a round.
      by_data: whether a client's own data decide, so that the server cannot know the part before
        the client says it.
      name: its name in `EXTRACTIONS`, for records.
    """

    shape: Callable[[Model, int], Shape]
    order: OrderFn | None = None
    mask: MaskFn | None = None
    prepare: Callable[[Params, Model], PyTree] | None = None
    levels: tuple[float, ...] = ()
    teacher: bool = False
    all_exits: bool = False
    by_size: bool = False
    by_data: bool = False
    name: str = "custom"

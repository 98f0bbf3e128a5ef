"""A user's module on trial: is a narrow module the wide one with zeros outside it?"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.context_argument import context_argument
from hasa_jax.supernet.types import Context, Model

_EXAMPLES = 2
_MOST_PARAMETERS = 2_000_000
_TOLERANCE = 1e-3
"""Of the largest logit; sums in another order differ by a hundredth of it."""


class _Cut(NamedTuple):
    """A subnet to try: units kept, `{group: k}`, and `{group: rank [U]}`."""

    kept: Mapping[str, int]
    ranks: Mapping[str, np.ndarray]


def tried_sizes(model: Model) -> list[int]:
    """Returns the sizes that are tried: the smallest, one between, and the largest."""
    largest = max(model.groups.values())
    return sorted({1, -(-largest // 2), largest})


def try_narrow(model: Model, name: str, examples: Any) -> None:
    """Refuses a model that computes something else with units cut out than with zeros in them.

    Both are run on two examples with random parameters, in training and evaluation: a few sizes as
    prefixes, and one between with the units in another order. Of a model of more than 2 million
    parameters a narrower one with at most so many is tried; if even the narrowest has more,
    nothing is run.

    Args:
      model: the supernet, in float32.
      name: the module's, for messages.
      examples: inputs `[B, ...]`; numbers other than integers are replaced by random ones.

    Raises:
      UserError: naming the unit group, and the parameter next to which the difference is first.
    """
    small = _small_enough(model)
    if small is None:
        return
    generator = np.random.default_rng(0)
    params, inputs = _random_params(small, generator), _inputs(small, examples, generator)
    for cut in _cuts(small, generator):
        if (apart := _difference(small, params, inputs, cut)) > _TOLERANCE:
            group, cut = _smallest_cause(small, params, inputs, cut)
            where = _first_parameter(small, params, inputs, cut) or _parameter_of(small, group)
            raise UserError(
                f"`model` {name} computes something else when units of {group!r} are cut out than "
                f"when they are zero: its logits differ by {100 * apart:.3g} %, first seen at "
                f"parameter {where}. Norms, softmax, means and reshapes over that axis must count "
                "kept units only, which `context` names; or name the axis None: it is never cut"
            )


def _small_enough(model: Model) -> Model | None:
    """Returns the widest supernet of few enough parameters; None if there is none."""

    def count(size: int) -> int:
        return costs.parameter_count(model, units.kept_of_size(model.groups, size))

    largest = max(model.groups.values())
    if count(largest) <= _MOST_PARAMETERS:
        return model
    if count(1) > _MOST_PARAMETERS:
        return None
    low, high = 1, largest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= _MOST_PARAMETERS else (low, middle)
    return model.resized(units.kept_of_size(model.groups, low))


def _cuts(model: Model, generator: np.random.Generator) -> Iterator[_Cut]:
    """Yields the subnets to try."""
    prefix = {group: np.arange(count) for group, count in model.groups.items()}
    for size in tried_sizes(model):
        yield _Cut(units.kept_of_size(model.groups, size), prefix)
    between = units.kept_of_size(model.groups, tried_sizes(model)[len(tried_sizes(model)) // 2])
    mixed = {group: generator.permutation(count) for group, count in model.groups.items()}
    yield _Cut(between, mixed)


def _random_params(model: Model, generator: np.random.Generator) -> Params:
    """Returns parameters of which none is zero, as after training."""

    def moved(leaf: jax.Array) -> np.ndarray:
        return np.asarray(leaf) + 0.1 * generator.normal(size=leaf.shape).astype(leaf.dtype)

    return jax.tree.map(moved, jax.jit(model.init)(jax.random.key(0)))


def _inputs(model: Model, examples: Any, generator: np.random.Generator) -> np.ndarray:
    """Returns a tiny batch: integers, such as tokens, must be those of the data."""
    if jnp.issubdtype(model.input_dtype, jnp.integer):
        return np.asarray(examples[:_EXAMPLES])
    return generator.normal(size=(_EXAMPLES, *model.input_shape)).astype(model.input_dtype)


def _difference(model: Model, params: Params, inputs: np.ndarray, cut: _Cut) -> float:
    """Returns how far the logits of a subnet differ, by the largest of them."""
    width, narrow = _width_of(model, cut), _narrow(model, params, cut)
    places = units.places(cut.ranks, cut.kept) if model.draws else None
    masked = _masked_logits(model, params, inputs, width, cut.ranks, cut.kept)
    sliced = _sliced_logits(model, tuple(cut.kept.items()), narrow, inputs, width, places)
    return max(_apart(one, other) for one, other in zip(masked, sliced, strict=True))


@functools.partial(jax.jit, static_argnums=0)
def _masked_logits(
    model: Model, params: Params, inputs: Any, width: Any, ranks: Any, kept: Any
) -> list[jax.Array]:
    """Returns the logits of a subnet with zeros, in evaluation and training."""
    masks = units.masks(model.shapes, model.axes, ranks, kept)
    params = jax.tree.map(jnp.multiply, masks, params)
    contexts = (
        Context(width, ranks, kept, key=jax.random.key(0) if train else None, train=train)
        for train in (False, True)
    )
    return [logits for own in contexts for logits in model.apply(params, inputs, own)[0]]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sliced_logits(
    model: Model,
    kept: tuple[tuple[str, int], ...],
    params: Params,
    inputs: Any,
    width: Any,
    places: Any,
) -> list[jax.Array]:
    """Returns the logits of a subnet without zeros, in evaluation and training."""
    apply = model.narrow(dict(kept), model.num_exits)
    contexts = (
        Context(width, key=jax.random.key(0) if train else None, places=places, train=train)
        for train in (False, True)
    )
    return [logits for own in contexts for logits in apply(params, inputs, own)[0]]


def _width_of(model: Model, cut: _Cut) -> float:
    """Returns the share of the largest group that a subnet keeps."""
    largest = max(model.groups, key=lambda group: model.groups[group])
    return cut.kept[largest] / model.groups[largest]


def _narrow(model: Model, params: Params, cut: _Cut) -> Params:
    """Returns the parameters of a subnet without zeros; nothing is compiled for it."""
    chosen = {group: np.argsort(cut.ranks[group])[:count] for group, count in cut.kept.items()}

    def take(names: tuple[str | None, ...], leaf: np.ndarray) -> np.ndarray:
        for axis, name in enumerate(names):
            leaf = np.take(leaf, chosen[name], axis) if name in chosen else leaf
        return leaf

    return units.map_with_axes(take, model.axes, params)


def _apart(masked: Any, sliced: Any) -> float:
    """Returns how far arrays differ, relative to the largest value; what is cut is left out."""
    masked, sliced = np.asarray(masked, np.float64), np.asarray(sliced, np.float64)
    if masked.ndim != sliced.ndim:
        return 1.0
    masked = masked[tuple(map(slice, sliced.shape))]
    finite = np.isfinite(sliced)
    if masked.shape != sliced.shape or (np.isfinite(masked) != finite).any():
        return 1.0
    largest = max(np.abs(values)[finite].max(initial=1e-9) for values in (masked, sliced))
    return float(np.abs(masked - sliced)[finite].max(initial=0) / largest)


def _smallest_cause(
    model: Model, params: Params, inputs: np.ndarray, cut: _Cut
) -> tuple[str, _Cut]:
    """Finds one group that is enough to make the difference; those of a field are cut at once."""
    for field in dict.fromkeys(group.split("/")[0] for group in model.groups):
        own = [group for group in model.groups if group.split("/")[0] == field]
        single = cut._replace(kept={**model.groups, **{group: cut.kept[group] for group in own}})
        if _difference(model, params, inputs, single) > _TOLERANCE:
            return own[0], single
    return next(iter(model.groups)), cut


def _first_parameter(model: Model, params: Params, inputs: np.ndarray, cut: _Cut) -> str | None:
    """Names a parameter of the first submodule whose output differs, if there is one."""
    kept, width = {group: jnp.int32(k) for group, k in cut.kept.items()}, _width_of(model, cut)
    ranks = {group: jnp.asarray(own) for group, own in cut.ranks.items()}
    masks = units.masks(model.shapes, model.axes, ranks, kept)
    wide = jax.tree.map(jnp.multiply, masks, params)
    masked = _outputs(model, model.groups, wide, inputs, Context(width, ranks, kept))
    narrow = _narrow(model, params, cut)
    sliced = dict(_outputs(model, cut.kept, narrow, inputs, Context(width)))
    for path, output in masked:
        if path in sliced and _apart(output, sliced[path]) > _TOLERANCE:
            names = flax.traverse_util.flatten_dict(model.shapes, sep="/")
            return next((name for name in names if name.startswith(f"{path}/")), path)
    return None


def _outputs(
    model: Model, kept: Mapping[str, int], params: PyTree, inputs: np.ndarray, context: Context
) -> Sequence[tuple[str, Any]]:
    """Returns the outputs of the innermost submodules with their paths, in the order of calls.

    Only linen says what they are.
    """
    module = model.module(kept, model.num_exits, 1.0, params)
    if not isinstance(module, nn.Module):
        return []
    _, state = module.apply(
        {"params": params},
        inputs,
        **context_argument(type(module), context),
        capture_intermediates=True,
        mutable=["intermediates", "batch_moments"],
    )
    flat: dict[str, Any] = flax.traverse_util.flatten_dict(dict(state["intermediates"]), sep="/")
    calls = {path.removesuffix("/__call__"): called[0] for path, called in flat.items()}
    return [
        (path, output)
        for path, output in calls.items()
        if path != "__call__" and not any(other.startswith(f"{path}/") for other in calls)
    ]


def _parameter_of(model: Model, group: str) -> str:
    """Names the first parameter that has an axis of a group."""
    named: dict[str, Any] = flax.traverse_util.flatten_dict(model.axes, sep="/")
    return next(name for name, names in named.items() if group in names)

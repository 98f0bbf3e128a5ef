"""Augmentation: random changes of training images, each at an address of its own.

A change is keyed by the client, the round, the pass and the position of the example among the
client's own. So it does not depend on the batch, the block or the device of the example, on how a
subnet is computed, or on whether a run was stopped.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax import keys
from hasa_jax.base import ClientData, UserError
from hasa_jax.client.batches import Batch, Batches

_PADDING = 8
"""Images are padded by their side over this number: 4 pixels at 32 x 32."""

AugmentFn = Callable[[jax.Array, jax.Array], jax.Array]
"""`(inputs of one example, key) -> inputs` of the same shape and type; the key is consumed."""


def crop(image: jax.Array, key: jax.Array) -> jax.Array:
    """Pads an image with zeros, and cuts its own size out of that at a random place.

    A side is padded by an eighth of it at both ends, by 1 at least: 4 pixels at 32 x 32. Zero is
    the mean of standardised pixels.

    Args:
      image: `[height, width, channels]`.
      key: consumed.

    Returns:
      The same shape.

    References:
      He et al., arXiv 1512.03385, section 4.2.
    """
    padding = [max(1, side // _PADDING) for side in image.shape[:2]]
    padded = jnp.pad(image, [(padding[0], padding[0]), (padding[1], padding[1]), (0, 0)])
    most = jnp.array([2 * each + 1 for each in padding])
    top, left = jax.random.randint(key, (2,), 0, most)
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)


def flip(image: jax.Array, key: jax.Array) -> jax.Array:
    """Mirrors an image from left to right with probability 1/2.

    Args:
      image: `[height, width, channels]`.
      key: consumed.

    Returns:
      The same shape.

    References:
      He et al., arXiv 1512.03385, section 4.2.
    """
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


AUGMENTATIONS: dict[str, AugmentFn] = {"crop": crop, "flip": flip}
"""Augmentations by name; an augmentation of several does them in the order of this table."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Some of `AUGMENTATIONS`, one after the other; it is an `AugmentFn` for images.

    Attributes:
      names: which.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuses unknown, repeated or no names."""
        names = self.names
        if not names or not {*names} <= {*AUGMENTATIONS} or len({*names}) < len(names):
            raise UserError(
                f"`augment` is {','.join(names) or 'empty'}: it must be one or more of "
                f"{','.join(AUGMENTATIONS)}, each once"
            )

    def __call__(self, image: jax.Array, key: jax.Array) -> jax.Array:
        """Augments an image.

        Args:
          image: `[height, width, channels]`.
          key: consumed.

        Returns:
          The same shape.

        Raises:
          UserError: for inputs of another rank.
        """
        if image.ndim != 3:
            raise UserError(
                f"`augment` {','.join(self.names)} is for images [height, width, channels], but "
                f"examples of this `dataset` have the shape {image.shape}: leave it out"
            )
        for number, (name, change) in enumerate(AUGMENTATIONS.items()):
            if name in self.names:
                image = change(image, jax.random.fold_in(key, number))
        return image


def augmentation(*names: str) -> AugmentFn:
    """Makes an augmentation of images, for `Training.augment`.

    Args:
      *names: one or more of `AUGMENTATIONS`.

    Returns:
      The augmentation.

    Raises:
      UserError: if a name is unknown or repeated, or if there is none.
    """
    return Augmentation(names)


def check_augmentation(augment: AugmentFn, train: ClientData) -> None:
    """Refuses an augmentation that does not fit the examples.

    Args:
      augment: of one example.
      train: training examples; only their shape and type are used.

    Raises:
      UserError: if it is no function of an example and a key, if it returns inputs of another shape
        or type, or if it is not for such examples.
    """
    _check_callable(augment)
    example = jax.ShapeDtypeStruct(train.inputs.shape[1:], train.inputs.dtype)
    found = jax.eval_shape(augment, example, jax.random.key(0))
    kind = (getattr(found, "shape", None), getattr(found, "dtype", None))
    if kind != (example.shape, example.dtype):
        raise UserError(
            f"`augment` makes {found} of an example of shape {example.shape} and type "
            f"{example.dtype}: it must return inputs of that shape and type"
        )


def _check_callable(augment: object) -> None:
    """Refuses what cannot be called with an example and a key."""
    if not callable(augment):
        raise UserError(
            f'`augment` is {augment!r}, which is no function: give augmentation("flip"), or a '
            "function (inputs of one example, key) -> inputs"
        )
    try:
        inspect.signature(augment).bind(None, None)
    except TypeError:
        raise UserError(
            f"`augment` is {getattr(augment, '__name__', augment)!r}, which does not take two "
            "arguments: give a function (inputs of one example, key) -> inputs, or "
            'augmentation("flip")'
        ) from None
    except ValueError:
        return  # Python does not know the arguments of some built-in functions.


class Augmented(NamedTuple):
    """What the augmentation of a client's examples in a round depends on.

    Attributes:
      key: the client's key of the round.
      first: position of the client's first example in the flat data, int32 scalar.
      per_pass: batches of one pass, int32 scalar of 1 or more.
    """

    key: jax.Array
    first: jax.Array
    per_pass: jax.Array


def augmented_at(
    key: jax.Array, round: jax.Array, client: jax.Array, first: jax.Array, per_pass: jax.Array
) -> Augmented:
    """Returns what a client's augmentation of a round depends on.

    Args:
      key: root key of the run; it is not consumed.
      round: communication round, int32 scalar.
      client: client id, int32 scalar.
      first: position of the client's first example in the flat data, int32 scalar.
      per_pass: batches of one pass over the client's examples, int32 scalar.

    Returns:
      The key and the places.
    """
    key = keys.address(key, keys.Stream.AUGMENT, round, client)
    return Augmented(key, first, jnp.maximum(per_pass, 1))


def augment_batch(
    augment: AugmentFn, place: Augmented, batch: Batch, batches: Batches, step: jax.Array
) -> Batch:
    """Augments the inputs of one local batch, each example with a key of its own.

    Args:
      augment: of one example.
      place: the client's key and places.
      batch: as `take_batch` reads it.
      batches: which examples it has.
      step: its number.

    Returns:
      The batch; padding is augmented, too, and counts nowhere.
    """
    key = jax.random.fold_in(place.key, step // place.per_pass)
    examples = batches.indices[step] - place.first
    each = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, examples)
    return batch._replace(inputs=jax.vmap(augment)(batch.inputs, each))

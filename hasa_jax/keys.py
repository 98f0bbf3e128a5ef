"""PRNG keys are addresses: `fold_in(root, stream, round, client)`.

The root key of a run never advances. A client's randomness therefore depends on the seed,
the stream, the round and the client's id, and on nothing else: not on cohort order,
padding, execution mode or allocation policy. That is what makes seeds *matched*.
"""

from __future__ import annotations

import enum
from typing import Any

import jax
import numpy as np

_SWITCHES = ("jax_default_prng_impl", "jax_threefry_partitionable", "jax_random_seed_offset")


class Stream(enum.IntEnum):
    """Independent uses of randomness; the numbers are part of the reproducibility promise."""

    INIT = 0
    DATA = 1
    SPLIT = 2
    ALLOCATION = 3
    COHORT = 4
    BATCHES = 5
    ORDER = 6
    DROPOUT = 7
    SCORE = 8
    CALIBRATION = 9
    STEPS = 10
    REDRAW = 11
    LOSS = 12
    HOSTILE = 13
    CORRUPTION = 14
    EVALUATED = 15
    FOLD = 16
    HELD_OUT = 17
    REALLOCATED = 18
    AUGMENT = 19
    UNITS = 20


def address(
    key: jax.Array, stream: Stream, round: int | jax.Array = 0, client: int | jax.Array = 0
) -> jax.Array:
    """Returns the key at one address.

    Args:
      key: root key of the run; it is not consumed.
      stream: what the randomness is for.
      round: communication round, an int32 scalar.
      client: client id, an int32 scalar.

    Returns:
      A key that equals no key of another address (up to hash collisions).
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, stream), round), client)


def of_fold(key: jax.Array, fold: int) -> jax.Array:
    """Returns the root key of one fold of a seed.

    Args:
      key: root key of the seed; it is not consumed.
      fold: from 1 on; 0 where there are no folds.

    Returns:
      A key of the fold's own, so that folds of a seed start from other parameters and draw other
      batches; the key itself for 0.
    """
    return address(key, Stream.FOLD, client=fold) if fold else key


def switches() -> dict[str, Any]:
    """Returns JAX's switches that decide which numbers a key gives, as JSON holds them."""
    return {name: jax.config.values[name] for name in _SWITCHES if name in jax.config.values}


def generator(key: jax.Array) -> np.random.Generator:
    """Returns a NumPy generator seeded by the key, for host-side data work.

    Args:
      key: consumed.

    Returns:
      A counter-based (Philox) generator.
    """
    words = [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

"""Clients that fail: they drop out, run out of time, or send what they did not compute."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax import keys
from hasa_jax.base import Params, ServerState, UserError
from hasa_jax.supernet import costs
from hasa_jax.supernet.types import Extraction, Model

CORRUPTIONS = ("sign_flip", "noise", "nan")
"""The update times `-scale`, standard normal noise times `scale`, or not a number."""


@dataclasses.dataclass(frozen=True)
class Faults:
    """What goes wrong; nothing by default.

    Attributes:
      dropout: chance that a client's update is lost in a round.
      deadline: local steps of the supernet that a round has time for; a subnet of half its
        MACs has time for twice as many. 0 for no deadline.
      corrupted: share of the clients that corrupt every update, rounded to clients. The seed
        chooses them once for all rounds.
      corruption: one of `CORRUPTIONS`.
      scale: how strong the corruption is.
    """

    dropout: float = 0.0
    deadline: float = 0.0
    corrupted: float = 0.0
    corruption: str = "sign_flip"
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        for name in ("dropout", "corrupted"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"`{name}` is {getattr(self, name)}: it is a share, from 0 to 1")
        for name in ("deadline", "scale"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"`{name}` is {getattr(self, name)}: it must be 0 or more")
        if self.corruption not in CORRUPTIONS:
            raise UserError(
                f"unknown `corruption` {self.corruption!r}: use one of {', '.join(CORRUPTIONS)}"
            )


def as_sent(
    faults: Faults,
    state: ServerState,
    client: jax.Array,
    hostile: jax.Array,
    update: Params,
    weight: jax.Array,
) -> tuple[Params, jax.Array]:
    """Returns what the server gets of a client, after all that goes wrong.

    Args:
      faults: what goes wrong.
      state: the server's state before the round.
      client: client id.
      hostile: whether the client corrupts its updates, a bool scalar.
      update: `theta_i - theta` of the client's subnet.
      weight: its aggregation weight.

    Returns:
      The update and the weight; 0 if nothing arrives.
    """
    if faults.corrupted:
        key = keys.address(state.key, keys.Stream.CORRUPTION, state.round, client)
        sent = corrupt(faults, update, key)
        update = jax.tree.map(lambda s, u: jnp.where(hostile, s, u), sent, update)
    if faults.dropout:
        drawn = jax.random.uniform(keys.address(state.key, keys.Stream.LOSS, state.round, client))
        weight = jnp.where(drawn >= faults.dropout, weight, 0.0)
    return update, weight


def hostile_clients(faults: Faults, key: jax.Array, num_clients: int) -> np.ndarray:
    """Returns which clients corrupt their updates.

    Args:
      faults: what goes wrong.
      key: root key of the run; it is not consumed.
      num_clients: of the population, `N`.

    Returns:
      `[N]`, bool, read-only, true for `round(corrupted N)` clients.
    """
    words = tuple(np.asarray(jax.random.key_data(key)).tolist())
    return _hostile(faults.corrupted, words, jax.random.key_impl(key), num_clients)


@functools.lru_cache(maxsize=8)
def _hostile(share: float, words: tuple[int, ...], impl: Hashable, num_clients: int) -> np.ndarray:
    """Chooses the clients of one seed, which all its rounds have in common."""
    found = np.zeros(num_clients, bool)
    if share:
        key = jax.random.wrap_key_data(jnp.array(words, jnp.uint32), impl=impl)
        order = jax.random.permutation(keys.address(key, keys.Stream.HOSTILE), num_clients)
        found = np.asarray(order) < int(np.floor(share * num_clients + 0.5))
    found.flags.writeable = False
    return found


def corrupt(faults: Faults, update: Params, key: jax.Array) -> Params:
    """Returns what a hostile client sends in place of its update.

    Args:
      faults: what goes wrong.
      update: `theta_i - theta` of its subnet.
      key: consumed.

    Returns:
      An update of the same shapes.
    """
    if faults.corruption == "sign_flip":
        return jax.tree.map(lambda leaf: -faults.scale * leaf, update)
    if faults.corruption == "nan":
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), update)
    leaves, tree = jax.tree.flatten(update)
    parts = jax.random.split(key, len(leaves))
    noise = [
        faults.scale * jax.random.normal(part, leaf.shape, leaf.dtype)
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return tree.unflatten(noise)


def steps_in_time(
    faults: Faults, model: Model, extraction: Extraction, sizes: np.ndarray
) -> np.ndarray:
    """Counts the local steps that clients have time for.

    Args:
      faults: what goes wrong.
      model: the supernet.
      extraction: which part of it a client holds.
      sizes: sizes of clients `[N]`.

    Returns:
      `floor(deadline / c(w_i))` with the relative MACs `c` of each client's subnet, int32.
    """
    costs_of = costs.cost_table(model, extraction, "macs")[sizes]
    # A step that ends with the deadline is in time, whatever rounding says.
    steps = np.floor(faults.deadline / costs_of + 1e-6)
    return np.minimum(steps, np.iinfo(np.int32).max).astype(np.int32)

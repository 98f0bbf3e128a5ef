"""Containers that every room shares.

Shape letters, in every docstring of the package: `N` clients, `D` examples of all clients,
`C` clients in a cohort, `S` local steps, `B` examples in a batch, `T` tokens, `K` classes or
vocabulary, `U` units of a unit group, `H` units of the largest group, `R` rounds, `E` trials,
`P` devices, `V` turns of a device, `L` lanes of a turn.

This module imports nothing of the package.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import numpy as np

PyTree = Any
Params = PyTree
"""A nested dict of arrays: the parameters of a supernet or of a subnet."""

IGNORED, UNKNOWN = -2, -1
"""Targets that are no class: padding counts nowhere; an unknown word is a miss without loss."""


class UserError(ValueError):
    """Bad input, described in one line: what is wrong, where, and what to do.

    A message names an argument that the user should change in backticks.
    """


@flax.struct.dataclass
class ClientData:
    """Examples of all clients, stored flat; nothing is padded in storage.

    Attributes:
      inputs: model inputs `[D, ...]`.
      targets: class ids `[D]` or `[D, T]`, int32; `IGNORED` and `UNKNOWN` are negative.
      offsets: `[N + 1]` int32; client i owns the examples `offsets[i]:offsets[i + 1]`.
      num_classes: number of classes `K`; targets are below it.
    """

    inputs: jax.Array | np.ndarray
    targets: jax.Array | np.ndarray
    offsets: jax.Array | np.ndarray
    num_classes: int = flax.struct.field(pytree_node=False)

    @property
    def num_clients(self) -> int:
        """Number of clients `N`."""
        return self.offsets.shape[0] - 1

    @property
    def num_examples(self) -> np.ndarray:
        """Examples of each client `[N]`; needs concrete offsets."""
        return np.diff(np.asarray(self.offsets))


@dataclasses.dataclass(frozen=True)
class FederatedDataset:
    """The three splits of every client; client i is the same client in each of them.

    Attributes:
      train: the only split that scores, policies and training may see.
      validation: for choices.
      test: for reporting.
      client_names: `N` names.
      num_tokens: token ids of the inputs are below it; 0 if inputs are no tokens.
      notes: what the reader left out, joined or guessed, with counts; one line each.
    """

    train: ClientData
    validation: ClientData
    test: ClientData
    client_names: tuple[str, ...]
    num_tokens: int = 0
    notes: tuple[str, ...] = ()


@flax.struct.dataclass
class PartialSum:
    """Two sums over clients; partial sums of disjoint clients add up to that of all.

    Attributes:
      total: `sum_i a_i m_i (theta_i - theta)` for every coordinate, shaped like the params.
      weight: `sum_i a_i m_i`, broadcastable to `total` (size 1 along axes never cut).
      mass: `sum_i a_i`, a scalar.
    """

    total: PyTree
    weight: PyTree
    mass: jax.Array


@flax.struct.dataclass
class ServerState:
    """Everything that a run needs to go on: all of it belongs in a checkpoint.

    Attributes:
      params: the supernet.
      opt_state: state of the server optimizer.
      round: rounds finished, int32 scalar.
      key: root key of the run; it never advances.
    """

    params: Params
    opt_state: PyTree
    round: jax.Array
    key: jax.Array


@flax.struct.dataclass
class ClientMetrics:
    """Sums over one client's examples (with a leading `[C]` for a cohort).

    Attributes:
      loss: summed loss over targets inside the classes.
      correct: targets predicted right.
      loss_count: targets inside the classes.
      count: targets, unknown ones included, padding excluded.
    """

    loss: jax.Array
    correct: jax.Array
    loss_count: jax.Array
    count: jax.Array


@flax.struct.dataclass
class ClientReport:
    """What the clients of a round report of their training `[P, V, L]`.

    Attributes:
      metrics: sums over their steps.
      finite: whether every number of their update is finite, or the supernet was not before.
      weight: the weight of their update, float32; 0 if it never arrived or was left out.
      share: of the weight in the round's sums, `a_i / sum a`, float32. The shares of a round add
        up to 1, or to 0 if nothing arrived.
    """

    metrics: ClientMetrics
    finite: jax.Array
    weight: jax.Array
    share: jax.Array

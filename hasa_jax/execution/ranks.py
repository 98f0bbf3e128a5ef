"""The ranks that an extraction gives the units, tried before a run."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import ClientData, ServerState, UserError
from hasa_jax.execution.broadcast import broadcast_to
from hasa_jax.supernet.types import Extraction, Model

_SHOWN = 8
"""Ranks that a message shows."""


def check_ranks(extraction: Extraction, model: Model, train: ClientData, batch_size: int) -> None:
    """Refuses an extraction whose ranks are no permutation of the units of each group.

    Two units of one rank would both be kept, and the ledger would count one of them. The ranks of
    the first client in round 0 are computed once.

    Args:
      extraction: the extraction; one of single parameters has no ranks.
      model: the supernet.
      train: training examples, of which the first client's first batch is read.
      batch_size: examples in a batch.

    Raises:
      UserError: naming the extraction and the group.
    """
    if extraction.order is None:
        return
    found = jax.jit(_ranks, static_argnums=(0, 1, 4))(
        extraction, model, jax.random.key(0), _first_batch(train, batch_size), batch_size
    )
    groups = model.groups
    if found.keys() != groups.keys():
        raise UserError(
            f"`extraction` {extraction.name} ranks the units of {_listed(found)}, but the groups "
            f"of the model are {_listed(groups)}: return the ranks of every group"
        )
    for group, count in groups.items():
        ranks = np.asarray(found[group])
        integers = ranks.shape == (count,) and np.issubdtype(ranks.dtype, np.integer)
        if not integers or not np.array_equal(np.sort(ranks), np.arange(count)):
            shown = ", ".join(map(str, ranks.reshape(-1)[:_SHOWN]))
            raise UserError(
                f"`extraction` {extraction.name} ranks the {count} units of group {group!r} as "
                f"[{shown}{', ...' if ranks.size > _SHOWN else ''}], an array of shape "
                f"{ranks.shape} and type {ranks.dtype}: ranks must be each integer from 0 to "
                f"{count - 1} once, such as jnp.argsort(jnp.argsort(-scores))"
            )


def _ranks(
    extraction: Extraction, model: Model, key: jax.Array, train: ClientData, batch_size: int
) -> dict[str, jax.Array]:
    """Returns the ranks of the only client of some data, in round 0."""
    assert extraction.order is not None
    state = ServerState(model.init(key), (), jnp.int32(0), key)
    first = jnp.int32(0)
    sent = broadcast_to(first, first, model, state, train, batch_size)
    return {group: jnp.asarray(ranks) for group, ranks in extraction.order(sent).items()}


def _first_batch(train: ClientData, batch_size: int) -> ClientData:
    """Returns data of one client, with the first examples of the first client."""
    start, stop = (int(offset) for offset in train.offsets[:2])
    stop = min(stop, start + batch_size)
    offsets = np.array([0, stop - start], np.int32)
    own = slice(start, stop)
    return ClientData(train.inputs[own], train.targets[own], offsets, train.num_classes)


def _listed(groups: Iterable[str]) -> str:
    """Lists names of groups, the first few of many."""
    names = sorted(groups)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") or "none"

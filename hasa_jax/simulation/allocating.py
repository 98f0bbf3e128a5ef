"""From a method and a data set to a trial: who has which size, and what is set apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from hasa_jax.allocation.allocation import Allocation, allocate
from hasa_jax.allocation.scores.score import NUMBER_BYTES, message_bytes
from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.held_out import hold_out
from hasa_jax.methods.method import Method
from hasa_jax.numerics import in_32_bits
from hasa_jax.simulation.trial import HeldOut, Trial
from hasa_jax.supernet.types import Model


@in_32_bits
def make_trial(
    method: Method,
    model: Model,
    dataset: FederatedDataset,
    key: jax.Array,
    scores: np.ndarray | None = None,
    labels: Mapping[str, Any] | None = None,
) -> Trial:
    """Decides every client's size, and sets apart what a policy that reallocates measures on.

    Args:
      method: supplies the policy, the score, the budget and the extraction.
      model: the supernet.
      dataset: only its training examples are looked at.
      key: root key of the run; it is not consumed.
      scores: heterogeneity scores of the clients `[N]`; the method's own if None.
      labels: columns to put in front of every record.

    Returns:
      The trial. Under a policy that reallocates, its clients train on fewer examples
      (`held_out.hold_out`), and all shares and weights are those of these examples.

    Raises:
      UserError: if the budget cannot be met.
    """
    held_out = None
    if method.policy.reallocate_every:
        train, examples = hold_out(dataset.train, method.policy.held_out, key)
        held_out = HeldOut(examples, dataset.train)
        dataset = dataclasses.replace(dataset, train=train)
    allocation = allocate_clients(method, model, dataset, key, scores)
    return Trial(dataset, allocation, key, labels or {}, held_out)


@in_32_bits
def allocate_clients(
    method: Method,
    model: Model,
    dataset: FederatedDataset,
    key: jax.Array,
    scores: np.ndarray | None = None,
) -> Allocation:
    """Decides every client's size by a method.

    Args:
      method: supplies the policy, the score, the budget and the extraction.
      model: the supernet.
      dataset: only its training examples are looked at.
      key: root key of the run; it is not consumed.
      scores: heterogeneity scores of the clients `[N]`; the method's own if None.

    Returns:
      The allocation.

    Raises:
      UserError: if the budget cannot be met.
    """
    bytes_once = 0.0
    if method.policy.scored:
        # Scores of the user's own are one number each.
        bytes_once = float(NUMBER_BYTES)
        if scores is None and method.score is not None:
            scores = method.score(dataset.train, model, key)
            bytes_once = message_bytes(method.score, dataset.train, model)
    return allocate(
        dataset.train,
        model,
        policy=method.policy,
        key=key,
        scores=scores,
        bytes_once=bytes_once,
        budget=method.budget,
        extraction=method.extraction,
    )

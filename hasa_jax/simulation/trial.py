"""A run of one seed: what differs between the seeds of a program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.base import ClientData, FederatedDataset, UserError


class HeldOut(NamedTuple):
    """Training examples that clients set apart, to measure on.

    Attributes:
      examples: those that are set apart.
      train: all training examples, as the data set had them.
    """

    examples: ClientData
    train: ClientData


class Trial(NamedTuple):
    """A run of one seed.

    Attributes:
      dataset: train, validation and test examples of every client.
      allocation: every client's size.
      key: root key of the run; it is not consumed.
      labels: columns to put in front of every record.
      held_out: what a policy that reallocates measures on, which `dataset.train` lacks; None for
        other policies.
      seed_key: root key of the seed that the run is a fold of; None where there are no folds, as
        `key` is that of the seed then. It is not consumed.
    """

    dataset: FederatedDataset
    allocation: Allocation
    key: jax.Array
    labels: Mapping[str, Any] = {}
    held_out: HeldOut | None = None
    seed_key: jax.Array | None = None

    @property
    def source(self) -> FederatedDataset:
        """The data set with all training examples."""
        if self.held_out is None:
            return self.dataset
        return dataclasses.replace(self.dataset, train=self.held_out.train)

    def measured_on(self) -> HeldOut:
        """Returns what a policy that reallocates measures on.

        Raises:
          UserError: for a trial that sets no examples apart.
        """
        if self.held_out is None:
            raise UserError(
                "the policy measures on examples that clients set apart, but this trial has none: "
                "make it with `make_trial`"
            )
        return self.held_out

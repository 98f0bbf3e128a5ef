"""What is compared: the arms of a table."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from experiments.config import RunConfig
from experiments.rooms import named_score
from experiments.study.method import parts_of
from hasa_jax.base import UserError

_OF_COMPARE = ("methods", "policies", "num_seeds", "reference", "until_halfwidth", "max_seeds")
"""Fields that only compare reads."""


class Arm(NamedTuple):
    """One arm: a method, and the policy that allocates its widths.

    Attributes:
      method: name of the method.
      policy: name of the policy, or policy@score.
    """

    method: str
    policy: str


def arm_of_train(config: RunConfig, given: Set[str]) -> Arm:
    """Returns what train runs: one method under its policy, or another.

    Args:
      config: the configuration.
      given: fields that the user gave.

    Returns:
      The arm.

    Raises:
      UserError: for fields that only compare reads.
    """
    for name in _OF_COMPARE:
        if name in given:
            raise UserError(f"`{name}` is for compare; train runs one `method` on one `seed`")
    method = config.method.method
    return Arm(method, parts_of(config, method).policy)


def arms_of_compare(config: RunConfig, given: Set[str]) -> list[Arm]:
    """Returns what compare runs: several methods, or several policies of one method.

    Args:
      config: the configuration.
      given: fields that the user gave.

    Returns:
      The arms.

    Raises:
      UserError: for fields that contradict each other, and for an arm that is there twice.
    """
    compared = config.comparison
    if compared.methods:
        if given & {"policies", "method"}:
            raise UserError(
                "`method` and `policies` are for one method; with `methods`, write method:policy"
            )
        named = [item.partition(":") for item in compared.methods]
        arms = [Arm(name, policy or parts_of(config, name).policy) for name, _, policy in named]
    else:
        if config.allocation.policy is not None:
            raise UserError("`policy` is for train or `methods`; compare takes `policies`")
        arms = [Arm(config.method.method, policy) for policy in compared.policies]
    score = config.allocation.score
    if len({(arm.method, *named_score(arm.policy, score)) for arm in arms}) < len(arms):
        raise UserError("one method with one policy and score is named twice")
    return arms

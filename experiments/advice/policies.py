"""Which policies advice compares, and which it must leave out."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple

import jax
import numpy as np

from experiments.advice.fleet import Fleet
from experiments.config import RunConfig
from experiments.rooms import FROM_FILE, named_score
from experiments.study.method import method_of
from experiments.study.scores import read_scores
from hasa_jax.allocation import Policy
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.supernet.types import Model

EVERY = (
    *("uniform", "size_proportional", "inverse_size", "capacity", "hasa", "inverse_hasa"),
    *("random", "levels", "smallest", "exclusive", "full", "fixed", "need"),
)
"""All policies, in the order in which they are shown."""


class Chosen(NamedTuple):
    """The policies that can be computed.

    Attributes:
      policies: by name.
      scores: of the clients that each scored policy follows `[N]`, by its name.
      left_out: the reason of each other one, by name.
    """

    policies: Mapping[str, Policy]
    scores: Mapping[str, np.ndarray]
    left_out: Mapping[str, str]


def named_policies(config: RunConfig, given: Set[str]) -> tuple[str, ...]:
    """Returns the policies that the user names, or all of them."""
    return config.comparison.policies if "policies" in given else EVERY


def chosen_policies(
    config: RunConfig,
    given: Set[str],
    fleet: Fleet,
    dataset: FederatedDataset | None,
    model: Model,
    key: jax.Array,
) -> Chosen:
    """Builds the policies that the user names, or all of them.

    Args:
      config: the configuration.
      given: fields that the user gave.
      fleet: the clients.
      dataset: their data; None if only their numbers are known.
      model: the supernet, which some scores are of.
      key: root key of the run; it is not consumed.

    Returns:
      The policies, and what is left out.
    """
    named = named_policies(config, given)
    policies, scores, left_out = {}, {}, {}
    for name in named:
        base, score = named_score(name, config.allocation.score)
        if reason := _reason(base, config, given, fleet):
            left_out[name] = reason
            continue
        try:
            method = method_of(config, config.method.method, name, fleet.names)
        except UserError as error:
            left_out[name] = str(error)
            continue
        if method.policy.scored:
            # A column of scores is what the policy follows by default, not the score that is named.
            by_name = "@" in name or "score" in given
            found = None if by_name else fleet.scores
            if found is None and score == FROM_FILE and config.allocation.score_path:
                path = config.allocation.score_path
                found = read_scores(path, fleet.names, config.comparison.seed)
            if found is None and dataset is not None and method.score is not None:
                found = method.score(dataset.train, model, key)
            if found is None:
                plain = "add a column score, or " if not by_name else ""
                left_out[name] = f"follows scores of data: {plain}name a `dataset`"
                continue
            scores[name] = np.asarray(found, np.float64)
        policies[name] = method.policy
    return Chosen(policies, scores, left_out)


def _reason(name: str, config: RunConfig, given: Set[str], fleet: Fleet) -> str:
    """Says why a policy cannot be computed; nothing if it can."""
    if name == "need":
        return "follows losses that clients measure while they train"
    if name == "fixed" and not config.allocation.widths:
        return "needs `widths`"
    if name == "capacity" and not fleet.caps and "capacities" not in given:
        return "follows what devices hold, and no caps are given"
    return ""

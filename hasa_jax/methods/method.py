"""Published methods: which extraction, objective, norm, mean and weights make each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.methods.build import partial_training
from hasa_jax.supernet.types import Model

CHOICES = (
    "policy",
    "extraction",
    "objective",
    "norm",
    "scaler",
    "label_split",
    "aggregation",
    "client_weights",
    "robust",
)
"""Fields of a method that a user may override one by one."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A published combination, by names in the tables of this package.

    Attributes:
      summary: the method in one line, with its reference.
      policy: allocation of widths; what a method leaves open is `uniform`.
      extraction: which part of the supernet a width holds.
      objective: what clients minimise.
      norm: norm of models that have a choice.
      scaler: when activations are divided by the width: `none`, `train` or `always`.
      label_split: whether clients contribute only the rows of their own classes and tokens.
      aggregation: denominator of the server's mean.
      client_weights: weights of the server's mean.
      robust: what takes the place of the plain mean.
    """

    summary: str
    policy: str = "uniform"
    extraction: str = "prefix"
    objective: str = "cross_entropy"
    norm: str = "batch"
    scaler: str = "none"
    label_split: bool = False
    aggregation: str = "coverage"
    client_weights: str = "uniform"
    robust: str = "none"


METHODS = {
    "coordinate_median": Method(
        "FedAvg by the median of each coordinate (arXiv 1803.01498)",
        policy="full",
        norm="static",
        robust="median",
    ),
    "fedavg": Method(
        "all clients train the whole supernet (arXiv 1602.05629)",
        policy="full",
        norm="static",
        client_weights="examples",
    ),
    "federated_dropout": Method(
        "units drawn at random for each client and round (arXiv 1812.07210)",
        extraction="random",
        norm="static",
    ),
    "fiarse": Method(
        "single parameters of largest magnitude (arXiv 2407.19389)",
        extraction="importance",
        aggregation="nonzero",
    ),
    "fjord": Method(
        "ordered dropout: a width drawn for each batch (arXiv 2102.13451)",
        extraction="ordered_dropout",
        norm="static",
        client_weights="examples",
    ),
    "fedrolex": Method(
        "a window of units that rolls with the rounds (arXiv 2212.01548)",
        extraction="rolling",
        objective="masked_cross_entropy",
        scaler="train",
        label_split=True,
    ),
    "hasa": Method(
        "width follows the heterogeneity of the client's data (arXiv 2606.07621)",
        policy="hasa",
        norm="static",
        client_weights="examples",
    ),
    "heterofl": Method(
        "the first units, masked loss, static norm, scaler (arXiv 2010.01264)",
        objective="masked_cross_entropy",
        norm="static",
        scaler="train",
        label_split=True,
    ),
    "scalefl": Method(
        "narrower and shallower, all exits trained together (CVPR 2023)",
        extraction="depth_width",
        objective="multi_exit",
        scaler="always",
    ),
    "trimmed_mean": Method(
        "FedAvg without the extremes of each coordinate (arXiv 1803.01498)",
        policy="full",
        norm="static",
        robust="trimmed_mean",
    ),
}


def build(
    method: Method,
    model: Model,
    *,
    extraction: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
    **training: Any,
) -> FederatedAlgorithm:
    """Builds the algorithm of a method.

    Policy and weights are the business of `allocate` and `run`, norm and scaler of the model.

    Args:
      method: the combination.
      model: the supernet.
      extraction: options of the method's extraction.
      objective: options of its objective.
      **training: arguments of `partial_training`.

    Returns:
      The algorithm.

    Raises:
      UserError: for a model or an execution that the method does not fit.
    """
    return partial_training(
        model,
        extraction=EXTRACTIONS[method.extraction](**(extraction or {})),
        objective=OBJECTIVES[method.objective](**(objective or {})),
        aggregation=method.aggregation,
        label_split=method.label_split,
        robust=method.robust,
        **training,
    )


def describe(method: Method) -> str:
    """Returns a method's choices in one line, for `--help`."""
    choices = ", ".join(f"{name}={getattr(method, name)}" for name in CHOICES)
    return f"{method.summary}: {choices}"

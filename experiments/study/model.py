"""From a configuration to the specification of a supernet."""

from __future__ import annotations

import inspect

import jax.numpy as jnp

from experiments.rooms import ModelConfig
from hasa_jax.base import FederatedDataset
from hasa_jax.models import MODELS, default_model
from hasa_jax.supernet.types import ModelSpec

_FIELDS = {"embed": "embed_dim", "feedforward": "feedforward_dim", "hidden": "hidden_dim"}
"""Fields of arguments that have another name in the library."""


def model_name(config: ModelConfig, dataset: FederatedDataset) -> str:
    """Returns the supernet's name: the user's choice, or what the data suggest."""
    return config.model or default_model(dataset)


def model_of(config: ModelConfig, dataset: FederatedDataset) -> ModelSpec:
    """Specifies the supernet; its factory gets the fields that it has arguments of.

    Args:
      config: the configuration of the model.
      dataset: decides which supernet it is, if the configuration does not.

    Returns:
      The specification.

    Raises:
      UserError: for a bad value.
    """
    factory = MODELS[model_name(config, dataset)]
    arguments = [name for name in inspect.signature(factory).parameters if name != "dtype"]
    values = {name: getattr(config, _FIELDS.get(name, name)) for name in arguments}
    return factory(**values, dtype=jnp.dtype(config.compute_dtype))

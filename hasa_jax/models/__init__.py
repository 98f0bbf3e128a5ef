"""Supernets that come with the package: flax.linen modules whose parameters name their axes."""

from collections.abc import Callable

from hasa_jax.models.cnn import CNN, cnn
from hasa_jax.models.fit import default_model
from hasa_jax.models.layers import NORMS, SCALERS, spread_exits
from hasa_jax.models.lstm import LSTM, lstm
from hasa_jax.models.mlp import MLP, mlp
from hasa_jax.models.resnet18 import ResNet18, resnet18
from hasa_jax.models.transformer import Transformer, transformer
from hasa_jax.supernet.types import ModelSpec

MODELS: dict[str, Callable[..., ModelSpec]] = {
    "cnn": cnn,
    "lstm": lstm,
    "mlp": mlp,
    "resnet18": resnet18,
    "transformer": transformer,
}

__all__ = [
    "CNN",
    "LSTM",
    "MLP",
    "MODELS",
    "NORMS",
    "SCALERS",
    "ResNet18",
    "Transformer",
    "cnn",
    "default_model",
    "lstm",
    "mlp",
    "resnet18",
    "spread_exits",
    "transformer",
]

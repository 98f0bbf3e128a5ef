"""Supernets: flax.linen modules whose parameters name their axes."""

from hasa_jax.models.cnn import CNN
from hasa_jax.models.layers import spread_exits
from hasa_jax.models.lstm import LSTM
from hasa_jax.models.mlp import MLP
from hasa_jax.models.resnet18 import ResNet18
from hasa_jax.models.transformer import Transformer
from hasa_jax.supernet.linen import from_linen

MODELS = {"cnn": CNN, "lstm": LSTM, "mlp": MLP, "resnet18": ResNet18, "transformer": Transformer}

__all__ = [
    "CNN",
    "LSTM",
    "MLP",
    "MODELS",
    "ResNet18",
    "Transformer",
    "from_linen",
    "spread_exits",
]

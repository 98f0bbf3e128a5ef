"""Supernets: flax.linen modules whose parameters name their axes."""

from hasa_jax.models.linen import from_linen
from hasa_jax.models.lstm import LSTM

MODELS = {"lstm": LSTM}

__all__ = ["LSTM", "MODELS", "from_linen"]

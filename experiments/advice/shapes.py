"""A data set of shapes only: what a model needs to know of data that are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.config import RunConfig
from hasa_jax.base import ClientData, FederatedDataset, UserError

IMAGES, NEXT_WORDS = ("cnn", "resnet18", "mlp"), ("lstm",)
"""Models that read images, and those that predict the next word."""

_SPECIAL_TOKENS = 2
"""Beside the words of a vocabulary: padding, and a token for all other words."""


def dataset_of_shapes(
    config: RunConfig, names: Sequence[str], examples: np.ndarray
) -> FederatedDataset:
    """Makes a data set whose clients hold zeros, which take no memory.

    Args:
      config: the model; and `num_classes`, `image_size` and `image_channels` of images, or
        `vocab_size` and `max_length` of texts. `transformer` reads texts with labels.
      names: of the clients.
      examples: training examples of each client `[N]`.

    Returns:
      The data set.

    Raises:
      UserError: if no model is named.
    """
    data, model = config.data, config.model.model
    if model is None:
        raise UserError("a file of clients does not say what they train: name it with `model`")
    count, tokens, classes = int(examples.sum()), 0, data.num_classes
    if model in IMAGES:
        shape, dtype = (data.image_size, data.image_size, config.advice.image_channels), np.float32
    else:
        shape, dtype = (data.max_length,), np.int32
        tokens = data.vocab_size + _SPECIAL_TOKENS
    targets: tuple[int, ...] = (count,)
    if model in NEXT_WORDS:
        targets, classes = (count, *shape), data.vocab_size
    split = ClientData(
        inputs=np.broadcast_to(np.zeros((), dtype), (count, *shape)),
        targets=np.broadcast_to(np.zeros((), np.int32), targets),
        offsets=np.concatenate([[0], np.cumsum(examples)]).astype(np.int64),
        num_classes=classes,
    )
    return FederatedDataset(split, split, split, tuple(names), tokens)

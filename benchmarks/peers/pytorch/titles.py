"""The titles in PyTorch: a narrow LSTM for each client, Adam."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.peers.batches import Batches
from benchmarks.peers.pytorch.task import Task, word_loss

_EMBEDDING = 128


class LanguageModel(torch.nn.Module):
    """An embedding, one LSTM layer, and a linear head.

    Args:
      num_tokens: input ids.
      num_classes: words that can be predicted.
      hidden: units of the LSTM.
    """

    def __init__(self, num_tokens: int, num_classes: int, hidden: int):
        super().__init__()
        self.embedding = torch.nn.Embedding(num_tokens, _EMBEDDING)
        self.lstm = torch.nn.LSTM(_EMBEDDING, hidden, batch_first=True)
        # The other bias of the gates is enough; this library has one.
        self.lstm.bias_hh_l0.requires_grad_(False).zero_()
        self.head = torch.nn.Linear(hidden, num_classes)

    def forward(self, tokens: Any, wanted: Any) -> Any:
        """Returns logits `[Q, K]` at flat positions `[Q]` of tokens `[B, T]`."""
        states = self.lstm(self.embedding(tokens))[0]
        return self.head(states.flatten(0, 1)[wanted])


def build(kept: Mapping[str, int], batches: Batches) -> LanguageModel:
    """Makes the network.

    Args:
      kept: what it keeps of every group.
      batches: have the words.

    Returns:
      The network.
    """
    return LanguageModel(batches.num_tokens, batches.num_classes, kept["hidden"])


# Fused is the fastest of PyTorch's Adams on CPUs.
TASK = Task(build, functools.partial(torch.optim.Adam, lr=0.01, fused=True), word_loss)
"""The titles."""

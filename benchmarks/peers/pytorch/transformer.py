"""The titles by a causal, pre-norm Transformer in PyTorch, Adam."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.peers.batches import Batches
from benchmarks.peers.pytorch.task import Task, word_loss

_HEADS, _LAYERS = 4, 2


class _Layer(torch.nn.Module):
    """Causal self-attention and a feed-forward part, each behind a norm and with a shortcut.

    Args:
      embed: units of the residual stream.
      head_dim: units of every head.
      feedforward: hidden units.
    """

    def __init__(self, embed: int, head_dim: int, feedforward: int):
        super().__init__()
        inner = _HEADS * head_dim
        self.attention_norm = torch.nn.LayerNorm(embed)
        self.project = torch.nn.Linear(embed, 3 * inner)
        self.output = torch.nn.Linear(inner, embed)
        self.feedforward_norm = torch.nn.LayerNorm(embed)
        self.enter = torch.nn.Linear(embed, feedforward)
        self.leave = torch.nn.Linear(feedforward, embed)

    def forward(self, states: Any) -> Any:
        """Maps states `[B, T, U]` to the same shape.

        Padding stands at the end, so that no word with a target looks at it.
        """
        heads = self.project(self.attention_norm(states)).unflatten(2, (3, _HEADS, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + self.output(mixed.transpose(1, 2).flatten(2))
        hidden = self.enter(self.feedforward_norm(states))
        return states + self.leave(torch.nn.functional.gelu(hidden, approximate="tanh"))


class Transformer(torch.nn.Module):
    """Embeddings of tokens and positions, layers, a norm, and a linear head.

    Args:
      num_tokens: input ids.
      num_classes: words that can be predicted.
      length: positions.
      kept: units of `embed` and, for each layer, of `head_dim/0` and `feedforward/0`, ...
    """

    def __init__(self, num_tokens: int, num_classes: int, length: int, kept: Mapping[str, int]):
        super().__init__()
        embed = kept["embed"]
        self.embedding = torch.nn.Embedding(num_tokens, embed)
        self.positions = torch.nn.Parameter(0.1 * torch.randn(length, embed))
        self.layers = torch.nn.Sequential(
            *(
                _Layer(embed, kept[f"head_dim/{layer}"], kept[f"feedforward/{layer}"])
                for layer in range(_LAYERS)
            )
        )
        self.norm = torch.nn.LayerNorm(embed)
        self.head = torch.nn.Linear(embed, num_classes)

    def forward(self, tokens: Any, wanted: Any) -> Any:
        """Returns logits `[Q, K]` at flat positions `[Q]` of tokens `[B, T]`."""
        states = self.layers(self.embedding(tokens) + self.positions)
        return self.head(self.norm(states.flatten(0, 1)[wanted]))


def build(kept: Mapping[str, int], batches: Batches) -> Transformer:
    """Makes the network.

    Args:
      kept: what it keeps of every group.
      batches: have the words and the length.

    Returns:
      The network.
    """
    length = batches.inputs[0].shape[-1]
    return Transformer(batches.num_tokens, batches.num_classes, length, kept)


# Fused is the fastest of PyTorch's Adams on CPUs.
TASK = Task(build, functools.partial(torch.optim.Adam, lr=0.001, fused=True), word_loss)
"""The titles by a Transformer."""

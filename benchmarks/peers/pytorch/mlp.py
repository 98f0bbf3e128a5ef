"""A perceptron with one hidden layer in PyTorch, plain SGD."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.peers.batches import Batches
from benchmarks.peers.pytorch.task import Task, class_loss


def build(kept: Mapping[str, int], batches: Batches) -> Any:
    """Makes the network.

    Args:
      kept: what it keeps of every group.
      batches: have the features and the classes.

    Returns:
      The network.
    """
    features, hidden = batches.inputs[0].shape[-1], kept["hidden/0"]
    layers = torch.nn.Linear(features, hidden), torch.nn.Linear(hidden, batches.num_classes)
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])


TASK = Task(build, functools.partial(torch.optim.SGD, lr=0.01), class_loss)
"""The perceptron."""

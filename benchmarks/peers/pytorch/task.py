"""What PyTorch trains in a workload: networks, their optimizer, their loss, tensors of batches."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.peers.batches import Batches, check_parameters

Build = Callable[[Mapping[str, int], Batches], Any]
"""What is kept of every group, and the batches -> a network."""


class Task(NamedTuple):
    """A workload.

    Attributes:
      build: makes a network of any size.
      optimizer: parameters -> a fresh optimizer.
      loss: `(network, inputs, targets) -> scalar`.
    """

    build: Build
    optimizer: Callable[[Iterable[Any]], Any]
    loss: Callable[[Any, Any, Any], Any]


def networks(task: Task, batches: Batches) -> dict[tuple[int, ...], Any]:
    """Builds a network of every size that a round has, and the supernet.

    Args:
      task: says how.
      batches: the batches of the round.

    Returns:
      The networks, by what they keep of every group.

    Raises:
      ValueError: if one has other parameters than this library's network of its size.
    """
    expected = [*zip(batches.kept, batches.parameters, strict=True)]
    built = {}
    for kept, parameters in [*expected, (batches.full, batches.full_parameters)]:
        if tuple(kept.values()) not in built:
            network = task.build(kept, batches)
            trained = (each for each in network.parameters() if each.requires_grad)
            check_parameters(kept, sum(each.numel() for each in trained), parameters)
            built[tuple(kept.values())] = network
    return built


def tensors(batches: Batches) -> tuple[list[Any], list[Any]]:
    """Makes tensors of batches; channels go first, each image as contiguous as it can be.

    Args:
      batches: the batches of a round.

    Returns:
      Inputs and targets of every client.
    """
    inputs = []
    for own in batches.inputs:
        if batches.num_tokens:
            own = own.astype(np.int64)
        elif own.ndim == 5:
            own = np.moveaxis(own, -1, 2)
        inputs.append(torch.from_numpy(np.ascontiguousarray(own)))
    targets = [torch.from_numpy(own.astype(np.int64)) for own in batches.targets]
    return inputs, targets


def class_loss(network: Any, inputs: Any, targets: Any) -> Any:
    """Returns the mean cross-entropy of one class for each example.

    Args:
      network: maps inputs to logits `[B, K]`.
      inputs: images `[B, 3, height, width]` or features `[B, F]`.
      targets: classes `[B]`.
    """
    return torch.nn.functional.cross_entropy(network(inputs), targets)


def word_loss(network: Any, inputs: Any, targets: Any) -> Any:
    """Returns the mean cross-entropy over the targets that have a loss.

    The network computes logits only there, which is faster than everywhere.

    Args:
      network: maps tokens and flat positions `[Q]` to logits `[Q, K]`.
      inputs: tokens `[B, T]`.
      targets: words `[B, T]`, negative where there is no loss.
    """
    flat = targets.flatten()
    wanted = (flat >= 0).nonzero()[:, 0]
    return torch.nn.functional.cross_entropy(network(inputs, wanted), flat[wanted])

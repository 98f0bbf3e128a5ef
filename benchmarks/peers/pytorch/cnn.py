"""HeteroFL's CNN in PyTorch, SGD with momentum."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.peers.batches import Batches
from benchmarks.peers.pytorch.task import Task, class_loss

_STAGES = ("stage1", "stage2", "stage3", "stage4")


class Network(torch.nn.Module):
    """Four stages of convolution, scaler, norm and ReLU with pooling between, and a linear head.

    Args:
      channels: of every stage.
      width: share of the channels that is kept; activations are divided by it.
      num_classes: classes.
    """

    def __init__(self, channels: tuple[int, ...], width: float, num_classes: int):
        super().__init__()
        before = (3, *channels)
        self.width = width
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv2d(below, above, 3, padding=1)
            for below, above in zip(before, channels, strict=False)
        )
        # No running statistics: a static norm has none while it trains.
        self.norms = torch.nn.ModuleList(
            torch.nn.BatchNorm2d(number, track_running_stats=False) for number in channels
        )
        self.head = torch.nn.Linear(channels[-1], num_classes)

    def forward(self, images: Any) -> Any:
        """Returns logits `[B, K]` of images `[B, 3, height, width]`."""
        stages = zip(self.convolutions, self.norms, strict=True)
        for stage, (convolution, norm) in enumerate(stages):
            if stage:
                images = torch.nn.functional.max_pool2d(images, 2)
            images = torch.relu(norm(convolution(images) / self.width))
        return self.head(images.mean((2, 3)))


def build(kept: Mapping[str, int], batches: Batches) -> Network:
    """Makes the network.

    Args:
      kept: what it keeps of every group.
      batches: have the classes.

    Returns:
      The network.
    """
    channels = tuple(kept[stage] for stage in _STAGES)
    return Network(channels, channels[-1] / batches.full[_STAGES[-1]], batches.num_classes)


TASK = Task(build, functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9), class_loss)
"""HeteroFL's CNN."""

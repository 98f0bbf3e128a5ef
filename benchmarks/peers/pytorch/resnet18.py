"""HeteroFL's pre-activation ResNet-18 in PyTorch, SGD with momentum."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.peers.batches import Batches
from benchmarks.peers.pytorch.task import Task, class_loss

_STAGES, _BLOCKS = 4, 2


class _Normal(torch.nn.Module):
    """The scaler, a norm and a ReLU.

    Args:
      channels: of the images.
      width: share of the channels that is kept.
    """

    def __init__(self, channels: int, width: float):
        super().__init__()
        # No running statistics: a static norm has none while it trains.
        self.norm = torch.nn.BatchNorm2d(channels, track_running_stats=False)
        self.width = width

    def forward(self, images: Any) -> Any:
        """Maps images `[B, U, height, width]` to the same shape."""
        return torch.relu(self.norm(images / self.width))


class _Block(torch.nn.Module):
    """Two convolutions, each behind a norm and a ReLU, and a shortcut around them.

    Args:
      channels: of the input, between the convolutions, and of the output.
      width: share of the channels that is kept.
      stride: of the first convolution.
      joins: whether a convolution is in the shortcut: the block joins two stages.
    """

    def __init__(self, channels: tuple[int, int, int], width: float, stride: int, joins: bool):
        super().__init__()
        below, inner, outer = channels
        conv = functools.partial(torch.nn.Conv2d, bias=False)
        self.first = _Normal(below, width)
        self.enter = conv(below, inner, 3, stride=stride, padding=1)
        self.second = _Normal(inner, width)
        self.leave = conv(inner, outer, 3, padding=1)
        self.shortcut = conv(below, outer, 1, stride=stride) if joins else None

    def forward(self, images: Any) -> Any:
        """Maps `[B, in, height, width]` to `[B, outer, height / stride, width / stride]`."""
        active = self.first(images)
        around = images if self.shortcut is None else self.shortcut(active)
        return around + self.leave(self.second(self.enter(active)))


class ResNet18(torch.nn.Module):
    """A convolution, four stages of two blocks, norm and ReLU, and a linear head.

    Args:
      kept: channels of `stage1` to `stage4` and, inside their blocks, of `stage1/inner0`, ...
      width: share of the channels that is kept.
      num_classes: classes.
    """

    def __init__(self, kept: Mapping[str, int], width: float, num_classes: int):
        super().__init__()
        below = kept["stage1"]
        self.conv = torch.nn.Conv2d(3, below, 3, padding=1, bias=False)
        blocks = []
        for stage in range(1, _STAGES + 1):
            group = f"stage{stage}"
            for block in range(_BLOCKS):
                joins = stage > 1 and block == 0
                channels = (below, kept[f"{group}/inner{block}"], kept[group])
                blocks.append(_Block(channels, width, 2 if joins else 1, joins))
                below = kept[group]
        self.blocks = torch.nn.Sequential(*blocks)
        self.last = _Normal(below, width)
        self.head = torch.nn.Linear(below, num_classes)

    def forward(self, images: Any) -> Any:
        """Returns logits `[B, K]` of images `[B, 3, height, width]`."""
        return self.head(self.last(self.blocks(self.conv(images))).mean((2, 3)))


def build(kept: Mapping[str, int], batches: Batches) -> ResNet18:
    """Makes the network.

    Args:
      kept: what it keeps of every group.
      batches: have the classes.

    Returns:
      The network.
    """
    return ResNet18(kept, kept["stage4"] / batches.full["stage4"], batches.num_classes)


TASK = Task(build, functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9), class_loss)
"""HeteroFL's ResNet-18."""

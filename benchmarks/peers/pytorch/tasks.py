"""All workloads in PyTorch, by name."""

from __future__ import annotations

from benchmarks.peers.pytorch import cnn, mlp, resnet18, titles, transformer
from benchmarks.peers.pytorch.task import Task

TASKS: dict[str, Task] = {
    "titles": titles.TASK,
    "transformer": transformer.TASK,
    "cnn": cnn.TASK,
    "resnet18": resnet18.TASK,
    "mlp": mlp.TASK,
}
"""The workloads."""

"""The loop over texts as it is often written: logits at every position, padding included."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.peers.pytorch import loop
from benchmarks.peers.pytorch.tasks import TASKS

_IGNORED = -100


def run(workload: str, path: str, setting: str, report: Callable[..., None]) -> None:
    """Reports the seconds of rounds.

    Args:
      workload: its name.
      path: file with the batches of a round.
      setting: PyTorch's threads.
      report: takes a function that runs a round and returns its seconds.
    """
    loop.run_task(TASKS[workload]._replace(loss=word_loss), path, setting, report)


def word_loss(network: Any, inputs: Any, targets: Any) -> Any:
    """Returns the mean cross-entropy over the targets that have a loss.

    Args:
      network: maps tokens and flat positions `[Q]` to logits `[Q, K]`.
      inputs: tokens `[B, T]`.
      targets: words `[B, T]`, negative where there is no loss.
    """
    flat = targets.flatten()
    return torch.nn.functional.cross_entropy(
        network(inputs, slice(None)), flat.where(flat >= 0, _IGNORED), ignore_index=_IGNORED
    )

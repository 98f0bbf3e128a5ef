"""A plain PyTorch loop over truly narrow clients: cut, train, add up, average.

Exits with status 2 and one line where PyTorch is missing.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

try:
    import torch
except ImportError:
    print(
        f"error: {sys.executable} has no PyTorch: install it there (pip install torch), or run "
        "with an interpreter that has it",
        file=sys.stderr,
    )
    sys.exit(2)

from benchmarks import turns

State = dict[str, Any]
"""Parameters by name."""

IGNORED = -100
"""The target that PyTorch's cross-entropy leaves out."""


class Batches(NamedTuple):
    """Batches of a round, as `benchmarks.peers.export` writes them.

    Attributes:
      inputs: of every client, a list of batches.
      targets: the same; targets without a loss are `IGNORED`.
      sizes: what each client keeps of every group.
      weights: every client's weight in the mean.
      full: what the whole supernet has of every group.
      num_classes: classes.
      num_tokens: token ids of texts, 0 otherwise.
    """

    inputs: list[list[Any]]
    targets: list[list[Any]]
    sizes: list[tuple[int, ...]]
    weights: list[float]
    full: tuple[int, ...]
    num_classes: int
    num_tokens: int


def arguments(description: str | None) -> argparse.Namespace:
    """Parses the command line of a peer.

    Args:
      description: what it does.

    Returns:
      The flags.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--batches", required=True, help="a file that peers.export has written")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that are timed")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--on_request", action="store_true", help="a round for each line read")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    return given


def load(path: str) -> Batches:
    """Reads batches.

    Args:
      path: an `.npz` file.

    Returns:
      The batches.
    """
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    inputs, targets = arrays["inputs"], arrays["targets"].astype(np.int64)
    if arrays["num_tokens"]:
        inputs = inputs.astype(np.int64)
    else:
        # Channels go first here, each image as contiguous as it can be.
        inputs = np.ascontiguousarray(np.moveaxis(inputs, -1, 2))
    targets = np.where(targets < 0, IGNORED, targets)
    ends = np.cumsum(arrays["steps"])[:-1]
    return Batches(
        [list(torch.from_numpy(part)) for part in np.split(inputs, ends)],
        [list(torch.from_numpy(part)) for part in np.split(targets, ends)],
        [tuple(row) for row in arrays["sizes"].tolist()],
        arrays["weights"].tolist(),
        tuple(arrays["full"].tolist()),
        int(arrays["num_classes"]),
        int(arrays["num_tokens"]),
    )


def run(
    given: argparse.Namespace,
    batches: Batches,
    build: Callable[[tuple[int, ...]], Any],
    optimizer: Callable[[Any], Any],
    loss: Callable[[Any, Any, Any], Any],
) -> None:
    """Times rounds as the command line says, and prints their seconds.

    Args:
      given: the flags.
      batches: the batches of a round.
      build: what a client keeps of every group -> its network.
      optimizer: parameters -> a fresh optimizer.
      loss: `(network, inputs, targets) -> scalar`.
    """
    # Networks are built once for each size: to initialise them is no part of a round.
    networks = {sizes: build(sizes) for sizes in {*batches.sizes, batches.full}}
    state = _copied(networks[batches.full].state_dict())

    def one_round() -> float:
        began = time.perf_counter()
        _round(state, batches, networks, optimizer, loss)
        return time.perf_counter() - began

    turns.report(one_round, given.repeats, on_request=given.on_request)


def _round(
    state: State,
    batches: Batches,
    networks: dict[tuple[int, ...], Any],
    optimizer: Callable[[Any], Any],
    loss: Callable[[Any, Any, Any], Any],
) -> State:
    """Runs a round; returns the state after it."""
    totals = {name: torch.zeros_like(value) for name, value in state.items()}
    masses = {name: torch.zeros_like(value) for name, value in state.items()}
    for client, sizes in enumerate(batches.sizes):
        network = networks[sizes]
        narrow = _cut(state, network.state_dict())
        network.load_state_dict(narrow)
        network.train()
        rule = optimizer(network.parameters())
        for inputs, targets in zip(batches.inputs[client], batches.targets[client], strict=True):
            rule.zero_grad(set_to_none=True)
            loss(network, inputs, targets).backward()
            rule.step()
        with torch.no_grad():
            for name, trained in network.state_dict().items():
                held = tuple(slice(side) for side in trained.shape)
                totals[name][held] += batches.weights[client] * (trained - narrow[name])
                masses[name][held] += batches.weights[client]
    return {
        name: value + totals[name] / torch.where(masses[name] > 0, masses[name], 1.0)
        for name, value in state.items()
    }


def _cut(state: State, like: State) -> State:
    """Cuts the first rows and columns out of every parameter.

    Of an LSTM's stacked gates these are not each gate's first units; it costs as much.
    """
    return {
        name: state[name][tuple(slice(side) for side in value.shape)].clone()
        for name, value in like.items()
    }


def _copied(state: State) -> State:
    """Returns a state that training does not change."""
    return {name: value.clone() for name, value in state.items()}

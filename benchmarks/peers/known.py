"""The peers: where their loops are, which workloads these run, and how they can be set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks import processes


class Peer(NamedTuple):
    """A framework that runs the same work.

    Attributes:
      environment: folder of its virtual environment, and name of its list of requirements.
      packages: what it imports; the first gives the version.
      module: has `run(workload, path, setting, report)`.
      workloads: those that it runs.
      setting: what can be set.
      settings: values to try; the fastest counts.
      variables: environment variables that it reads when it is imported.
    """

    environment: str
    packages: tuple[str, ...]
    module: str
    workloads: tuple[str, ...]
    setting: str
    settings: tuple[str, ...]
    variables: Mapping[str, str]


_THREADS = tuple(str(number) for number in sorted({1, processes.cores()}))
_QUIET = {
    # No news to the makers of Flower and of Ray.
    "FLWR_TELEMETRY_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_LOOP, _PADDED = "benchmarks.peers.pytorch.loop", "benchmarks.peers.pytorch.padded"
_FEDJAX, _PFL = "benchmarks.peers.fedjax_mlp", "benchmarks.peers.pfl_mlp"
_FLOWER = "benchmarks.peers.flower"
_TEXTS, _IMAGES = ("titles", "transformer"), ("cnn", "resnet18")

PEERS: dict[str, Peer] = {
    "torch": Peer("torch", ("torch",), _LOOP, (*_TEXTS, *_IMAGES), "threads", _THREADS, {}),
    "torch-padded": Peer("torch", ("torch",), _PADDED, _TEXTS, "threads", _THREADS, {}),
    "fedjax": Peer("fedjax", ("fedjax",), _FEDJAX, ("mlp",), "backend", ("jit", "pmap"), {}),
    "pfl": Peer("pfl", ("pfl", "torch"), _PFL, ("mlp",), "threads", _THREADS, {}),
    "flower": Peer(
        "flower",
        ("flwr", "ray", "torch"),
        _FLOWER,
        ("cnn", "mlp"),
        "threads of a client",
        _THREADS,
        _QUIET,
    ),
}
"""The peers, by name."""

WORKLOADS = tuple(sorted({name for peer in PEERS.values() for name in peer.workloads}))
"""Workloads that a peer runs."""

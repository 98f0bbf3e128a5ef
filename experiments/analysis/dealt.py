"""Whether the clients of a workdir are the same in every seed, or dealt again for each.

Partitions and some synthetic data sets are drawn from the key of a seed. `client_6` of seed 0 is
then another client than `client_6` of seed 1, and a mean of the two is a number of nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from experiments.study.manifest import Manifest
from hasa_jax.simulation.run_json import LIBRARY

NAMED = ("leaf", "npz", "tff", "titles")
"""Data sets whose files name the clients; they have no partition."""

BY_DESIGN = ("synthetic_needs", "synthetic_titles")
"""Data sets whose clients have the same traits in every seed: how many titles of which topics, or
how hard. Only the titles are drawn."""

DRAWN = ("synthetic_images", "synthetic_topics")
"""Data sets that draw the classes of every client."""

_NAMELESS = "clients have no names of their own, so they may be others in each seed"

_NUMBERED = re.compile(r"client_\d+")
"""A name that a client has where nothing names it."""


def dealt(manifest: Manifest, names: Iterable[str]) -> str:
    """Says why a name is another client in every seed.

    The configuration decides. Where it has no partition, as in a run of the library or of data
    whose files may name clients, the names do: clients that nothing names are numbered.

    Args:
      manifest: what describes the run.
      names: of its clients.

    Returns:
      A clause; empty where clients are the same in every seed. Folds of a seed share its clients.
    """
    if manifest.script == LIBRARY:
        return _NAMELESS if _are_numbered(names) else ""
    data = manifest.run.data
    if data.dataset in (*NAMED, *BY_DESIGN) or data.partition == "natural":
        return ""
    if data.dataset in DRAWN:
        return f"{data.dataset} draws other clients for each seed"
    if data.partition:
        return f"clients are dealt again for each seed (partition {data.partition})"
    # Files of older runs have a column of clients for data that have none.
    if (data.dataset == "csv" and data.client_column) or not _are_numbered(names):
        return ""
    return _NAMELESS


def _are_numbered(names: Iterable[str]) -> bool:
    """Returns whether no client has a name of its own; False without clients."""
    every = set(names)
    return bool(every) and all(_NUMBERED.fullmatch(name) for name in every)

"""From a reader of files to a builder of a federated dataset."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax

from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.partitioned import partitioned
from hasa_jax.datasets.paths import path_of
from hasa_jax.datasets.pool import Pool

Builder = Callable[..., FederatedDataset]
"""`(key, *, ...) -> FederatedDataset`."""

_PATHS = ("data_dir", "data_path")
"""Arguments of readers that users may give as any path-like."""

_OF_IMAGES = {"resize"}
_OF_TEXTS = {"vocab_size", "max_length"}
"""Arguments of `partitioned` that are only for one kind of inputs."""


def builder(read: Callable[..., Pool], *, name: str, texts: bool | None = None) -> Builder:
    """Makes a builder of a reader: what the reader finds is assigned to clients by `partitioned`.

    Args:
      read: takes arguments by name, such as `data_dir`, and returns a `Pool`. If `partitioned` has
        an argument of the same name, such as `resize`, the reader gets it.
      name: name of the builder.
      texts: whether the reader reads texts; False for images, None if this is not known yet.

    Returns:
      A builder with a signature and a docstring of its own. It takes the root key of the run, the
      arguments of the reader, and the arguments of `partitioned` for the reader's inputs.
    """
    own = list(inspect.signature(read).parameters.values())
    key, *others = list(inspect.signature(partitioned).parameters.values())[1:]
    unused = {True: _OF_IMAGES, False: _OF_TEXTS, None: set()}[texts]
    left_out = {p.name for p in own} | unused
    others = [p for p in others if p.name not in left_out]

    def build(key: jax.Array, **arguments: Any) -> FederatedDataset:
        signature.bind(key, **arguments)
        found = {p.name: arguments.pop(p.name) for p in own if p.name in arguments}
        paths = {name: path_of(found[name]) for name in _PATHS if name in found}
        return partitioned(read(**found | paths), key, **arguments)

    by_name = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    signature = inspect.Signature([key, *by_name, *others], return_annotation=FederatedDataset)
    build.__signature__ = signature  # pyright: ignore
    build.__name__ = build.__qualname__ = name
    build.__doc__ = _docstring(read, [key.name, *(p.name for p in own)], [p.name for p in others])
    return build


def _docstring(read: Callable[..., Pool], own: Sequence[str], others: Sequence[str]) -> str:
    """Writes the docstring of a builder from those of its reader and of `partitioned`."""
    of_reader, of_partitioned = _sections(read), _sections(partitioned)
    arguments = _entries(of_partitioned["Args"]) | _entries(of_reader["Args"])
    sections = {
        "Args": "\n".join(arguments[name] for name in [*own, *others]),
        "Returns": of_partitioned["Returns"],
        "Raises": f"{of_reader['Raises']}\n{of_partitioned['Raises']}",
    }
    if "References" in of_reader:
        sections["References"] = of_reader["References"]
    text = "\n\n".join(f"{title}:\n{content}" for title, content in sections.items())
    return f"{of_reader['']}\n\n{text}\n"


def _sections(function: Callable[..., Any]) -> dict[str, str]:
    """Returns the sections of a docstring by their titles; the text before them is titled ''."""
    parts = re.split(r"^(\w+):\n", inspect.cleandoc(function.__doc__ or ""), flags=re.MULTILINE)
    titles = ["", *parts[1::2]]
    return {t: content.rstrip() for t, content in zip(titles, parts[::2], strict=True)}


def _entries(section: str) -> dict[str, str]:
    """Returns the entries of a section of arguments by the names of the arguments."""
    entries = re.split(r"\n(?=  \w)", section)
    return {entry.partition(":")[0].strip(): entry for entry in entries}

"""Next-word prediction from titles in a CSV file; one client per publication (or other column)."""

from __future__ import annotations

import os
import pathlib

import jax

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.csv_rows import named_columns
from hasa_jax.datasets.next_word import build, tokenize


def titles(
    key: jax.Array,
    *,
    data_path: str | os.PathLike[str],
    text_column: str = "title",
    client_column: str = "publication",
    vocab_size: int = 0,
    min_count: int = 2,
    max_length: int = 16,
) -> FederatedDataset:
    """Reads titles for next-word prediction; see `next_word.build` for the arrays.

    Args:
      key: root key of the run; it is not consumed.
      data_path: path of a UTF-8 CSV file with a header.
      text_column: column of the titles.
      client_column: column of the client names.
      vocab_size: largest number of words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title, `T`.

    Returns:
      The dataset: inputs and targets `[D, T]` int32, clients in alphabetical order.

    Raises:
      UserError: if the file or one of its rows is not valid, if an argument is out of range, or if
        there are too few clients or titles.
    """
    texts = read_titles(data_path, text_column, client_column)
    dataset, _ = build(
        texts, key, vocab_size=vocab_size, min_count=min_count, max_length=max_length
    )
    return dataset


def read_titles(
    data_path: str | os.PathLike[str],
    text_column: str = "title",
    client_column: str = "publication",
) -> dict[str, list[list[str]]]:
    """Reads the titles of every client and splits them into words.

    A title of a single word is valid, but has no next word. It is left out here, before the split,
    so every example has a target.

    Args:
      data_path: path of a UTF-8 CSV file with a header.
      text_column: column of the titles.
      client_column: column of the client names.

    Returns:
      Words of each title in file order, by client name. Clients are in alphabetical order: the
      order of the clients in the file does not matter.

    Raises:
      UserError: if the file or one of its rows is not valid.
    """
    path = pathlib.Path(data_path)
    clients: dict[str, list[list[str]]] = {}
    for line, (text, client) in named_columns(path, (text_column, client_column)):
        where = f"line {line} of {path}"
        name = " ".join(client.split())
        if not name:
            raise UserError(
                f"{where}: column {client_column!r} names no client; fill it in or remove the row"
            )
        words = tokenize(text)
        if not words:
            raise UserError(
                f"{where}: column {text_column!r} has no word of a-z or 0-9; "
                "remove the row or correct it"
            )
        # A client without a usable title stays in the table: the error of the split names it.
        usable = clients.setdefault(name, [])
        if len(words) > 1:
            usable.append(words)
    if len(clients) == 1:
        raise UserError(
            f"only one client ({next(iter(clients))!r}) in column {client_column!r} of {path}: "
            "federated learning needs at least two"
        )
    return dict(sorted(clients.items()))

"""Next-word prediction from titles in a CSV file; one client per publication (or other column)."""

from __future__ import annotations

import dataclasses
import os

import jax

from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.files.csv_titles import csv_titles
from hasa_jax.datasets.next_word import build
from hasa_jax.datasets.splits import least_examples


def titles(
    key: jax.Array,
    *,
    data_path: str | os.PathLike[str],
    text_column: str = "title",
    client_column: str = "publication",
    vocab_size: int = 0,
    min_count: int = 2,
    max_length: int = 16,
    words: str = "unicode",
    bad_rows: str = "refuse",
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Reads titles for next-word prediction; see `next_word.build` for the arrays.

    Args:
      key: root key of the run; it is not consumed.
      data_path: path of a CSV file with a header; see `csv_rows.table_of`.
      text_column: column of the titles.
      client_column: column of the client names. Equal numbers, such as 1 and 1.0, are one client.
      vocab_size: largest number of words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title, `T`.
      words: rule for words, one of `next_word.WORDS`: `unicode` for any language, `english` for the
        letters a to z and digits only.
      bad_rows: `refuse` rows that cannot be used; or `skip` them, and clients with fewer than three
        titles, or too few for the folds, with a count in the notes.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset: inputs and targets `[D, T]` int32, clients in alphabetical order.

    Raises:
      UserError: if the file or one of its rows is not valid, if an argument is out of range, or if
        there are too few clients or titles.
    """
    least = least_examples(folds)
    found = csv_titles(data_path, text_column, client_column, words, bad_rows, least)
    dataset, _ = build(
        found.clients,
        key,
        vocab_size=vocab_size,
        min_count=min_count,
        max_length=max_length,
        folds=folds,
        fold=fold,
    )
    return dataclasses.replace(dataset, notes=found.notes)


def read_titles(
    data_path: str | os.PathLike[str],
    text_column: str = "title",
    client_column: str = "publication",
) -> dict[str, list[list[str]]]:
    """Reads the titles of every client and splits them into words.

    Args:
      data_path: path of a CSV file with a header; see `csv_rows.table_of`.
      text_column: column of the titles.
      client_column: column of the client names.

    Returns:
      Words of each title in file order, by client name; see `csv_titles`.

    Raises:
      UserError: if the file or one of its rows is not valid.
    """
    return csv_titles(data_path, text_column, client_column).clients

"""AG News: news of four classes, in the CSV files of Zhang et al."""

from __future__ import annotations

import html
import pathlib
import re

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.csv_rows import named_columns, rows_of
from hasa_jax.datasets.next_word import clean
from hasa_jax.datasets.pool import Pool, file_of, pooled

CLASSES = ("World", "Sports", "Business", "Sci/Tech")

# In the files, entities have a space in place of their "&": "Haiti #39;s", "AT amp;T".
_ENTITY = re.compile(
    r"(?:[& ]|\b|(?=#))(#\d+|amp|apos|gt|hellip|[lr][sd]quo|lt|[mn]dash|nbsp|quot);"
)


def ag_news(data_dir: pathlib.Path) -> Pool:
    """Reads AG News (Zhang et al., NIPS 2015): titles and descriptions of news.

    Training and test texts are cleaned in the same way. Entities become characters, with or without
    their `&`. Backslashes, which mark line breaks, become spaces. Tags, and ticker symbols in angle
    brackets, are removed. Spaces become single.

    Args:
      data_dir: folder of `train.csv` and `test.csv` as published: class from 1 to 4, title and
        description in each row. Without a `train.csv`, `train_subset.csv` is read: it has a header
        and the columns `label`, from 1 to 4, and `text`, which is title and description.

    Returns:
      Texts `[n]`, without groups.

    Raises:
      UserError: if a file is missing or damaged.
    """
    train, parts = file_of(data_dir, "train.csv", "train_subset.csv"), []
    for path in (train, file_of(data_dir, "test.csv")):
        _check_end(path)
        rows = _subset(path) if path.name == "train_subset.csv" else _published(path)
        parts.append((*_examples(path, rows), path is not train))
    return pooled(parts, CLASSES)


def _check_end(path: pathlib.Path) -> None:
    """Refuses a file whose last line has no line break: the end of the file may be missing."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        line = content.count(b"\n") + 1
        raise UserError(f"line {line} of {path} has no end: the file is cut off, get it again")


def _published(path: pathlib.Path) -> list[tuple[int, str, str]]:
    """Returns line number, label and text of each row of a published file."""
    found = []
    for line, row in rows_of(path):
        if len(row) != 3:
            raise UserError(
                f"line {line} of {path} has {len(row)} columns where class, title and description "
                "should be: the file is damaged, get it again"
            )
        found.append((line, row[0], f"{row[1]} {row[2]}"))
    return found


def _subset(path: pathlib.Path) -> list[tuple[int, str, str]]:
    """Returns line number, label and text of each row of a file with a header."""
    return [(line, row[0], row[1]) for line, row in named_columns(path, ("label", "text"))]


def _examples(
    path: pathlib.Path, rows: list[tuple[int, str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns cleaned texts `[n]` and class ids `[n]`."""
    labels = {str(number): target for target, number in enumerate(range(1, len(CLASSES) + 1))}
    texts = np.empty(len(rows), object)
    targets = np.empty(len(rows), np.int32)
    for index, (line, label, text) in enumerate(rows):
        if label not in labels:
            raise UserError(
                f"line {line} of {path} has class {label!r} where 1 to {len(CLASSES)} should be: "
                "the file is damaged, get it again"
            )
        texts[index], targets[index] = _cleaned(text), labels[label]
        if not texts[index]:
            raise UserError(f"line {line} of {path} has no text: it is damaged, get it again")
    if not rows:
        raise UserError(f"{path} is empty: get it again")
    return texts, targets


def _cleaned(text: str) -> str:
    """Replaces markup by the characters that it means."""
    text = _ENTITY.sub(r"&\1;", text.replace("\\", " "))
    return clean(html.unescape(text))

"""The user's own titles, of several clients, in one CSV file."""

from __future__ import annotations

import dataclasses
import os

from hasa_jax.base import UserError
from hasa_jax.datasets.csv_rows import settle, table_of
from hasa_jax.datasets.names import joined_note, spellings
from hasa_jax.datasets.next_word import tokenize
from hasa_jax.datasets.paths import path_of, shown
from hasa_jax.datasets.splits import LEAST


@dataclasses.dataclass(frozen=True)
class Titles:
    """The titles of a file.

    Attributes:
      clients: words of each title in file order, by client name. Clients are in alphabetical order:
        the order of the clients in the file does not matter.
      notes: what was left out or joined, with counts; one line each.
    """

    clients: dict[str, list[list[str]]]
    notes: tuple[str, ...]


def csv_titles(
    data_path: str | os.PathLike[str],
    text_column: str,
    client_column: str,
    words: str = "unicode",
    bad_rows: str = "refuse",
    least: int = LEAST,
) -> Titles:
    """Reads the titles of every client and splits them into words.

    A title of a single word is valid, but has no next word. It is left out here, before the split,
    so every example has a target.

    Args:
      data_path: path of a CSV file with a header; see `csv_rows.table_of`.
      text_column: column of the titles.
      client_column: column of the client names. Equal numbers, such as 1 and 1.0, are one client.
      words: rule for words, one of `next_word.WORDS`.
      bad_rows: `refuse` rows that cannot be used; or `skip` them, and clients with fewer than
        `least` titles, which are too few for three splits.
      least: see `bad_rows`.

    Returns:
      The titles.

    Raises:
      UserError: if the file or one of its rows is not valid.
    """
    path = path_of(data_path)
    table = table_of(path, (text_column, client_column))
    spelled = spellings({client for _, (_, client) in table.rows})
    clients: dict[str, list[list[str]]] = {}
    bad, single = list(table.bad), 0
    for line, (text, client) in table.rows:
        found = tokenize(text, words)
        if not spelled[client] or not found:
            bad.append((line, _reason(found, text_column, client_column)))
            continue
        # A client without a usable title stays in the table: the error of the split names it.
        usable = clients.setdefault(spelled[client], [])
        single += len(found) == 1
        if len(found) > 1:
            usable.append(found)
    notes = [*settle(path, table, bad, bad_rows), *joined_note(spelled, "clients")]
    notes += [f"{single} titles of one word were left out"] if single else []
    if bad_rows == "skip":
        clients, small = _without_small(clients, least)
        notes += small
    if len(clients) < 2:
        only = f"only one client ({next(iter(clients))!r})" if clients else "no client"
        raise UserError(
            f"{only} in column {client_column!r} of {shown(path)}: federated learning needs at "
            "least two"
        )
    return Titles(dict(sorted(clients.items())), tuple(notes))


def _reason(found: list[str], text_column: str, client_column: str) -> str:
    """Writes why a row cannot be used."""
    if found:
        return f"column {client_column!r} names no client; fill it in or remove the row"
    return f"column {text_column!r} has no word; correct it or remove the row"


def _without_small(
    clients: dict[str, list[list[str]]], least: int
) -> tuple[dict[str, list[list[str]]], list[str]]:
    """Leaves out clients whose titles are too few for three splits; returns notes on them."""
    small = sorted(name for name, titles in clients.items() if len(titles) < least)
    if not small:
        return clients, []
    first = ", ".join(f"{name!r} ({len(clients[name])})" for name in small[:3])
    more = f" and {len(small) - 3} more" if len(small) > 3 else ""
    note = f"{len(small)} clients with fewer than {least} titles were left out: {first}{more}"
    return {name: titles for name, titles in clients.items() if name not in set(small)}, [note]

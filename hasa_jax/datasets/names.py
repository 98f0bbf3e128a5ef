"""Names of clients and classes as files spell them: one name for what is the same."""

from __future__ import annotations

import decimal
import operator
import re
import unicodedata
from collections.abc import Iterable, Sequence

from hasa_jax.base import UserError
from hasa_jax.datasets.paths import is_text, shown

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_MOST = 3

_MAY_CHANGE = re.compile(
    r"^[+.]|^-[.\d]|^0.|^\d.*[^\d\n]|^ | $|  |[^\S \n]|[\x1c-\x1f]", re.ASCII | re.MULTILINE
)
"""Finds, in lines of ASCII, names that may have another spelling, in numbers or by spaces."""


def plain_name(name: object) -> str:
    """Returns a name without differences that no reader can see.

    Args:
      name: a text or a number.

    Returns:
      The text in Unicode's NFC form, with single spaces and without invisible characters such as
      zero-width spaces; it may be empty.

    Raises:
      UserError: if it is not valid Unicode, such as the name of a folder in another encoding.
    """
    text = str(name)
    if text.isascii():
        return " ".join(text.split())
    if not is_text(text):
        raise UserError(f"the name '{shown(text)}' is not UTF-8: rename it")
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFC", visible).split())


def number_of(name: str) -> decimal.Decimal | None:
    """Returns the exact number that a name spells; None if it spells no finite number."""
    return decimal.Decimal(name) if _NUMBER.fullmatch(name) else None


def spellings(names: Iterable[object]) -> dict[str, str]:
    """Finds names that mean the same: `1` and `1.0`, or one name in two Unicode forms.

    Args:
      names: as the data spell them.

    Returns:
      The one spelling of each name. Of equal numbers it is the shortest one.

    Raises:
      UserError: if a name is not valid Unicode.
    """
    every = [*map(str, names)]
    if are_spelled_once(every):
        return dict(zip(every, every, strict=True))
    plain = {name: plain_name(name) for name in every}
    shortest: dict[decimal.Decimal, str] = {}
    for name in sorted(set(plain.values()), key=lambda name: (len(name), name)):
        number = number_of(name)
        if number is not None:
            shortest.setdefault(number, name)
    numbers = {name: number_of(name) for name in plain.values()}
    return {
        raw: name if (number := numbers[name]) is None else shortest[number]
        for raw, name in plain.items()
    }


def are_spelled_once(names: Sequence[str]) -> bool:
    """Returns whether names are sure to be as `spellings` returns them, without a look at each.

    Args:
      names: any number of them.

    Returns:
      Whether they are ASCII, without spaces that do not count, and integers without a sign if they
      are numbers.
    """
    lines = "\n".join(names)
    one_each = lines.count("\n") == max(0, len(names) - 1)
    return one_each and lines.isascii() and not _MAY_CHANGE.search(lines)


def joined_note(found: dict[str, str], what: str) -> tuple[str, ...]:
    """Writes how many names were joined with others.

    Args:
      found: result of `spellings`.
      what: what the names are of ("clients").

    Returns:
      One line with the count and the first few; nothing if each name has its own meaning.
    """
    if all(map(operator.eq, found.keys(), found.values())):
        return ()
    first_of: dict[str, str] = {}
    # A name that is spelled as it is read comes first; the others are joined with it.
    for raw in sorted(found, key=lambda raw: (found[raw] != raw, raw)):
        first_of.setdefault(found[raw], raw)
    others = (raw for raw, name in found.items() if first_of[name] != raw)
    # Spaces at the ends are no difference that a reader would ask about.
    joined = sorted(raw for raw in others if " ".join(raw.split()) != found[raw])
    if not joined:
        return ()
    # A form of Unicode looks like the other one, so it is written as its characters' numbers.
    forms = {raw: unicodedata.normalize("NFC", raw) == found[raw] for raw in joined[:_MOST]}
    first = ", ".join(
        f"{ascii(raw) if alike else repr(raw)} is {found[raw]!r}" for raw, alike in forms.items()
    )
    more = f" and {len(joined) - _MOST} more" if len(joined) > _MOST else ""
    return (f"{len(joined)} spellings of {what} were joined with others: {first}{more}",)

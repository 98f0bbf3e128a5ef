"""Texts from data, such as names of clients, as each medium may show them.

There is one function for each medium. A name may hold what a terminal, Markdown, a spreadsheet or
a picture would obey; its function writes that so that it is only seen.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, of invisible ones and those that turn the direction
of a line, of halves of characters, and of line ends."""

_JOINERS = "\u200c\u200d"
"""Invisible characters that languages and emoji need; they turn nothing."""

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What begins a formula in a spreadsheet: the signs, and their wide forms."""

_BEGINS = (*_FORMULA, "'")

_CODE = re.compile(r"\\\\|\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")


def terminal(text: str) -> str:
    r"""Writes control characters as escapes: ESC as `\x1b`.

    Args:
      text: any text.

    Returns:
      The text for a terminal; its line ends are as they were.
    """
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """Writes a text in one line for a terminal.

    Args:
      text: any text.

    Returns:
      The text with all control characters as escapes, line ends too.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def csv_cell(text: str) -> str:
    r"""Writes a text for a cell of a CSV file that `from_csv_cell` reads back.

    A control character, a line end too, becomes `\x1b`, `\u202e` or `\U000e0001`, and a backslash
    becomes two. An apostrophe goes before a text that begins with `=`, `+`, `-`, `@` or an
    apostrophe, with or without spaces before it, so that no spreadsheet takes it for a formula. A
    semicolon before such a sign, which begins a cell for some spreadsheets, becomes `\x3b`.

    Args:
      text: any text.

    Returns:
      The text of the cell, which the `csv` module quotes where it must.
    """
    cell = one_line(text.replace("\\", "\\\\"))
    if ";" in cell:
        cell = re.sub(rf";(?=[ '\"]*[{re.escape(_FORMULA)}])", r"\\x3b", cell)
    return f"'{cell}" if cell.lstrip(" ").startswith(_BEGINS) else cell


def from_csv_cell(cell: str) -> str:
    """Reads the text of `csv_cell`.

    Args:
      cell: the text of a cell.

    Returns:
      The text that was written.
    """
    if cell.startswith("'") and cell[1:].lstrip(" ").startswith(_BEGINS):
        cell = cell[1:]
    if "\\" not in cell:
        return cell
    return _CODE.sub(lambda m: chr(int("".join(filter(None, m.groups())) or "5c", 16)), cell)


def markdown(text: str) -> str:
    """Writes a text for a cell or a line of Markdown, where no renderer obeys it.

    Args:
      text: any text.

    Returns:
      The text in one line. `|`, backticks, `*`, brackets, backslashes and underscores at the ends
      of words follow a backslash; `<`, `>` and `&` are entities of HTML.
    """
    line = one_line(" ".join(text.split()))
    line = re.sub(r"([\\`*|\[\]~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def tag(text: str) -> str:
    """Writes a text as one part of a TensorBoard tag; different texts give different parts.

    Args:
      text: any text.

    Returns:
      Letters, digits, `_`, `.` and `-`; another character is its code, such as `-40-` for `@`.
    """
    return re.sub(r"[^\w.-]|-(?=[0-9a-f]+-)", lambda m: f"-{ord(m[0]):x}-", text)


def picture(text: str, most: int = 60) -> str:
    """Writes a text for a picture of matplotlib, where a dollar sign would start a formula.

    Args:
      text: any text.
      most: letters that are shown.

    Returns:
      The text in one line, cut with an ellipsis. A space goes before an underscore at its start,
      which would hide it from a legend.
    """
    line = one_line(" ".join(text.split()))
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return (" " if line.startswith("_") else "") + line.replace("$", r"\$")


def _visible(character: str) -> str:
    """Returns a character, or the escape of one that controls something."""
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) not in _CONTROL:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

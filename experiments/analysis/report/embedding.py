"""Data and pictures inside an HTML file, where no part of them is obeyed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

_PATH = re.compile(r'(?<= d=")[^"]+')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_SIZE = re.compile(r'<svg(?P<others>[^>]*?) width="(?P<width>[\d.]+)pt" height="[\d.]+pt"')
_HATCH = re.compile(r"<pattern .*?</pattern>", re.DOTALL)
_CIRCLE = re.compile(
    r"M (?P<x>\S+) (?P<low>\S+)\s+"
    r"C (?P<first>\S+) \S+ [^CMz]*(?:C [^CMz]*){2}"
    r"C \S+ \S+ \S+ \S+ (?P<x_high>\S+) (?P<high>\S+)\s+(?:C [^CMz]*){4}z"
)
"""A circle of eight curves from its lowest point, as matplotlib draws the dots of a hatch."""

_ROUNDED = 0.015
"""How far two numbers of a file are apart at most that are equal before they are rounded."""

_PAGE = 360
"""Points that a picture is wide at least that takes the width of a page."""

_POINTS_OF_REM = 8
_PREFIXED = re.compile(r'(?P<before>\bid="|\bhref="#|url\(#)(?P<name>[^")]+)')


def json_text(value: Any) -> str:
    """Writes JSON for a `script` element of HTML.

    No `<`, `>` or `&` is in the text, so no name can end the element or begin a comment; nor the
    two line ends of Unicode that are none in JSON.

    Args:
      value: what JSON can hold, without NaN.

    Returns:
      The text, which `JSON.parse` reads as the value.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # Halves of characters cannot be written as UTF-8.
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def inline_svg(text: str, prefix: str) -> str:
    """Makes an SVG file a part of an HTML file.

    Args:
      text: the file, as matplotlib writes it.
      prefix: goes before every name in it, as pictures of one page have equal ones.

    Returns:
      The element `svg`, hidden from readers of the screen: what it shows is said beside it.
    """
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = _PREFIXED.sub(lambda found: f"{found['before']}{prefix}-{found['name']}", body)
    body = _PATH.sub(lambda found: _LONG_NUMBER.sub(_rounded, found[0]), body)
    body = _HATCH.sub(lambda found: _CIRCLE.sub(_of_arcs, found[0]), body)
    return _SIZE.sub(_sized, body, count=1).strip()


def _of_arcs(found: re.Match[str]) -> str:
    """Writes a circle as two arcs: a sixth of the bytes, and a hatch has hundreds of circles."""
    x, low, high = (float(found[name]) for name in ("x", "low", "high"))
    if abs(float(found["x_high"]) - x) > _ROUNDED:
        return found[0]
    size, across = f"{(low - high) / 2:.4g}", f"{low - high:.4g}"
    # Rings are circles of both directions.
    side = int(float(found["first"]) < x)
    arcs = (f"a{size} {size} 0 0 {side} 0 {end}" for end in (f"-{across}", across))
    return f"M{found['x']} {found['low']}{''.join(arcs)}z"


def _sized(found: re.Match[str]) -> str:
    """Gives a picture a width for screens: its letters are as large as those around it."""
    points = float(found["width"])
    kind = ' class="page"' if points > _PAGE else ""
    width = f'style="width: {points / _POINTS_OF_REM:.4g}rem"'
    return f'<svg{kind} {width} aria-hidden="true" focusable="false"{found["others"]}'


def _rounded(number: re.Match[str]) -> str:
    """Rounds a coordinate to hundredths of a point, which no screen shows."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def script_hash(source: str) -> str:
    """Returns the hash by which a page allows one script.

    Args:
      source: the text between `<script>` and `</script>`.

    Returns:
      A source of a content security policy: only this script runs, no other one in the page.
    """
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

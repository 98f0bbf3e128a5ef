"""Colours of pictures on a dark page: each is a variable, which has another value there."""

from __future__ import annotations

import re
from collections.abc import Iterable

PAPER, INK = (0x14, 0x17, 0x1B), (0xE5, 0xE8, 0xEC)
"""What white and black become."""

_MOST = 32
"""Colours of a picture without a scale of colours."""

_CONTRAST = 4.5
"""Least contrast of a colour with the dark page."""

_STEP = 0.05
_GREY = 12
"""Most that the parts of a grey differ."""

_ATTRIBUTE = re.compile(r' fill="(?P<colour>#[0-9a-f]{6})"(?=/>)')
_STATED = re.compile(r"(?P<what>\b(?:fill|stroke|stop-color): ?)(?P<colour>#[0-9a-f]{6})\b")

Rgb = tuple[int, int, int]


def as_variables(svg: str) -> tuple[str, set[str]]:
    """Makes the colours of a picture variables of CSS.

    Args:
      svg: the picture, as matplotlib writes it.

    Returns:
      The picture, which looks as before where no variable has a value; and the colours that are
      variables: `--c-0072b2` is that of `#0072b2`. There are none in a picture with a scale of
      colours, whose colours are numbers and must not change.
    """
    svg = _ATTRIBUTE.sub(r' style="fill: \g<colour>"', svg)
    found = {match["colour"] for match in _STATED.finditer(svg)}
    if "<image" in svg or len(found) > _MOST:
        return svg, set()

    def replaced(match: re.Match[str]) -> str:
        return f"{match['what']}{variable(match['colour'])}"

    return _STATED.sub(replaced, svg), found


def variable(colour: str) -> str:
    """Writes a colour as CSS has it: a variable, and the colour where it has no value."""
    return f"var(--c-{colour[1:]}, {colour})"


def dark_values(colours: Iterable[str]) -> str:
    """Writes the values that variables have on a dark page.

    Args:
      colours: such as `#0072b2`.

    Returns:
      Declarations of CSS, in the order of the colours' names.
    """
    return " ".join(f"--c-{own[1:]}: {dark_twin(own)};" for own in sorted(set(colours)))


def dark_twin(colour: str) -> str:
    """Returns what a colour becomes on a dark page.

    Args:
      colour: such as `#0072b2`.

    Returns:
      A grey between `INK` for black and `PAPER` for white; any other colour, mixed with white until
      its contrast with `PAPER` is at least 4.5.

    References:
      Contrast as in the Web Content Accessibility Guidelines 2.2.
    """
    own = _parts(colour)
    if _is_grey(own):
        return _text(_mixed(INK, PAPER, sum(own) / (3 * 255)))
    share = 0.0
    while contrast(mixed := _mixed(own, (255, 255, 255), share), PAPER) < _CONTRAST:
        share += _STEP
    return _text(mixed)


def contrast(one: Rgb, other: Rgb) -> float:
    """Returns the contrast of two colours, from 1 to 21."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Rgb) -> float:
    """Returns the relative luminance, from 0 to 1."""
    shares = [part / 255 for part in colour]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parts(colour: str) -> Rgb:
    """Returns red, green and blue, from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _is_grey(colour: Rgb) -> bool:
    """Returns whether a colour has no hue."""
    return max(colour) - min(colour) <= _GREY


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Returns a colour between two: `share` of the other one."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _text(colour: Rgb) -> str:
    """Writes a colour as CSS has it."""
    return f"#{''.join(f'{part:02x}' for part in colour)}"

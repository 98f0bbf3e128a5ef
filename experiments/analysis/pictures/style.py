"""The style of all pictures: one file of settings, sizes of a journal, and the same bytes twice."""

from __future__ import annotations

import contextlib
import io
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

from experiments.rooms import PICTURE_FORMATS
from hasa_jax.base import UserError

COLUMN, PAGE = 3.5, 7.2
"""Widths of a column and of a page of a journal, in inches."""

_FILE = pathlib.Path(__file__).with_name("hasa.mplstyle")

_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What matplotlib writes by itself, and would make the bytes of equal pictures differ."""


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draws in the style of `hasa.mplstyle`; settings of the user's own do not count.

    Yields:
      Nothing.

    Raises:
      UserError: if matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise _missing() from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rc_file(_FILE, use_default_template=False)
        yield


def new_figure(width: float, height: float, *, placed: bool = False) -> Any:
    """Makes an empty figure; without pyplot there is no display to need.

    Args:
      width: in inches.
      height: in inches.
      placed: whether its maker says where each panel is; else matplotlib finds places for all.

    Returns:
      The figure of matplotlib.

    Raises:
      UserError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise _missing() from None
    return Figure(figsize=(width, height), layout=None if placed else "constrained")


def save(
    figure: Any, target: pathlib.Path, dpi: int | None = None, *, smallest: bool = True
) -> None:
    """Writes a figure; equal figures give equal bytes.

    Args:
      figure: of matplotlib.
      target: the picture file, replaced if there; its suffix is one of `PICTURE_FORMATS`.
      dpi: pixels of an inch in a PNG file; those of the style if None.
      smallest: whether a PNG file is made as small as it can, which takes longer.

    Raises:
      UserError: for another suffix, or if matplotlib is missing.
    """
    suffix = target.suffix.removeprefix(".")
    if suffix not in PICTURE_FORMATS:
        formats = ", ".join(PICTURE_FORMATS)
        raise UserError(f"{target} is no picture: its suffix must be one of {formats}")
    target.write_bytes(content_of(figure, suffix, dpi, smallest=smallest))


def content_of(figure: Any, suffix: str, dpi: int | None = None, *, smallest: bool = True) -> bytes:
    """Makes the content of a picture file; equal figures give equal bytes.

    Args:
      figure: of matplotlib.
      suffix: one of `PICTURE_FORMATS`.
      dpi: pixels of an inch in a PNG file; those of the style if None.
      smallest: whether a PNG file is made as small as it can, which takes longer.

    Returns:
      The content.

    Raises:
      UserError: if matplotlib is missing.
    """
    file, own = io.BytesIO(), {} if dpi is None else {"dpi": dpi}
    if suffix == "png":
        own |= {"pil_kwargs": {"optimize": True} if smallest else {"compress_level": 1}}
    with applied(), warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=suffix, metadata=_METADATA[suffix], **own)
    return file.getvalue()


def _missing() -> UserError:
    """Returns what is said without matplotlib."""
    return UserError("pictures need matplotlib: pip install 'hasa_jax[plots]'")

"""Links to files that are outside docs/: to the page that includes the file, or to a copy."""

from __future__ import annotations

import pathlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

INCLUDED = {
    "BUILD_NOTES.md": "build_notes.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
}
_LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!http|#)([^)#\s]+)(#[^)]*)?\)")


def rewritten(text: str, *, at_root: bool = False) -> str:
    """Returns a page with links that work in the site.

    Args:
      text: the page.
      at_root: whether its links are those of a file beside docs/.
    """

    def link(match: re.Match[str]) -> str:
        shown, target, anchor = match[1], match[2], match[3] or ""
        if at_root:
            target = target.removeprefix("docs/") if "docs/" in target else f"../{target}"
        if not target.startswith("../"):
            return f"[{shown}]({target}{anchor})"
        if (page := INCLUDED.get(target.removeprefix("../"))) is not None:
            return f"[{shown}]({page}{anchor})"
        return f"{{download}}`{shown} <{target}>`"

    return _LINK.sub(link, text)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrites the links of a page at the top of docs/; pages below name other pages only."""
    if "/" not in docname:
        source[0] = rewritten(source[0])


def _include(app: Sphinx, path: pathlib.Path, docname: str, content: list[str]) -> None:
    """Rewrites the links of an included file."""
    content[0] = rewritten(content[0], at_root=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the functions above to Sphinx."""
    app.connect("source-read", _read)
    app.connect("include-read", _include)
    return {"parallel_read_safe": True}

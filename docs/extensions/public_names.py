"""The API reference, made of the list of public names in api.md and their docstrings.

`docs/api.md` lists every public name of a module below the module's heading, and a test compares
the list with the package. The reference has a page for each module. The page of a module has, in
the order of the list, the docstring of each name; tables and types have the line of the list.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

API = Path(__file__).resolve().parents[1] / "api.md"
_HEADING = re.compile(r"^## (\S+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- `(\w+)` — (.+)$", re.MULTILINE)
_BACKTICKS = re.compile(r"`+([^`]+)`+")


def sections(text: str) -> dict[str, str]:
    """Returns the part of api.md that follows each heading, `{module: text}`."""
    parts = _HEADING.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def homes(modules: Mapping[str, str]) -> dict[str, str]:
    """Returns the name under which each public name is described, `{"module.name": name}`.

    An object that several modules have is described in the first of them.
    """
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for module, text in modules.items():
        for name, _ in _ENTRY.findall(text):
            key = id(getattr(importlib.import_module(module), name))
            found[f"{module}.{name}"] = first.setdefault(key, f"{module}.{name}")
    return found


def reference(module: str, text: str, home: Mapping[str, str]) -> str:
    """Returns the page of a module, in MyST.

    Args:
      module: its dotted name.
      text: what api.md has of it.
      home: what `homes` returns.
    """

    def entry(match: re.Match[str]) -> str:
        name, line = match.groups()
        full = f"{module}.{name}"
        value = getattr(importlib.import_module(module), name)
        if home[full] != full:
            return f"- {{py:obj}}`{name} <{home[full]}>` — {line}\n"
        if inspect.ismodule(value):
            return f"- [{name}]({name}.md) — {line}\n"
        if inspect.isclass(value):
            return _rst(f".. autoclass:: {full}\n   :members:")
        if callable(value) and hasattr(value, "__name__"):
            return _rst(f".. autofunction:: {full}")
        return _rst(f".. py:data:: {full}\n\n   {_marked(line)}")

    titles = re.sub(r"^([A-Z].*):$", r"## \1", text, flags=re.MULTILINE)
    return f"# {module}\n\n{_ENTRY.sub(entry, titles)}"


def _rst(text: str) -> str:
    """Wraps directives of autodoc, which reads reStructuredText."""
    return f"\n```{{eval-rst}}\n{text}\n```\n"


def _marked(text: str) -> str:
    """Doubles backticks, as reStructuredText marks code."""
    return _BACKTICKS.sub(r"``\1``", text)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Writes the reference, and links every name of api.md to it."""
    modules = sections(API.read_text(encoding="utf-8"))
    home = homes(modules)
    if docname.startswith("reference/"):
        module = source[0].removeprefix("# ").split("\n")[0]
        source[0] = reference(module, modules[module], home)
    if docname == "api":
        for module, text in modules.items():
            linked = _ENTRY.sub(lambda m, of=module: _linked(m, of, home), text)
            source[0] = source[0].replace(f"## {module}\n{text}", f"## {module}\n{linked}", 1)


def _linked(match: re.Match[str], module: str, home: Mapping[str, str]) -> str:
    """Links one entry of api.md."""
    name, line = match.groups()
    value = getattr(importlib.import_module(module), name)
    if inspect.ismodule(value):
        return f"- [{name}](reference/{name}.md) — {line}"
    return f"- {{py:obj}}`{name} <{home[f'{module}.{name}']}>` — {line}"


def _mark_code(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Marks what docstrings have in backticks as code: it is not the name of a reference."""
    lines[:] = _marked("\n".join(lines)).split("\n")


def _skip(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any) -> bool | None:
    """Leaves out the fields of named tuples: their class describes them."""
    return True if (inspect.getdoc(obj) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the functions above to Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _mark_code, priority=100)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}

"""Where the numbers of a page come from: settings, versions, hashes of the data, remarks."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import fields
from experiments.analysis.results import Results, Source, folder_names
from experiments.config import ROOMS
from experiments.rooms import number_text
from experiments.study.block import named_block
from experiments.study.manifest import HASHED, recorded
from hasa_jax.simulation.escapes import one_line
from hasa_jax.simulation.run_json import LIBRARY

UNKNOWN_FILE = "FILE"
"""The name of a file that is not known."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One field of a configuration.

    Attributes:
      room: where it belongs.
      name: of the field.
      value: as a flag has it; of a file that is known by its SHA-256, also this.
      default: as a flag has it.
      flag: what a command line gives to the flag.
    """

    room: str
    name: str
    value: str
    default: str
    flag: str

    @property
    def changed(self) -> bool:
        """Whether it is not the default."""
        return self.value != self.default


@dataclasses.dataclass(frozen=True)
class Origin:
    """What is known of one workdir.

    Attributes:
      name: a short name of the folder.
      folder: its path.
      script: what wrote it.
      command: words of a command line that has every setting which is not a default, quoted for a
        shell; none for a run of the library.
      settings: all fields that decide results.
      methods: parts of every method, by its name and theirs.
      execution: devices and modes.
      versions: of packages, and the commit.
      hashes: of the data, by what the block is called.
    """

    name: str
    folder: str
    script: str
    command: tuple[str, ...]
    settings: tuple[Setting, ...]
    methods: Mapping[str, Mapping[str, str]]
    execution: Mapping[str, str]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]


def origins_of(sources: Sequence[Source]) -> tuple[Origin, ...]:
    """Describes workdirs.

    Args:
      sources: the workdirs.

    Returns:
      What is known of each of them.
    """
    names = folder_names([source.folder for source in sources])
    return tuple(map(_origin, names, sources))


def remarks_of(found: Results, sources: Sequence[Source]) -> tuple[str, ...]:
    """Gathers what a reader must know of the numbers.

    Args:
      found: the merged results.
      sources: the workdirs that were merged.

    Returns:
      Remarks, one line each, each once: how workdirs differ, rules of stopping, what readers of the
      data left out, and which other code or devices a run began with.
    """
    lines = [*found.remarks, *(rule.text for rule in found.rules)]
    for source in sources:
        notes: dict[str, list[str]] = {}
        for block, own in source.manifest.data_notes.items():
            for note in own:
                notes.setdefault(note, []).append(str(named_block(block)))
        total = len(source.manifest.data_notes)
        for note, blocks in notes.items():
            of = "" if len(blocks) == total else f" ({', '.join(blocks)})"
            lines.append(f"Data{of}: {note}")
        began = len(source.manifest.began_with) + len(source.manifest.began_on)
        if began:
            lines.append(
                f"{source.folder.name} began with other code or devices: run.json has them."
            )
    return tuple(dict.fromkeys(map(_line, lines)))


def _origin(name: str, source: Source) -> Origin:
    """Describes one workdir."""
    own, library = source.manifest, source.manifest.script == LIBRARY
    settings = () if library else _settings(source)
    changed = [f"--{own.name}={own.flag}" for own in settings if own.changed]
    module = f"python -m experiments.{_line(own.script)}"
    known = {**_texts(own.code.get("versions") or {}), "commit": own.code.get("git_commit")}
    return Origin(
        name=_line(name),
        folder=_line(str(source.folder)),
        script="the library (`Result.save`)" if library else _line(own.script),
        command=() if library else (module, *(_line(shlex.quote(text)) for text in changed)),
        settings=settings if settings else _stated(source),
        methods={_line(method): _texts(parts) for method, parts in own.methods.items()},
        execution=_texts({**own.execution, **own.switches}),
        versions={name: text for name, text in known.items() if text},
        hashes={str(named_block(key)): _line(text) for key, text in own.data_sha256.items()},
    )


def _settings(source: Source) -> tuple[Setting, ...]:
    """Returns all fields of a run of a script."""
    found = recorded(source.manifest.run)
    made = []
    for room, own in found.items():
        for name, value in own.items():
            shown, flag = _shown(name, _text(value), source.manifest.files)
            made.append(Setting(room, name, shown, _text(fields.defaults(ROOMS[room])[name]), flag))
    return tuple(made)


def _shown(name: str, value: str, files: Mapping[str, str]) -> tuple[str, str]:
    """Returns the value of a field as a table shows it, and as a command line has it."""
    if name not in HASHED or not re.fullmatch(r"[0-9a-f]{64}", value):
        return value, value
    # Runs of earlier versions do not know the name.
    file = _line(files.get(name, UNKNOWN_FILE))
    return f"{file} (SHA-256 {value})", file


def _stated(source: Source) -> tuple[Setting, ...]:
    """Returns what is known of a run of the library, beside the parts of its methods."""
    known = {**source.manifest.config, "stated": source.manifest.settings}
    return tuple(
        Setting(_line(room), _line(name), _text(value), "", _text(value))
        for room, own in known.items()
        for name, value in own.items()
    )


def _texts(tree: Mapping[str, Any]) -> dict[str, str]:
    """Writes names and values as texts."""
    return {_line(name): _text(value) for name, value in tree.items()}


def _text(value: Any) -> str:
    """Writes a value as a flag has it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _line(number_text(value) if isinstance(value, float) else str(value))


def _line(text: str) -> str:
    """Writes a text in one line, control characters as escapes."""
    return one_line(" ".join(text.split()))

"""One line for what JAX's runtime prints when it ends a process.

The runtime finds out by heartbeats that a process is lost, and ends all others with a page of lines
and SIGABRT. It does the same where processes do not find each other. A handler of the signal, in C
as the runtime is, makes one line of it, and a status that says whether the run can go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import re
import signal
import sys
import tempfile
from typing import IO, Any

from experiments.flags import as_flags

LOST = 75
"""Exit status of a process whose run lost another one; `EX_TEMPFAIL`, as sysexits.h has it."""

NOT_FOUND = 2
"""Exit status of a process that the others did not find."""

_FATAL = "JAX distributed service detected fatal errors"

_NOISE = re.compile(rf"^\[Gloo\] Rank|coordination_service|{_FATAL}")
"""Lines of the runtime that say nothing to a user."""


@dataclasses.dataclass
class Session:
    """What this process knows of the processes that share its run.

    Attributes:
      where: address of process 0, for messages.
      process: number of this process; None while it is not known.
      number: how many there are; 0 while it is not known.
      seconds: how long they wait for each other at the start.
      kept: what the runtime prints; Python's own streams go where they went before.
      errors: where standard error goes.
      joined: whether all of them have found each other.
      status: exit status with which the run ends, once a process has said so.
      handler: called at SIGABRT; it must live as long as the process.
    """

    where: str
    process: int | None
    number: int
    seconds: int
    kept: IO[bytes]
    errors: int
    joined: bool = False
    status: int | None = None
    handler: Any = None


def set_apart(where: str, process: int | None, number: int, seconds: int) -> Session:
    """Keeps what the runtime prints away from what Python prints, and listens to SIGABRT.

    The runtime writes to the file descriptors 1 and 2; Python gets copies of them.

    Args:
      where: address of process 0, for messages.
      process: number of this process, if it is known.
      number: how many there are; 0 if it is not known.
      seconds: how long they wait for each other.

    Returns:
      The session, which must live as long as the process.
    """
    kept = tempfile.TemporaryFile()  # noqa: SIM115 (until the process ends)
    flush()
    out, errors = os.dup(1), os.dup(2)
    os.dup2(kept.fileno(), 1)
    os.dup2(kept.fileno(), 2)
    sys.stdout, sys.stderr = _text(out, sys.stdout), _text(errors, sys.stderr)
    session = Session(where, process, number, seconds, kept, errors)

    def aborted(_: int) -> None:
        _after_abort(session)

    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    # A handler of Python's signal module would run later, when the process has ended.
    session.handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(aborted)
    libc.signal(signal.SIGABRT, ctypes.cast(session.handler, ctypes.c_void_p))
    return session


def flush() -> None:
    """Writes what Python's streams hold."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def forward(session: Session) -> None:
    """Prints what the runtime printed that a user may want to know.

    Args:
      session: of this process.
    """
    lines = [line for line in _kept(session).splitlines() if line and not _NOISE.search(line)]
    with contextlib.suppress(OSError):
        print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)


def _text(number: int, like: Any) -> IO[str]:
    """Opens a file descriptor as a stream of text with the encoding of another one."""
    encoding = getattr(like, "encoding", None) or "utf-8"
    return os.fdopen(number, "w", buffering=1, encoding=encoding, errors="replace")


def _kept(session: Session) -> str:
    """Returns what the runtime has printed."""
    size = os.fstat(session.kept.fileno()).st_size
    return os.pread(session.kept.fileno(), size, 0).decode(errors="replace")


def _after_abort(session: Session) -> None:
    """Ends the process in one line if the runtime ended it; returns if something else did."""
    text = _kept(session)
    if session.status is not None:
        os._exit(session.status)
    if _FATAL not in text:
        os.write(session.errors, text.encode())
        return
    line, status = lost(text), LOST
    if not session.joined:
        line, status = _not_found(session, text), NOT_FOUND
    os.write(session.errors, f"error: {as_flags(line)}\n".encode())
    os._exit(status)


def lost(text: str) -> str:
    """Says which process is lost.

    Args:
      text: what the runtime prints.

    Returns:
      A line, with what to do.
    """
    found = re.search(r"unhealthy[^\n]*:\n((?:\d+\n)+)", text)
    who = "0, where all of them meet," if found is None else ", ".join(found[1].split())
    return (
        f"process {who} is lost (killed, or its machine or network failed): run the same command "
        "in all processes again to go on from the latest checkpoint"
    )


def _not_found(session: Session, text: str) -> str:
    """Says why the processes did not find each other, by what the runtime prints."""
    if "ALREADY_EXISTS" in text:
        return (
            f"another process of the run at {session.where} has `process_id={session.process}`, "
            "too: give each its own"
        )
    proxies = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy")]
    hint = f"; {', '.join(proxies)} is set, which may keep them apart" if proxies else ""
    return (
        f"the {session.number or ''} processes of the run did not all meet at {session.where} in "
        f"{session.seconds} s (`join_seconds`): start all of them, with the same `coordinator` and "
        f"`num_processes`{hint}"
    )

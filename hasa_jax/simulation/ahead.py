"""Programs that are compiled in threads of their own, while the parameters are initialised."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from hasa_jax.simulation.stopwatch import Spent, stopwatch

Wait = Callable[[], Spent]
"""Waits until a program is compiled; returns what that took."""


def compile_ahead(compile_it: Callable[[], None]) -> Wait:
    """Starts a thread that compiles a program.

    XLA compiles outside of Python's lock, so two programs take little longer than one on two
    cores.

    Args:
      compile_it: compiles what is called later. What it raises is left to that call, which raises
        it again where the user's own call is in the traceback.

    Returns:
      A function that waits for the thread.
    """
    spent: list[Spent] = []

    def guarded() -> None:
        with stopwatch() as timer, contextlib.suppress(Exception):
            compile_it()
        spent.append(timer)

    thread = threading.Thread(target=guarded, name="compile_ahead")
    thread.start()

    def wait() -> Spent:
        thread.join()
        return spent[0]

    return wait


def nothing_ahead() -> Spent:
    """Waits for nothing."""
    return Spent()

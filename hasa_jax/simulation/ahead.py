"""Compiling a program in a thread of its own, while another one is compiled or runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def compiled_ahead(compile_it: Callable[[], None]) -> Iterator[None]:
    """Calls a function in another thread while the block runs; leaves when both have ended.

    XLA compiles outside of Python's lock, so two programs take little longer than one on two
    cores.

    Args:
      compile_it: compiles what is called after the block. What it raises is left to that call,
        which raises it again where the user's own call is in the traceback.

    Yields:
      Nothing.
    """

    def guarded() -> None:
        with contextlib.suppress(Exception):
            compile_it()

    thread = threading.Thread(target=guarded, name="compiled_ahead")
    thread.start()
    try:
        yield
    finally:
        thread.join()

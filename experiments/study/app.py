"""Running a script: flags become a configuration, and an error ends it in one line and status 2."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Sequence, Set
from typing import Any

import jax
from absl import flags as absl_flags
from absl import logging as absl_logging

from experiments import usage
from experiments.config import RunConfig
from experiments.flags import as_flags, config_from_flags
from experiments.study import compilation, devices, processes, switches
from experiments.study.interruption import Stopped, exit_status
from experiments.study.processes import Session
from hasa_jax.base import UserError
from hasa_jax.execution.processes import FirstFailed
from hasa_jax.simulation.escapes import one_line

Main = Callable[[RunConfig, Set[str]], object]
"""What a script does with the configuration, and the names of the fields that the user gave."""

BAD_INPUT = 2
"""Exit status of a script whose input cannot be used."""

FAULT = 1
"""Exit status after a fault of the code."""

MOST_LETTERS = 2000
"""Letters of an error that are shown, whatever names from data are in it."""


def run_app(main: Main, positional: str = "") -> None:
    """Runs a script on the command line of this process, and ends the process.

    Args:
      main: what the script does; the docstring of its module is the head of `--help`.
      positional: field that arguments without a flag are items of; they are refused if empty.
    """
    # JAX reports every accelerator that it does not find, orbax every file that it dislikes. A
    # user's error should be the only line.
    logging.getLogger("jax").setLevel(logging.WARNING)
    # A full disk ends several writes of a checkpoint at once; asyncio would report each of them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    absl_logging.set_verbosity(absl_logging.FATAL)
    sys.unraisablehook = _report_unless_late
    replace_unknown_characters()
    sys.exit(attempt(main, sys.argv, set_up, positional))


def replace_unknown_characters() -> None:
    """Prints `?` for what the console's encoding lacks; files are UTF-8 whatever it is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Without a console there may be none.
            stream.reconfigure(errors="replace")


def attempt(
    main: Main,
    argv: Sequence[str],
    set_up: Callable[[RunConfig], Session | None],
    positional: str = "",
) -> int:
    """Runs a script on a command line.

    Args:
      main: what the script does.
      argv: name of the script, and its arguments.
      set_up: prepares the process for a configuration, before JAX makes anything; returns what
        joins it to other processes, if anything does.
      positional: as for `run_app`.

    Returns:
      The exit status: 0; `BAD_INPUT` after one line on standard error; or 128 and the number of
      the signal that asked the run to stop. Where other processes wait for this one in vain, it
      ends here.
    """
    if text := usage.asked_for(argv, sys.modules[main.__module__].__doc__ or ""):
        print(text)
        return 0
    try:
        config, given = config_from_flags(argv, positional)
    except (UserError, absl_flags.Error, OSError, UnicodeDecodeError) as error:
        return fail(error)
    session, reason, status = None, None, 0
    try:
        session = set_up(config)
        if session is not None:
            devices.start()
            processes.agree(config)
        main(config, given)
    except Stopped as request:
        status = exit_status(request.number)
    except KeyboardInterrupt:
        every = config.reporting.checkpoint_every
        how = "go on from the latest checkpoint" if every else "start over"
        reason = f"interrupted; run the same command again to {how}"
        status = exit_status(signal.SIGINT)
    except Exception as error:
        reason, status = reason_of(error), BAD_INPUT
        if session is not None:
            reason, status = _among_others(error)
        elif not reason:
            raise
    if session is None:
        if reason is not None:
            fail(reason)
        return status
    if reason is not None:
        status = processes.leave(session, line_of(reason), status)
    processes.end(session, status)
    return status


def _among_others(error: Exception) -> tuple[str, int]:
    """Returns what one of several processes says of an error, and its status.

    Nothing, if the first one says it. If a process is lost, this one ends here.
    """
    if isinstance(error, FirstFailed):
        return "", BAD_INPUT
    if processes.of_lost_process(error):
        processes.wait_for_verdict()
    if reason := reason_of(error):
        return reason, BAD_INPUT
    traceback.print_exception(error)
    return f"a fault of the code, {type(error).__name__}: see above", FAULT


def reason_of(error: Exception) -> str:
    """Returns what a user can read of an error, and do about it.

    Args:
      error: any.

    Returns:
      Its message; empty for an error that only shows a fault of the code.
    """
    match error:
        case FloatingPointError():  # A switch of JAX for debugging found it.
            reason = str(error).splitlines()[0]
            return f"{reason} Lower the learning rate, or unset JAX_DEBUG_NANS and _INFS"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return (
                f"no space left where results go ({error.filename or '`workdir`'}): make room and "
                "run the same command again; earlier results and checkpoints are as they were"
            )
        case MemoryError() | OverflowError():
            return f"a size is too large ({error}): lower it"
        case jax.errors.JaxRuntimeError() if "RESOURCE_EXHAUSTED" in str(error):
            return "out of memory: lower `batch_size` or `hidden_dim`"
        case UserError() | OSError():
            return str(error) or type(error).__name__
        case _:
            return ""


def set_up(config: RunConfig) -> Session | None:
    """Prepares this process for a configuration; must come before JAX makes anything.

    Args:
      config: the configuration.

    Returns:
      What joins this process to others, if any; it must be kept until the process ends.

    Raises:
      UserError: if other processes cannot be joined, or are of another run.
    """
    switches.make_inert()
    devices.choose_kernels(config.execution.deterministic_ops)
    devices.wait_for_one_another()
    devices.split_host(config.execution.host_devices)
    if warning := compilation.keep_programs(config.execution.compilation_cache):
        print(f"warning: {one_line(as_flags(warning))}", file=sys.stderr)
    return processes.join(config.execution)


def fail(message: object) -> int:
    """Prints an error in one line; arguments are named as flags.

    Args:
      message: what is wrong, where, and what to do.

    Returns:
      `BAD_INPUT`.
    """
    with contextlib.suppress(OSError):  # The terminal may be gone.
        print(f"error: {line_of(message)}", file=sys.stderr)
    return BAD_INPUT


def line_of(message: object) -> str:
    """Writes a message in one line that is not too long; arguments are named as flags."""
    line = one_line(" ".join(as_flags(str(message)).split()))
    more = f" ... ({len(line) - MOST_LETTERS} more)" if len(line) > MOST_LETTERS else ""
    return f"{line[:MOST_LETTERS]}{more}"


def _report_unless_late(unraisable: Any) -> None:
    """Reports an exception in a thread, unless it is about a write that has failed already.

    Of several arrays that a checkpoint could not write, the first ends it, and is reported.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)

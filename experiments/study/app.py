"""Running a script: flags are parsed, and bad input ends in one line and exit status 2."""

from __future__ import annotations

import errno
import logging
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import jax
from absl import app
from absl import flags as absl_flags
from absl import logging as absl_logging

from experiments import flags
from experiments.study import compilation, devices
from hasa_jax.base import UserError

FLAGS = flags.FLAGS


def numbers(name: str) -> list[float]:
    """Reads a list flag as numbers.

    Args:
      name: the flag.

    Returns:
      The numbers.

    Raises:
      UserError: if an item is no number.
    """
    items: list[str] = FLAGS[name].value or []
    try:
        values = [float(item) for item in items]
    except ValueError as error:
        raise UserError(f"--{name}={','.join(items)}: {error}") from None
    if not all(math.isfinite(value) for value in values):
        raise UserError(f"--{name}={','.join(items)}: numbers must be finite")
    return values


def _tell_unless_late(unraisable: Any) -> None:
    """Tells of an exception in a thread, unless it is about a write that has failed already.

    Of several arrays that a checkpoint could not write, the first ends it, and is told.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def run_app(main: Callable[[], None]) -> None:
    """Parses the flags and runs a script; bad input ends in one line and exit status 2."""

    def fail(message: object) -> NoReturn:
        print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
        sys.exit(2)

    def parse(argv: list[str]) -> list[str]:
        try:
            return FLAGS(argv)
        except (absl_flags.Error, OSError, UnicodeDecodeError) as error:
            fail(error)

    def guarded(argv: list[str]) -> None:
        if len(argv) > 1:
            fail(f"unexpected argument {argv[1]!r}: flags are written --name=value")
        try:
            # All of this must come before JAX makes anything.
            devices.choose_kernels(FLAGS.deterministic_ops)
            devices.split_host(FLAGS.host_devices)
            compilation.keep_programs(FLAGS.compilation_cache)
            main()
        except UserError as error:
            fail(error)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                fail(error)
            fail(
                f"no space left where results go ({error.filename or '--workdir'}): make room and "
                "run the same command again; earlier results and checkpoints are as they were"
            )
        except (MemoryError, OverflowError) as error:
            fail(f"a size is too large ({error}): lower it")
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            fail("out of memory: lower --batch_size or --hidden_dim")
        except KeyboardInterrupt:
            how = "go on from the latest checkpoint" if FLAGS.checkpoint_every else "start over"
            fail(f"interrupted; run the same command again to {how}")

    # JAX tells of every accelerator that it does not find, orbax of every file that it does not
    # like; a user's error should stand alone.
    logging.getLogger("jax").setLevel(logging.WARNING)
    absl_logging.set_verbosity(absl_logging.FATAL)
    sys.unraisablehook = _tell_unless_late
    # --help of a script shows the flags of this module, which the script is all about.
    for flag in FLAGS.get_flags_for_module(flags):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(guarded, flags_parser=parse)

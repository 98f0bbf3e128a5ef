"""Running a script: flags are parsed, and bad input ends in one line and exit status 2."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from typing import NoReturn

import jax
from absl import app
from absl import flags as absl_flags

from experiments import compilation, devices, flags
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
            # Both must come before JAX makes anything.
            devices.split_host(FLAGS.host_devices)
            compilation.keep_programs(FLAGS.compilation_cache)
            main()
        except (UserError, OSError) as error:
            fail(error)
        except (MemoryError, OverflowError) as error:
            fail(f"a size is too large ({error}): lower it")
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            fail("out of memory: lower --batch_size or --hidden_dim")
        except KeyboardInterrupt:
            fail("interrupted; run the same command again to start over")

    # JAX tells of every accelerator that it does not find; a user's error should stand alone.
    logging.getLogger("jax").setLevel(logging.WARNING)
    # --help of a script shows the flags of this module, which the script is all about.
    for flag in FLAGS.get_flags_for_module(flags):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(guarded, flags_parser=parse)

"""Scripts that end in tables: flags in, CSV files and a table out."""

import gc
import importlib
import sys

_collects = gc.isenabled()
gc.disable()  # A module is no garbage, and looking for some takes a tenth of a second.
try:
    importlib.import_module("jax")
except ValueError as error:  # The shell has a switch of JAX with a value that JAX does not take.
    print(f"error: {error}: set another value, or unset it", file=sys.stderr)
    raise SystemExit(2) from None
finally:
    if _collects:
        gc.enable()

"""Compiled programs are kept between runs, in a folder of the user."""

from __future__ import annotations

import os
import pathlib
import tempfile
import warnings

import jax


def default_folder() -> str:
    """Returns JAX's own folder if the environment names one, else one in the user's cache."""
    named = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return named or str(pathlib.Path(caches, "hasa_jax", "xla"))


def keep_programs(folder: str | None) -> str:
    """Makes this process read and write compiled programs.

    Must come before the first program. JAX's key of a program holds the versions of JAX and XLA,
    XLA's flags and the features of the processor, so nothing stale is ever read.

    Args:
      folder: where they are kept; `default_folder()` if None, nowhere if empty.

    Returns:
      A warning, if the folder cannot be written and nothing is kept; empty if all is well.
    """
    if folder == "":
        jax.config.update("jax_enable_compilation_cache", False)
    if not jax.config.values["jax_enable_compilation_cache"]:
        return ""
    path = pathlib.Path(folder or default_folder())
    try:
        path = path.expanduser()
        # JAX runs what it finds there, so other users must not write there.
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, RuntimeError, ValueError) as error:
        jax.config.update("jax_enable_compilation_cache", False)
        reason = getattr(error, "strerror", None) or error
        return (
            f"every run compiles its programs again, as {path} cannot be written ({reason}): "
            "name another folder with `compilation_cache`"
        )
    jax.config.update("jax_compilation_cache_dir", str(path))
    # An entry that is damaged, or that another process is still writing, is compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    # Many small programs take as long as a large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return ""

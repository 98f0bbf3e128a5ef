"""Which units a width keeps: each method ranks the units of every group."""

from hasa_jax.extraction.prefix import prefix

EXTRACTIONS = {"prefix": prefix}

__all__ = ["EXTRACTIONS", "prefix"]

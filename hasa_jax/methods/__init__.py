"""Published methods, one file each."""

from hasa_jax.methods.method import CHOICES, METHODS, Method, build, describe

__all__ = ["CHOICES", "METHODS", "Method", "build", "describe"]

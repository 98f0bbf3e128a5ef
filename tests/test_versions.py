"""Versions in run.json."""

import importlib.metadata
import platform

import hasa_jax
from hasa_jax.versions import versions_of


def test_versions(monkeypatch):
    noted = {"jax": "1.2.3", "hasa_jax": "0.0.1"}

    def version(package):
        if package not in noted:
            raise importlib.metadata.PackageNotFoundError(package)
        return noted[package]

    monkeypatch.setattr(importlib.metadata, "version", version)
    # The checkout's own version, whatever pip has noted when it was installed.
    assert versions_of(["jax", "absent"]) == {
        "python": platform.python_version(),
        "hasa_jax": hasa_jax.__version__,
        "jax": "1.2.3",
        "absent": "not installed",
    }

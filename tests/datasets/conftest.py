"""Fixtures of the tests of datasets."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _forget_programs():
    """Keeps compiled programs: datasets compile only the addresses of keys."""

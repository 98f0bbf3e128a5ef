"""Strictness for every test, set before JAX starts, and the shared fixtures."""

import gc
import itertools
import os
import signal
from pathlib import Path

from tests.support.forks import COMPILES_QUICKLY

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Two devices, so that what runs on several is tested on one machine.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2 {COMPILES_QUICKLY}"
)

import hypothesis
import jax
import pytest

# Processes of tests inherit what this one ignores: under nohup, or in the background, SIGHUP and
# SIGINT would not end them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# Broadcasting across ranks hides shape mistakes.
jax.config.update("jax_numpy_rank_promotion", "raise")
# A test must not depend on what an earlier run compiled.
jax.config.update("jax_enable_compilation_cache", False)

# The first example of a property compiles, so a deadline would fail at random; the same
# examples every time keep a red run repeatable.
hypothesis.settings.register_profile("hasa_jax", deadline=None, derandomize=True)
hypothesis.settings.load_profile("hasa_jax")


@pytest.fixture(scope="session")
def data_dir():
    """Returns the folder of the real data sets, or skips."""
    name = os.environ.get("HASA_DATA_DIR", "")
    if not name:
        pytest.skip("HASA_DATA_DIR is not set, so there are no real data sets")
    path = Path(name)
    if not path.is_dir():
        pytest.skip(f"HASA_DATA_DIR={name} is not a folder")
    return path


@pytest.fixture(scope="session")
def _modules():
    """Counts the modules whose tests this process has run."""
    return itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def _forget_programs(_modules):
    """Frees compiled programs now and then: a worker that keeps thousands is ever slower."""
    yield
    if next(_modules) % 8 == 0:
        jax.clear_caches()
        gc.collect()


def pytest_addoption(parser):
    """Adds where the table of bad inputs goes."""
    parser.addoption("--bad-input-table", metavar="FILE", help="write the bad inputs as a table")


def pytest_terminal_summary(terminalreporter, config):
    """Counts the bad inputs that ended in one clear line, and writes the lines as a table."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if "test_bad_input_ends_in_one_line" in report.nodeid
    ]
    if not reports:
        return
    records = [value for report in reports for _, value in report.user_properties]
    terminalreporter.write_line(
        f"bad inputs that ended in one clear line: {len(records)} of {len(reports)}"
    )
    if name := config.getoption("--bad-input-table"):
        bar = "\\|"
        lines = [f"| {case} | `{line.replace('|', bar)}` |" for case, line in sorted(records)]
        head = ["| bad input | what is shown |", "|---|---|"]
        Path(name).write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")

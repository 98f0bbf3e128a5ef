"""One report, which is read as text and opened in a browser."""

import pytest

from experiments.analysis.report import writing
from experiments.rooms import ComparisonConfig
from tests.experiments.analysis.report.populations import NAMES, write_population


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The report of thirteen clients, most of which have hostile names."""
    folder = write_population(tmp_path_factory.mktemp("report"), NAMES)
    return writing.write([folder], ComparisonConfig())

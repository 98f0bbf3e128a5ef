"""Says how many code cells the site executed, and how long that took."""

from collections.abc import Mapping
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)


def report(seconds: Mapping[str, float], cells: Mapping[str, int]) -> str:
    """Returns the line about the notebooks of a build.

    Args:
      seconds: `{page: seconds that its cells ran}`.
      cells: `{page: code cells}`.
    """
    return (
        f"executed {sum(cells.values())} code cells of {len(cells)} notebooks in "
        f"{sum(seconds.values()):.0f} s"
    )


def _finished(app: Sphinx, error: Exception | None) -> None:
    """Prints the line."""
    ran = {
        name: data["exec_data"]["runtime"] or 0
        for name, data in app.env.nb_metadata.items()
        if data.get("exec_data")
    }
    cells = {
        name: app.env.doc2path(name).read_text(encoding="utf-8").count("\n```{code-cell}")
        for name in ran
    }
    if error is None:
        _LOG.info(report(ran, cells))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the function above to Sphinx."""
    app.connect("build-finished", _finished)
    return {"parallel_read_safe": True}

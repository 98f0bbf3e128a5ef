"""The page: everything that the template needs of some results."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from collections.abc import Sequence

import hasa_jax
from experiments.analysis import results
from experiments.analysis.compared import Comparison, compared_of, seeds_of
from experiments.analysis.pictures.looks import looks
from experiments.analysis.rendering import html
from experiments.analysis.report import clients as of_clients
from experiments.analysis.report import pictures, provenance, verdict
from experiments.analysis.report.colours import dark_values, variable
from experiments.analysis.report.embedding import json_text, script_hash
from experiments.analysis.report.forest import forest_of
from experiments.analysis.results import Results, Source
from experiments.analysis.table import Table
from experiments.analysis.tables import tables_of
from experiments.rooms import ComparisonConfig
from hasa_jax.simulation.run_json import LIBRARY

_HERE = pathlib.Path(__file__).parent

HEADLINE, LEDGER, CLIENTS = "headline", ("cost",), "clients"
"""Names of tables that have a section of their own."""

_OF_CHARTS = ("#000000", "#444444", "#777777", "#cccccc", "#e6e6e6", "#ffffff")
"""Colours that report.js draws with, beside those of the arms."""

MOST_LINES = 300
"""Lines of the table of clients; a longer one is left out, as each client can be chosen."""


@dataclasses.dataclass(frozen=True)
class ShownTable:
    """A table as the page shows it.

    Attributes:
      title: what it shows.
      html: the element, escaped.
      notes: below it.
    """

    title: str
    html: str
    notes: tuple[str, ...]


def page_of(sources: Sequence[Source], comparison: ComparisonConfig) -> str:
    """Writes the page of some workdirs.

    Args:
      sources: the workdirs.
      comparison: names the reference, and the unit in which arms must match.

    Returns:
      The content of an HTML file that needs no other one; the same each time.

    Raises:
      UserError: if the workdirs cannot be merged or compared.
    """
    import jinja2  # Takes a while, which a run need not wait for.

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    found = results.merge(sources)
    return environment.get_template("report.html.in").render(
        **_of_results(found, sources, comparison),
        version=hasa_jax.__version__,
        style=_safe((_HERE / "report.css").read_text(encoding="utf-8")),
        script=_safe(script),
        script_hash=script_hash(script),
        origins=provenance.origins_of(sources),
        remarks=provenance.remarks_of(found, sources),
        command=_command(sources),
    )


def _of_results(
    found: Results, sources: Sequence[Source], comparison: ComparisonConfig
) -> dict[str, object]:
    """Returns what the template shows of the numbers."""
    compared = compared_of(found, comparison)
    tables = {table.name: table for table in tables_of(found, comparison)}
    clients = of_clients.clients_of(compared)
    drawn, lacking = pictures.draw_all(found, sources)
    colours = {colour for own in drawn for colour in own.colours}
    colours |= {own.colour.lower() for own in looks(found.arms).values()} | set(_OF_CHARTS)
    data = _data_name(sources)
    findings = verdict.findings_of(compared, compared.chosen)
    long = len(tables[CLIENTS].rows) > MOST_LINES if CLIENTS in tables else False
    others = [
        table
        for name, table in tables.items()
        if name not in (HEADLINE, *LEDGER) and not (long and name == CLIENTS)
    ]
    return {
        "title": _title(compared, data),
        "glance": _glance(compared, data, clients.total),
        "verdict_text": verdict.paragraph(compared, data, clients.total),
        "forest": forest_of(findings, compared.chosen),
        "headline": _shown(tables[HEADLINE]),
        "tables": list(map(_shown, others)),
        "dark_colours": dark_values(colours),
        "pictures": [dataclasses.replace(own, svg=_safe(own.svg)) for own in drawn],
        "not_drawn": lacking,
        "ledger": [_shown(tables[name]) for name in LEDGER if name in tables],
        "clients_note": clients.note,
        "clients_limits": clients.limits,
        "clients_json": _safe(json_text(_client_data(compared, clients))),
    }


def _client_data(compared: Comparison, clients: of_clients.Clients) -> dict[str, object]:
    """Returns what the script knows of clients, and how arms look."""
    seen = [
        {"colour": variable(own.colour.lower()), "marker": own.marker, "line": own.line}
        for own in looks(compared.found.arms).values()
    ]
    return {**of_clients.to_json(clients), "looks": seen}


def _shown(table: Table) -> ShownTable:
    """Renders a table; its notes go below the box in which it scrolls. Sections have other ids."""
    own = html.render(dataclasses.replace(table, name=f"table-{table.name}", notes=()))
    return ShownTable(table.title, _safe(own), table.notes)


def _title(compared: Comparison, data: str) -> str:
    """Names the page."""
    labels, on = list(compared.labels.values()), f" on {data}" * bool(data)
    if not compared.several:
        return f"{labels[0]}{on}"
    return f"{len(labels)} {verdict.KINDS[compared.header]}{on}"


def _glance(compared: Comparison, data: str, clients: int) -> list[tuple[str, str]]:
    """Returns the numbers of the study."""
    found = compared.found
    seeds = seeds_of(compared, compared.chosen, "seed").rpartition(" ")[0]
    seeds = "none in common" if seeds == "no" else seeds
    parts = [
        ("Data", data or "not recorded"),
        ("Clients", f"{clients:,}"),
        ("Arms", str(len(found.arms))),
        ("Seeds", f"{seeds} of {found.folds} folds" if found.folds else seeds),
        ("Rounds", str(compared.last)),
        ("Workdirs", str(len(found.folders))),
    ]
    return [(name, text) for name, text in parts if name != "Workdirs" or text != "1"]


def _data_name(sources: Sequence[Source]) -> str:
    """Returns the name of the data set; empty where only runs of the library are there."""
    known = [own for own in sources if own.manifest.script != LIBRARY]
    return known[0].manifest.run.data.dataset if known else ""


def _command(sources: Sequence[Source]) -> str:
    """Returns the command that writes the page."""
    folders = ",".join(str(source.folder) for source in sources)
    return shlex.join(["python", "-m", "experiments.report", f"--workdir={folders}"])


def _safe(text: str) -> str:
    """Marks a text that is HTML already."""
    import markupsafe

    return markupsafe.Markup(text)

"""From the committed results to every file and table of documents that shows them.

`ARTEFACTS` lists what is made. Each maker yields files with the content that they must have;
`rebuild` writes them, or says where they differ.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.analysis import (
    by_size,
    figures,
    hypotheses,
    results,
    suite_table,
    table_need,
    tables,
    testbed_table,
)
from experiments.analysis.pictures import PICTURES, style
from experiments.analysis.pictures import suite as suite_picture
from experiments.analysis.pictures.difference import DRAWN_WITH, comparable, same
from experiments.analysis.pictures.rebuilding import TESTBED, drawn
from experiments.analysis.rendering import markdown
from experiments.analysis.results import Results, Source
from experiments.analysis.table import Cell, Table
from experiments.config import RunConfig, with_fields
from experiments.rooms import PICTURE_FORMATS, ComparisonConfig
from experiments.study import sweep_states
from experiments.study.suite import read_suite, sweep_of_suite
from hasa_jax.base import UserError
from hasa_jax.simulation import escapes
from hasa_jax.simulation.writers import say

ROOT = pathlib.Path(__file__).resolve().parents[2]
"""The checkout."""

RESULTS = pathlib.PurePath("experiments/results")
"""Where committed results are, in the checkout."""

TEMPLATES = RESULTS / "templates"
"""Where templates of tables of documents are."""

STUDIES = "rebuild.toml"
"""The file that says what is made of the results, in their folder."""

BY_SIZE, NEED, HYPOTHESES = "by_size.md", "need.md", f"{hypotheses.STEM}.md"
"""Names of the tables of sizes, of needs and of hypotheses."""

_MARKED = re.compile(
    r"(?P<begin>^(?P<indent>[ \t]*)<!-- (?P<kind>table|template|ranks): (?P<what>[^\n]*?) -->\n)"
    r"(?P<own>.*?)(?P<end>^[ \t]*<!-- end -->)",
    re.DOTALL | re.MULTILINE,
)
_BEGINS = re.compile(r"^[ \t]*<!-- (?:table|template|ranks): ", re.MULTILINE)
_PLACE = re.compile(r"\{([^{}\n]+)\}")


class File(NamedTuple):
    """A file as the results make it.

    Attributes:
      path: where it is, in the checkout.
      content: all of it.
    """

    path: pathlib.PurePath
    content: bytes


@dataclasses.dataclass(frozen=True)
class Library:
    """The committed results; what was read once is not read again.

    Attributes:
      root: the checkout.
      studies: content of `STUDIES`.
      sources: workdirs that were read, by their names.
      studied: results that were merged, by name.
      made: tables that were made, by name of the results and of the table.
      suites: tables of suites that were made, by name of the results.
    """

    root: pathlib.Path
    studies: Mapping[str, Any]
    sources: dict[str, Source] = dataclasses.field(default_factory=dict)
    studied: dict[str, Results] = dataclasses.field(default_factory=dict)
    made: dict[tuple[str, str], Table] = dataclasses.field(default_factory=dict)
    suites: dict[str, suite_table.Made] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> pathlib.Path:
        """Where the results are."""
        return self.root / RESULTS

    def workdirs(self) -> list[str]:
        """Returns the names of all workdirs, also of runs that have not ended."""
        found = {
            path.parent
            for name in ("summary.csv", "summary.csv.partial")
            for path in self.folder.rglob(name)
        }
        names = [path.relative_to(self.folder).as_posix() for path in sorted(found)]
        # The runs of a suite have one table, that of the suite.
        suites = tuple(f"{suite}/" for suite in self.studies.get("suites", {}))
        return [name for name in names if not name.startswith(suites)]

    def folders(self, name: str) -> list[str]:
        """Returns the names of the workdirs of a study, or the name itself."""
        return self.studies.get("studies", {}).get(name, {}).get("folders", [name])

    def results(self, name: str) -> Results:
        """Reads a workdir, or all of a study."""
        if name not in self.studied:
            folders = self.folders(name)
            for folder in folders:
                if folder not in self.sources:
                    own = results.source_of(self.folder / folder, clients=False)
                    self.sources[folder] = own
            self.studied[name] = results.merge([self.sources[folder] for folder in folders])
        return self.studied[name]

    def comparison(self, name: str) -> ComparisonConfig:
        """Returns how the tables of a workdir or a study compare."""
        first = self.folders(name)[0]
        return ComparisonConfig(reference=self.studies.get("references", {}).get(first, ""))

    def table(self, name: str, table: str) -> Table:
        """Makes a table of a workdir, a study, a testbed, a file of needs or of hypotheses."""
        if (name, table) not in self.made:
            if table.startswith("testbed_"):
                found = testbed_table.tables_of(testbed_table.gains_of(self.folder / name, ""))
            elif table.startswith("need_"):
                needs = table_need.read_lines(self._needs(name))
                found = table_need.tables_of(needs, self.results(name).dealt)
            elif table.startswith(hypotheses.STEM):
                found = hypotheses.made(self.results(name))[1]
            else:
                found = (tables.table_of(self.results(name), self.comparison(name), table),)
            self.made.update({(name, own.name): own for own in found})
            # A study whose last round is the chosen one has no table of it of its own.
            self.made.setdefault((name, table), found[0])
        return self.made[name, table]

    def suite(self, name: str) -> suite_table.Made:
        """Makes the tables of a suite of the benchmark."""
        if name not in self.suites:
            own = self.studies["suites"][name]
            given = {"suite": own["suite"], "data_dir": own["data_dir"]}
            config = with_fields(RunConfig(), {**given, "workdir": str(self.folder / name)})
            suite = read_suite(own["suite"], ())
            found = sweep_of_suite(suite, config, set(given))
            states = sweep_states.states_of(found.runs)
            self.suites[name] = suite_table.made(suite, found, states)
        return self.suites[name]

    def _needs(self, name: str) -> pathlib.Path:
        """Returns the file of needs of a workdir."""
        return self.folder / name / table_need.FILE


def library_of(root: pathlib.Path) -> Library:
    """Opens the committed results.

    Args:
      root: the checkout.

    Returns:
      The results; nothing but `STUDIES` is read yet.

    Raises:
      UserError: if there are none, as outside of a checkout, or if `STUDIES` is damaged.
    """
    path = root / RESULTS / STUDIES
    try:
        return Library(root, tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run rebuild in a checkout") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def tables_of_workdirs(library: Library) -> Iterator[File]:
    """Yields table.md of every workdir."""
    for name in library.workdirs():
        text = tables.text_of(library.results(name), library.comparison(name))
        yield File(RESULTS / name / "table.md", text.encode())


def tables_of_studies(library: Library) -> Iterator[File]:
    """Yields the other tables: by_size.md, testbed.md, need.md and hypotheses.md."""
    for name, study in library.studies.get("studies", {}).items():
        if study.get("by_size"):
            text = markdown.document(
                by_size.tables_of(library.results(name), library.comparison(name))
            )
            yield File(RESULTS / study["folders"][0] / BY_SIZE, text.encode())
    for name in library.studies.get("testbeds", {}).get("folders", []):
        made = [library.table(name, f"testbed_{metric}") for metric in results.METRICS]
        yield File(RESULTS / name / testbed_table.NAME, markdown.document(made).encode())
    for name in library.studies.get("needs", {}).get("folders", []):
        made = [library.table(name, table) for table in ("need_scores", "need_clients")]
        yield File(RESULTS / name / NEED, markdown.document(made).encode())
    for name in library.studies.get("hypotheses", {}).get("folders", []):
        text = hypotheses.text_of(*hypotheses.made(library.results(name)))
        yield File(RESULTS / name / HYPOTHESES, text.encode())


def suites(library: Library) -> Iterator[File]:
    """Yields the tables and the picture of every suite of the benchmark."""
    for name in library.studies.get("suites", {}):
        made = library.suite(name)
        yield File(RESULTS / name / suite_table.TEXT, made.text.encode())
        yield File(RESULTS / name / suite_table.NUMBERS, made.numbers.encode())
        if comparable():
            picture = suite_picture.figure_of(made.suite, made.outcomes)
            yield File(RESULTS / name / suite_table.PICTURE, style.content_of(picture, "png"))


def documents(library: Library) -> Iterator[File]:
    """Yields the documents with the tables between their markers."""
    for path in [library.root / "README.md", *sorted((library.root / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if _BEGINS.search(text):
            shown = path.relative_to(library.root)
            yield File(shown, document(text, library, shown.as_posix()).encode())


def document(text: str, library: Library, path: str) -> str:
    """Rewrites the tables of a document.

    A table stands between `<!-- table: RESULTS NAME -->`, where RESULTS is a workdir or a study of
    `STUDIES`, and `<!-- end -->`; its title and notes are left to the document. Between
    `<!-- template: FILE -->` and `<!-- end -->` stands a file of `TEMPLATES`, filled in. Between
    `<!-- ranks: RESULTS -->` and `<!-- end -->` stands the first table of a suite. All have the
    indent of their marker.

    Args:
      text: the document.
      library: the results.
      path: of the document, for messages.

    Returns:
      The document as the results make it.

    Raises:
      UserError: for a marker without an end, or one that names no table.
    """

    def filled(match: re.Match[str]) -> str:
        what = match["what"].split()
        try:
            if match["kind"] == "template":
                own = template(library, *what)
            elif match["kind"] == "ranks":
                own = library.suite(*what).ranks
            else:
                name, table = what
                own = markdown.grid(library.table(name, table))
        except (UserError, ValueError, TypeError, OSError) as error:
            raise UserError(f"{path}: `{match['what']}` gives no table: {error}") from None
        text = textwrap.indent(own.strip(), match["indent"])
        return f"{match['begin']}\n{text}\n\n{match['end']}"

    if len(_BEGINS.findall(text)) != len(_MARKED.findall(text)):
        raise UserError(f"{path}: a table has a beginning and no end: write <!-- end --> below it")
    return _MARKED.sub(filled, text)


def template(library: Library, name: str) -> str:
    """Fills in a template.

    Its lines `NAME = RESULTS` at the beginning are names for results. Elsewhere,
    `{RESULTS; TABLE; ROW; COLUMN}` is the text of a cell, where ROW is the first cell of its row,
    or the first ones with ` / ` between them. `{...; FORMAT}` is its number in a format of Python,
    such as `.2f`. `{FILE.json; PATH; FORMAT}` is a number of a file of the checkout; see
    `figures.number_at`. `{FILE.csv; ROW; COLUMN}` is a cell of one, and with `; FORMAT` its number.

    Args:
      library: the results.
      name: file in `TEMPLATES`, without its suffix.

    Returns:
      Markdown.

    Raises:
      UserError: for a place that names no cell.
    """
    lines = (library.root / TEMPLATES / f"{name}.md").read_text(encoding="utf-8").splitlines()
    names: dict[str, str] = {}
    while lines and re.fullmatch(r"\w+ = \S+", lines[0]):
        short, _, long = lines.pop(0).partition(" = ")
        names[short] = long

    def filled(match: re.Match[str]) -> str:
        parts = [part.strip() for part in match[1].split(";")]
        name = names.get(parts[0], parts[0])
        if len(parts) == 3 and name.endswith(".json"):
            return format(figures.number_at(library.root / name, parts[1]), parts[2])
        if len(parts) in (3, 4) and name.endswith(".csv"):
            cell = _cell_of_file(library.root / name, parts[1], parts[2])
            form = parts[3:]
        elif len(parts) in (4, 5):
            cell, form = _cell(library.table(name, parts[1]), parts[2], parts[3]), parts[4:]
        else:
            raise UserError(f"{match[0]} has not the form {{RESULTS; TABLE; ROW; COLUMN}}")
        if not form:
            return markdown.cell_text(cell)
        if cell.value is None:
            raise UserError(f"{match[0]} is no number but {cell.text!r}")
        return format(cell.value, form[0])

    return _PLACE.sub(filled, "\n".join(lines))


def _cell(table: Table, row: str, column: str) -> Cell:
    """Returns the cell of a row that is named by its first cells."""
    wanted = row.split(" / ")
    for cells in table.rows:
        if [cell.text for cell in cells[: len(wanted)]] == wanted and column in table.headers:
            return cells[table.headers.index(column)]
    rows = ", ".join(repr(cells[0].text) for cells in table.rows)
    raise UserError(
        f"table {table.name} has no row {row!r} with a column {column!r}: it has the rows {rows} "
        f"and the columns {', '.join(map(repr, table.headers))}"
    )


def _cell_of_file(file: pathlib.Path, row: str, column: str) -> Cell:
    """Returns a cell of a CSV file, with its number if it is one."""
    text = figures.cell_at(file, row, column)
    try:
        number = float(text)
    except ValueError:
        return Cell(text)
    return Cell(text, number) if math.isfinite(number) else Cell(text)


def pictures(library: Library) -> Iterator[File]:
    """Yields the pictures of documents; none with another matplotlib than theirs."""
    if not comparable():
        say(f"pictures are left as they are: they need matplotlib {DRAWN_WITH}, as constraints.txt")
        return
    wanted = library.studies.get("pictures", {})
    for path, content in drawn(wanted, library.folder, library.results):
        yield File(pathlib.PurePath(path), content)


ARTEFACTS: Mapping[str, Callable[[Library], Iterator[File]]] = {
    "tables of workdirs": tables_of_workdirs,
    "tables of studies": tables_of_studies,
    "suites": suites,
    "documents": documents,
    "pictures": pictures,
}
"""What is made, in its order."""


def differences(library: Library, artefacts: Sequence[str] = tuple(ARTEFACTS)) -> list[File]:
    """Finds the files that are not as the results make them.

    Args:
      library: the results.
      artefacts: what is looked at, of `ARTEFACTS`.

    Returns:
      The files as they must be.
    """
    made = (file for name in artefacts for file in ARTEFACTS[name](library))
    return [file for file in made if not _same(_there(library.root / file.path), file)]


def leftover(library: Library) -> list[pathlib.PurePath]:
    """Finds files beside the results that have the name of a file that is made, and are not.

    Args:
      library: the results.

    Returns:
      Their paths in the checkout: tables and pictures of results or studies that there are no more.
    """
    made = {RESULTS / name / "table.md" for name in library.workdirs()}
    studies = library.studies.get("studies", {}).values()
    made |= {RESULTS / own["folders"][0] / BY_SIZE for own in studies if own.get("by_size")}
    rooms = {"testbeds": testbed_table.NAME, "needs": NEED, "hypotheses": HYPOTHESES}
    for room, name in rooms.items():
        made |= {RESULTS / own / name for own in library.studies.get(room, {}).get("folders", [])}
    made |= {RESULTS / own / suite_table.TEXT for own in library.studies.get("suites", {})}
    made |= {pathlib.PurePath(path) for path in library.studies.get("pictures", {})}
    names = {"table.md", BY_SIZE, suite_table.TEXT, *rooms.values()}
    names |= {f"{name}.{suffix}" for name in (*PICTURES, TESTBED) for suffix in PICTURE_FORMATS}
    there = sorted(path for path in library.folder.rglob("*") if path.name in names)
    return [path for own in there if (path := own.relative_to(library.root)) not in made]


def rebuild(config: RunConfig) -> None:
    """Writes all files and tables of documents that the committed results make.

    Args:
      config: whether nothing is written, and a difference is an error.

    Raises:
      UserError: for a difference or a file that is no longer made, if nothing is to be written; or
        for a marker that names no table.
    """
    library = library_of(ROOT)
    found = differences(library)
    for file in found:
        if config.reporting.check:
            say(f"differs: {file.path}{_where(library.root / file.path, file.content)}")
        else:
            (library.root / file.path).write_bytes(file.content)
            say(f"written: {file.path}")
    old = leftover(library)
    for path in old:
        say(f"not made of the results, so remove it: {path}")
    if found and config.reporting.check:
        raise UserError(
            f"{len(found)} files are not what the results make: run rebuild without `check`"
        )
    if old and config.reporting.check:
        raise UserError(f"{len(old)} files are no longer made of the results: remove them")
    if not found and not old:
        what = "table and picture" if comparable() else "table"
        say(f"every {what} is what the results make")


def _same(there: bytes | None, file: File) -> bool:
    """Returns whether a file is as it must be; of a PNG file, up to shades of a platform."""
    if there is not None and file.path.suffix == ".png":
        return same(there, file.content)
    return there == file.content


def _there(path: pathlib.Path) -> bytes | None:
    """Returns what a file holds; None without one."""
    return path.read_bytes() if path.is_file() else None


def _where(path: pathlib.Path, content: bytes) -> str:
    """Says in which line a file first differs from what it must be."""
    there = _there(path)
    if there is None:
        return " (it is missing)"
    try:
        own, must = there.decode().splitlines(), content.decode().splitlines()
    except UnicodeDecodeError:
        return ""
    line = next(
        (n for n, pair in enumerate(zip(own, must, strict=False), 1) if pair[0] != pair[1]), 0
    )
    line = line or min(len(own), len(must)) + 1
    text = own[line - 1] if line <= len(own) else ""
    return escapes.one_line(f", line {line}: {text[:80]}")

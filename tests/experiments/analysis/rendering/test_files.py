"""Files of tables by their formats."""

from experiments.analysis.rendering import csv, html, latex, markdown
from experiments.analysis.rendering.files import files_of, replace
from experiments.analysis.table import Cell, Table

ONE, OTHER = (
    Table(name, "A title", ("arm", "x"), ((Cell("a"), Cell("1.0", 1.0)),)) for name in ("n_of", "o")
)


def test_every_format_has_its_files():
    made = files_of("n", (ONE, OTHER), ("markdown", "latex", "csv", "html"))
    assert made == {
        "n.md": markdown.document((ONE, OTHER)),
        "n.tex": latex.document((ONE, OTHER)),
        "n_of.csv": csv.render(ONE),
        "n_o.csv": csv.render(OTHER),
        "n.html": html.document((ONE, OTHER)),
    }
    assert files_of("n", (ONE,), ("csv",)) == {"n_of.csv": csv.render(ONE)}
    assert files_of("n", (ONE,), ("markdown", "csv"), "own\n")["n.md"] == "own\n"


def test_tables_of_several_workdirs_are_named_once():
    assert [*files_of("merged_n", (ONE, OTHER), ("csv",))] == ["merged_n_of.csv", "merged_n_o.csv"]


def test_a_file_is_replaced_at_once(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("old", encoding="utf-8")
    replace(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [path]

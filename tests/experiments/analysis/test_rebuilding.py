"""Tables of documents and results, made again from the committed files."""

import re

import pytest

from experiments.analysis import hypotheses, rebuilding
from experiments.analysis.rebuilding import RESULTS, TEMPLATES, differences, document, library_of
from experiments.config import RunConfig, with_fields
from hasa_jax import UserError
from tests.experiments.analysis.test_hypotheses import summary_of
from tests.experiments.analysis.workdirs import records, write
from tests.support.scripts import ROOT

MARKED = "Before.\n\n<!-- table: {} -->\n{}<!-- end -->\n\nAfter.\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout with two workdirs, of two policies and of a third."""
    results = tmp_path / RESULTS
    write(results / "one", records("uniform", [0.1, 0.2]) + records("hasa", [0.3, 0.4]))
    write(results / "two", records("random", [0.5, 0.6]))
    (results / "rebuild.toml").write_text(
        '[references]\none = "hasa"\n[studies.both]\nfolders = ["one", "two"]\n',
        encoding="utf-8",
    )
    (tmp_path / TEMPLATES).mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(MARKED.format("one headline", "old\n"), encoding="utf-8")
    (tmp_path / "docs" / "plain.md").write_text("No table.\n", encoding="utf-8")
    return tmp_path


def test_a_table_stands_between_its_markers(checkout):
    text = document(MARKED.format("one headline", "old\n"), library_of(checkout), "README.md")
    lines = text.splitlines()
    assert lines[:3] == ["Before.", "", "<!-- table: one headline -->"]
    assert lines[-3:] == ["<!-- end -->", "", "After."]
    assert "\nold\n" not in text
    # The reference is that of rebuild.toml.
    assert any(re.match(r"\| hasa +\| +35.00 .*\| reference", line) for line in lines)
    # Written again, nothing changes.
    assert document(text, library_of(checkout), "README.md") == text


def test_a_table_of_a_study_has_the_arms_of_its_workdirs(checkout):
    text = document(MARKED.format("both headline", ""), library_of(checkout), "README.md")
    lines = text.splitlines()
    for start in (r"uniform +\| +15.00", r"hasa +\| +35.00 .*\| reference", r"random +\| +55.00"):
        assert any(re.match(r"\| " + start, line) for line in lines)


def test_templates_are_filled_in(checkout):
    (checkout / TEMPLATES / "own.md").write_text(
        "A = one\n\n| {A; headline; uniform; mean %} | {one; headline; uniform; Δ mean; .1f} |"
        " {raw.json; seconds; .2f} | {own.csv; b*; share; .0%} | {own.csv; b*; name} |\n",
        encoding="utf-8",
    )
    (checkout / "raw.json").write_text('{"seconds": 1.234}', encoding="utf-8")
    (checkout / "own.csv").write_text("name,share\na,1\nb*,0.5\n", encoding="utf-8")
    text = document("<!-- template: own -->\n<!-- end -->\n", library_of(checkout), "README.md")
    assert r"| 15.00 [0, 79] | -20.0 | 1.23 | 50% | b\* |" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- table: one headline -->\n", "a beginning and no end"),
        (MARKED.format("none headline", ""), "`none headline` gives no table: .* does not exist"),
        (MARKED.format("one speed", ""), "have no table 'speed': name one of headline"),
        (MARKED.format("one", ""), "`one` gives no table"),
        ("<!-- template: none -->\n<!-- end -->", "`none` gives no table"),
        ("<!-- template: place -->\n<!-- end -->", "no row 'fjord' with a column 'mean %'"),
        ("<!-- template: number -->\n<!-- end -->", "is no number but 'reference'"),
        ("<!-- template: form -->\n<!-- end -->", "has not the form"),
        ("<!-- template: file -->\n<!-- end -->", "own.csv has not one row 'a'"),
    ],
)
def test_markers_that_name_no_table_are_refused(text, expected, checkout):
    for name, place in {
        "place": "{one; headline; fjord; mean %}",
        "number": "{one; headline; hasa; verdict; .2f}",
        "form": "{one; headline}",
        "file": "{own.csv; a; share; .2f}",
    }.items():
        (checkout / TEMPLATES / f"{name}.md").write_text(place, encoding="utf-8")
    with pytest.raises(UserError, match=expected) as caught:
        document(text, library_of(checkout), "README.md")
    assert str(caught.value).startswith("README.md: ")


def test_files_are_written_or_compared(checkout, monkeypatch, capsys):
    monkeypatch.setattr(rebuilding, "ROOT", checkout)
    check = with_fields(RunConfig(), {"check": True})
    readme = (checkout / "README.md").read_bytes()
    with pytest.raises(UserError, match=r"3 files are not what .*: run rebuild without `check`"):
        rebuilding.rebuild(check)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "differs: experiments/results/one/table.md (it is missing)",
        "differs: experiments/results/two/table.md (it is missing)",
        "differs: README.md, line 4: old",
    ]
    assert (checkout / "README.md").read_bytes() == readme
    rebuilding.rebuild(RunConfig())
    assert (checkout / RESULTS / "one" / "table.md").exists()
    capsys.readouterr()
    rebuilding.rebuild(check)
    assert capsys.readouterr().out == "every table and picture is what the results make\n"
    monkeypatch.setattr(rebuilding, "comparable", lambda: False)
    rebuilding.rebuild(check)
    assert capsys.readouterr().out.splitlines()[-1] == "every table is what the results make"


def test_documents_of_folders_and_indented_tables_are_read(checkout):
    nested = checkout / "docs" / "tutorial" / "first.md"
    nested.parent.mkdir()
    nested.write_text("* One\n\n  <!-- table: one headline -->\n  <!-- end -->\n", encoding="utf-8")
    found = {str(own.path): own for own in differences(library_of(checkout), ["documents"])}
    lines = found["docs/tutorial/first.md"].content.decode().splitlines()
    assert lines[2] == "  <!-- table: one headline -->"
    assert lines[4].startswith("  | policy")
    assert lines[-1] == "  <!-- end -->"
    text = MARKED.format("one headline", "").replace("<!-- end", "<!-- ends")
    with pytest.raises(UserError, match="a beginning and no end"):
        document(text.replace("<!-- table", "  <!-- table"), library_of(checkout), "README.md")


def test_files_that_are_no_longer_made_are_named(checkout, monkeypatch, capsys):
    monkeypatch.setattr(rebuilding, "ROOT", checkout)
    rebuilding.rebuild(RunConfig())
    old = checkout / RESULTS / "two" / "by_size.md"
    old.write_text("old", encoding="utf-8")
    (checkout / RESULTS / "two" / "notes.md").write_text("of a person", encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(UserError, match="1 files are no longer made of the results: remove them"):
        rebuilding.rebuild(with_fields(RunConfig(), {"check": True}))
    said = "not made of the results, so remove it: experiments/results/two/by_size.md"
    assert capsys.readouterr().out.splitlines() == [said]
    old.unlink()
    rebuilding.rebuild(with_fields(RunConfig(), {"check": True}))


def test_hypotheses_are_made_of_their_workdirs(checkout):
    folder = write(checkout / RESULTS / "controls", summary_of())
    path = checkout / RESULTS / "rebuild.toml"
    path.write_text('[hypotheses]\nfolders = ["controls"]\n', encoding="utf-8")
    library = library_of(checkout)
    (made,) = differences(library, ["tables of studies"])
    hypotheses.write(folder)
    assert made.content == (folder / "hypotheses.md").read_bytes()
    assert differences(library, ["tables of studies"]) == []
    text = document(MARKED.format("controls hypotheses", ""), library, "README.md")
    assert "| beyond size | hasa - inverse_size " in text
    path.write_text("", encoding="utf-8")
    assert [own.name for own in rebuilding.leftover(library_of(checkout))] == ["hypotheses.md"]


def test_without_a_checkout_there_is_nothing_to_make(tmp_path):
    with pytest.raises(UserError, match=r"rebuild.toml does not exist: run rebuild in a checkout"):
        library_of(tmp_path)
    (tmp_path / RESULTS).mkdir(parents=True)
    (tmp_path / RESULTS / "rebuild.toml").write_text("a = ", encoding="utf-8")
    with pytest.raises(UserError, match=r"rebuild.toml is damaged"):
        library_of(tmp_path)


def test_documents_are_what_the_committed_results_make():
    """A difference is mended by `python -m experiments.rebuild`."""
    found = differences(library_of(ROOT), ["documents"])
    assert [str(file.path) for file in found] == []


@pytest.mark.slow
def test_all_files_are_what_the_committed_results_make():
    artefacts = [name for name in rebuilding.ARTEFACTS if name != "pictures"]
    assert [str(file.path) for file in differences(library_of(ROOT), artefacts)] == []


def test_every_file_of_figures_has_its_command_and_is_there():
    library = library_of(ROOT)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / TEMPLATES).glob("*.md")]
    read = {name for text in texts for name in re.findall(r"[\w/]+\.(?:csv|json)", text)}
    assert read == set(library.studies["figures"])
    assert all((ROOT / name).is_file() for name in read)


def test_no_table_of_numbers_is_typed_by_hand():
    """A cell that is a number with decimals is made from a file, between markers."""
    marked = re.compile(r"<!-- (?:table|template|ranks): .*?<!-- end -->", re.DOTALL)
    number = re.compile(r"\|\s*[-+]?\d*\.\d+\s*(?:%|±[^|]*)?\|")
    typed = [
        (path.name, line)
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for line in marked.sub("", path.read_text(encoding="utf-8")).splitlines()
        if line.startswith("|") and number.search(line)
    ]
    assert typed == []
    assert number.search("| a | 12.50 ± 0.30 | b |")

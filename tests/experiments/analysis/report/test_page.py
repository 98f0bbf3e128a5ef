"""The page as text: well made, complete, and free of what names of clients would do."""

import html.parser
import importlib
import itertools
import re

import pytest

from experiments.analysis import results
from experiments.analysis.pictures import PICTURES, Lacking, Picture
from experiments.analysis.report import page, writing
from experiments.analysis.report.embedding import script_hash
from experiments.rooms import ComparisonConfig
from experiments.study import app
from hasa_jax.base import UserError
from tests.experiments.analysis.report.populations import HOSTILE, write_population
from tests.experiments.analysis.workdirs import records, write
from tests.support.scripts import run

VOID = {"meta", "input", "br", "img", "link"}


class Reader(html.parser.HTMLParser):
    """Gathers the elements of a page, and refuses any that is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def text(report):
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reader(text):
    found = Reader()
    found.feed(text)
    assert found.open == []
    return found


def test_names_are_texts(text, reader):
    assert len(reader.all("script")) == 2
    assert not reader.all("img", "b")
    assert not any(name.startswith("on") for _, own in reader.elements for name in own)
    shown = " ".join(reader.texts)
    for name in (*HOSTILE[:6], "turned \\u202eround", "escape \\x1b[2J", *HOSTILE[9:]):
        assert " ".join(name.split()) in shown
    assert "49" not in re.findall(r">([^<]*)</th>", text)


def test_nothing_is_loaded(text, reader):
    links = [
        own.get(name, "")
        for own in reader.all("a", "link", "script", "image", "use")
        for name in ("href", "src", "xlink:href")
    ]
    assert all(link == "" or link.startswith(("#", "data:image/png")) for link in links)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_only_its_own_script_runs(text):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    assert f"script-src '{script_hash(script)}'" in policy.replace("&#39;", "'")
    assert "default-src 'none'" in policy


def test_elements_are_named_once_and_in_order(text, reader):
    ids = [own["id"] for _, own in reader.elements if "id" in own]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for tag in ("header", "nav", "main", "footer"):
        assert len(reader.all(tag)) == 1
    targets = {own["for"] for own in reader.all("label")}
    assert {own["id"] for own in reader.all("input", "select")} == targets
    assert {own["href"][1:] for own in reader.all("a")} <= set(ids)


def test_every_part_is_there(reader):
    parts = [own["id"] for own in reader.all("section")]
    assert parts == [
        *("verdict", "headline", "tables", "pictures", "ledger", "clients"),
        *("settings", "origin", "remarks"),
    ]
    shown = " ".join(reader.texts)
    for words in (
        "f1000" not in shown and f"{2:064x}",
        "--num_clients=13",
        "0.10.2",
        "3 rows were",
    ):
        assert words in shown


@pytest.mark.parametrize("name", ["coverage", "plots", "report", "tables"])
def test_folders_are_named_without_a_flag(name, monkeypatch):
    front_door = importlib.import_module(f"experiments.{name}")
    seen = []
    monkeypatch.setattr(app, "run_app", lambda main, positional: seen.append((main, positional)))
    front_door.start()
    assert seen == [(front_door.main, front_door.POSITIONAL)] == [(front_door.main, "workdir")]


def test_the_report_of_several_workdirs_replaces_none_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "page_of", lambda sources, comparison: f"{len(sources)} folders")
    folders = [write(tmp_path / name) for name in "ab"]
    for some, name in ((folders[:1], "report.html"), (folders, "merged_report.html")):
        assert writing.write(some, ComparisonConfig()) == folders[0] / name
    assert (folders[0] / "report.html").read_text(encoding="utf-8") == "1 folders"


def test_what_cannot_share_panels_is_drawn_by_workdirs(tmp_path, monkeypatch):
    """And a damaged file that a picture needs is a line, not the end."""
    seen = {}

    def make(name):
        def drawn(groups):
            seen[name] = [own.folders for own in groups]
            raise Lacking("nothing is drawn")

        return drawn

    known = {
        name: Picture(name, "", make(name), apart=name == "apart") for name in ("apart", "one")
    }
    monkeypatch.setattr(page.pictures, "PICTURES", known | {"need": PICTURES["need"]})
    folders = [
        write(tmp_path / f"{epochs}", records(f"p{epochs}", [0.1]), training_of(epochs))
        for epochs in (1, 5)
    ]
    (folders[0] / "need.csv").write_bytes(b"\xff\xfe")
    sources = list(map(results.source_of, folders))
    drawn, lacking = page.pictures.draw_all(results.merge(sources), sources)
    assert not drawn
    assert seen == {"apart": [(own,) for own in folders], "one": [tuple(folders)]}
    assert "need.csv is damaged: run need again" in dict(lacking)[PICTURES["need"].title]


def test_the_glance_says_how_many_seeds_are_common(tmp_path, monkeypatch):
    monkeypatch.setattr(page.pictures, "draw_all", lambda found, sources: ((), ()))
    first = records("uniform", [0.1, 0.2])
    for own, said in (([0.1, 0.2], "2"), ([0.1], "1")):
        folder = write(tmp_path / said, first + records("hasa", own))
        text = page.page_of([results.source_of(folder)], ComparisonConfig())
        assert f"<dt>Seeds</dt><dd>{said}</dd>" in text
    folder = write(tmp_path / "none", first + records("hasa", [0.1], first_seed=7))
    text = page.page_of([results.source_of(folder)], ComparisonConfig())
    assert "<dt>Seeds</dt><dd>none in common</dd>" in text
    assert "no matched seed." in text


def training_of(epochs):
    return {"training": {"local_epochs": epochs}}


def test_bad_input_is_one_line(tmp_path):
    one = write(tmp_path / "one")
    other = write(tmp_path / "other", data_sha256={"0": "x", "1": "y"})
    empty = tmp_path / "empty"
    empty.mkdir()
    for folders, words in (
        ((empty,), "does not exist: run train or compare into that folder"),
        ((tmp_path / "none",), "does not exist"),
        ((one, other), "has other data than"),
        ((), "name one or more folders of results"),
    ):
        done = run("report", f"--workdir={','.join(map(str, folders))}")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
    assert not (one / "report.html").exists()


def test_a_target_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "page_of", lambda sources, comparison: "text")
    folder = write(tmp_path / "w")
    (folder / "report.html").mkdir()
    with pytest.raises(UserError, match=r"report\.html cannot be written \(Is a directory\)"):
        writing.write([folder], ComparisonConfig())
    (folder / "report.html").rmdir()
    (folder / "report.html").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        writing.write([folder], ComparisonConfig())
    assert not (tmp_path / "elsewhere").exists()


def test_without_matplotlib_there_are_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(page.pictures, "can_draw", lambda: False)
    done = run("report", f"--workdir={write(tmp_path / 'w')}")
    assert done.returncode == 0, done.stderr
    assert "the report has no pictures: matplotlib is not installed" in done.stdout
    text = (tmp_path / "w" / "report.html").read_text(encoding="utf-8")
    assert "Accuracy over rounds: matplotlib is not installed" in text
    assert "<svg" not in text


def test_a_long_table_of_clients_is_left_to_the_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(page.pictures, "draw_all", lambda found, sources: ((), ()))
    folder = write_population(tmp_path, [f"c{n}" for n in range(101)], seeds=1, rounds=(3,))
    text = page.page_of([results.source_of(folder)], ComparisonConfig())
    assert 'id="clients"' in text
    assert ">c100</th>" not in text
    assert '"c100"' in text

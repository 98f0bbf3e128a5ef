"""Texts that a terminal, Markdown, a spreadsheet or a picture would obey are only seen."""

import csv
import io
import unicodedata

import hypothesis
import pytest
from hypothesis import strategies

from hasa_jax.simulation import escapes
from hasa_jax.simulation.writers import CsvWriter

HOSTILE = [
    "=cmd|'/C calc'!A0",
    "+1+2",
    "-2+3",
    "@SUM(1)",
    " =1",
    "\t=1",
    "\r=1",
    "\uff1d1",
    "'=1",
    "''",
    "a;=1",
    'a"; "=1',
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "a\u202eb",
    "a\u2066b",
    "a\nb\r\nc",
    "a\u2028b",
    "a\x00b",
    "\udc80",
    "\\x1b",
    "\\",
    "a\\\\x41",
    "a,b",
    'a "quoted" name',
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "a|b",
    "`rm`",
    "**b** _i_ [x](y)",
    "$x^{$",
    "東京 Zürich café",
    "می‌خواهم",
    "",
]
texts = strategies.text(
    strategies.one_of(
        strategies.characters(), strategies.sampled_from("='+-@;\"\\x1b \n\t\x1b\u202e|,")
    )
)


def obeyed(text):
    """Returns the characters of a text that a terminal would obey."""
    kept = "\u200c\u200d"
    return [
        c
        for c in text
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in kept
    ]


def read_back(texts, folder):
    """Writes texts as a CSV file does; returns the file, and what `csv` reads."""
    writer = CsvWriter(folder)
    writer.write("metrics", [{"client": text, "round": 1} for text in texts])
    writer.publish()
    content = (folder / "metrics.csv").read_bytes().decode("utf-8")
    return content, [record["client"] for record in csv.DictReader(io.StringIO(content))]


def test_a_csv_file_gives_every_text_back(tmp_path):
    content, cells = read_back(HOSTILE, tmp_path)
    assert [escapes.from_csv_cell(cell) for cell in cells] == HOSTILE
    assert len(content.splitlines()) == len(HOSTILE) + 1
    assert obeyed(content.replace("\n", "")) == []
    for cell in cells:
        for part in cell.split(";"):
            assert not part.lstrip(" \"'").startswith(("=", "+", "-", "@", "\uff1d")) or (
                cell.startswith("'") and part == cell.split(";")[0]
            )


@pytest.mark.parametrize("text", ["North", "client 1", "0.5", "inverse_hasa@entropy", "a/b.c", "é"])
def test_a_usual_text_is_not_changed(text):
    assert escapes.csv_cell(text) == escapes.terminal(text) == escapes.one_line(text) == text
    assert escapes.markdown(text) == escapes.picture(text) == text
    assert escapes.from_csv_cell(text) == text


@hypothesis.given(texts)
def test_any_text_comes_back_from_a_cell(text):
    cell = escapes.csv_cell(text)
    assert obeyed(cell) == []
    assert escapes.from_csv_cell(cell) == text
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@"))


@hypothesis.given(texts)
def test_no_medium_obeys_a_text(text):
    assert obeyed(escapes.terminal(text).replace("\n", "")) == []
    assert obeyed(escapes.one_line(text)) == []
    shown = escapes.markdown(text)
    assert obeyed(shown) == []
    assert "<" not in shown
    assert obeyed(escapes.picture(text)) == []
    assert obeyed(escapes.tag(text)) == []


def test_escapes_of_a_terminal():
    assert (
        escapes.terminal("a\x1b[2J\nb\x9bc\u202e\udc80")
        == r"a\x1b[2J" + "\n" + r"b\x9bc\u202e\udc80"
    )
    assert escapes.one_line("a\nb\tc") == r"a\x0ab\x09c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("`x`", r"\`x\`"),
        ("<script>", "&lt;script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("*b* _i_", r"\*b\* \_i\_"),
        ("in_word", "in_word"),
        ("a\nb", "a b"),
        ("[x](y)", r"\[x\](y)"),
        ("\\|", r"\\\|"),
        ("\x1b[31m", r"\\x1b\[31m"),
    ],
)
def test_escapes_of_markdown(text, expected):
    assert escapes.markdown(text) == expected


def test_parts_of_tags_are_different():
    parts = ["a b", "a_b", "a/b", "../b", "a@b", "a-40-b", "a-b", "a:b", "\x1b", ""]
    tags = [escapes.tag(part) for part in parts]
    assert len(set(tags)) == len(parts)
    assert all("/" not in tag for tag in tags)
    assert escapes.tag("hasa@entropy") == "hasa-40-entropy"
    assert escapes.tag("a-b") == "a-b"


def test_texts_of_pictures():
    assert escapes.picture("$x^{$") == r"\$x^{\$"
    assert escapes.picture("_hidden") == " _hidden"
    assert escapes.picture("long " * 30, 10) == "long long…"
    assert escapes.picture("a\nb\x1b") == r"a b\x1b"

import csv
import io
import os
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasa_jax import UserError
from hasa_jax.datasets.csv_rows import (
    columns_of,
    header_of,
    named_columns,
    rows_of,
)


def test_rows_have_the_number_of_their_first_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfa,b\r\n"one, two",1\r\n\r\n"three\r\nfour ""five""",2\r\nsix,3\r\n'
    )
    assert list(rows_of(path)) == [
        (1, ["a", "b"]),
        (2, ["one, two", "1"]),
        (4, ['three\r\nfour "five"', "2"]),
        (6, ["six", "3"]),
    ]
    assert next(fields for _, fields in named_columns(path, ("b", "a"))) == ("1", "one, two")


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv does not exist"):
        list(rows_of(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="is a directory"):
        list(rows_of(tmp_path))


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"a\.csv cannot be read .Permission denied"):
        list(rows_of(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"title,publication\n", "has a header but no rows"),
        (b"title,publication\na b,x\ncaf\xe9 b,x\n", "line 3 of .* is not UTF-8"),
        (b"\xef\xbb\xbftitle,publication\n\xff,x\n", "line 2 of .* is not UTF-8"),
        (b"title,publication\na \0b,x\n", "line 2 of .* has a NUL"),
        (b'title,publication\na b,x\n"a b,x\n', "line 3 of .* is not valid CSV"),
        (b'title,publication\n"a" b,x\n', "line 2 of .* is not valid CSV"),
        (b"heading,publication\na b,x\n", r"column 'title' is not there .*\['heading', 'pub"),
        (b"title,journal\na b,x\n", "column 'publication' is not there"),
        (b"title,title,publication\na,b,x\n", "column 'title' is twice"),
        (b"title,publication\na b,x\n\na b\n", "line 4 of .*: 1 columns where the header has 2"),
        (b"title,publication\na, b,x\n", "line 2 of .*: 3 columns"),
    ],
)
def test_wrong_files_are_refused(tmp_path, content, message):
    path = tmp_path / "wrong.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        list(named_columns(path, ("title", "publication")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("sep=;\r\na;b\r\n1;x, y\r\n", "utf-8"),
        ('"sep=;"\r\na;b\r\n1;x, y\r\n', "utf-8-sig"),
        ('SEP=,\na,b\n1,"x, y"\n', "utf-8"),
        ("sep=:\ra:b\r1:x, y\r", "utf-8"),
        ("a;b\n1;x, y\n", "utf-8-sig"),
        ("a\tb\n1\tx, y\n", "utf-16"),
        ("a\tb\n1\tx, y\n", "utf-32"),
        ("a|b\n1|x, y\n", "utf-8"),
        ('a, b\n1, "x, y"\n', "utf-8"),
        ('"a"; "b"\n"1"; "x, y"\n', "utf-8"),
        (' a , b \n1, "x, y"\n', "utf-8"),
        ('\n\na,b\n\n1,"x, y"\n\n', "utf-8"),
    ],
)
def test_files_of_spreadsheets(tmp_path, content, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode(encoding))
    ((_, fields),) = named_columns(path, ("a", "b"))
    assert fields == ("1", "x, y")


def test_a_line_that_names_the_separator_counts_as_a_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sep=;\na;b\n1;2\n3\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 4 of .*: 1 columns .* the row is short"):
        list(named_columns(path, ("a", "b")))


def test_fields_of_any_length(tmp_path):
    path, usual = tmp_path / "a.csv", csv.field_size_limit()
    path.write_text(f'a,b\n1,{"x " * 200_000}\n2,"{"y," * 200_000}"\n', encoding="utf-8")
    assert [len(b) for _, (b,) in named_columns(path, ("b",))] == [400_000, 400_000]
    path.write_text(f"{'z' * 200_000},b\n1,2\n", encoding="utf-8")
    assert [fields for _, fields in named_columns(path, ("b",))] == [("2",)]
    assert csv.field_size_limit() == usual


def test_a_wrong_column_of_many(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{i}{'x' * (i < 2) * 999}" for i in range(100_000)) + "\n1\n")
    with pytest.raises(UserError, match=r"'text' is not there .*'c9'\] and 99990 more") as caught:
        list(named_columns(path, ("text",)))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_damaged_texts_of_two_bytes(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\n1,2\n3,4\n".encode(encoding) + b"\x01")
    with pytest.raises(UserError, match=f"line 4 of .* is not {encoding.upper()}: save"):
        list(named_columns(path, ("a", "b")))
    path.write_bytes("a,b\n1,2\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="NUL character"):
        list(named_columns(path, ("a", "b")))


letters = st.text(st.sampled_from("ab 1.,;\t|\"'=\n\r\u00fc\u6211\U0001f525"), max_size=8)
kinds = {
    "separator": st.sampled_from(",;\t|"),
    "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    "ends": st.sampled_from(["\n", "\r\n", "\r"]),
    "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    "first": st.sampled_from(["", "sep={}", '"sep={}"']),
}


@given(rows=st.lists(st.tuples(letters, letters, letters), min_size=1, max_size=5), **kinds)
@settings(max_examples=300, deadline=None)
def test_any_kind_of_file_has_the_same_fields(rows, separator, quoting, ends, encoding, first):
    """Separators, quotes, line ends and encodings; fields may have any of these characters."""
    if any({"\r", "\n"} & set(field) for row in rows for field in row):
        quoting = csv.QUOTE_ALL  # The csv module quotes only fields with line ends of its own.
    file = io.StringIO(newline="")
    file.write(first.format(separator) + ends * bool(first))
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=ends)
    writer.writerows([("text", "a label", "who"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.csv"
        path.write_bytes(file.getvalue().encode(encoding))
        found = [fields for _, fields in named_columns(path, ("who", "text"))]
    assert found == [(who, text) for text, _, who in rows]


def test_columns_are_those_of_the_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('sep=;\nb; a ;c\n1;"x;\ny";3\n\n4;z;6\n', encoding="utf-8")
    assert columns_of(path, ["a", "b"]) == ([3, 6], [["x;\ny", "z"], ["1", "4"]])
    found = [*zip(*named_columns(path, ["a", "b"]), strict=True)]
    assert found[0] == (3, 6)
    assert header_of(path) == ["b", "a", "c"]


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n1,2\n3\n", "a,c\n1,2\n", "a,a\n1,2\n"])
def test_columns_are_refused_as_rows_are(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    messages = []
    for read in (columns_of, lambda *given: [*named_columns(*given)]):
        with pytest.raises(UserError) as caught:
            read(path, ["a", "b"])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]

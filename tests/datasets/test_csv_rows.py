import os

import pytest

from hasa_jax import UserError
from hasa_jax.datasets.csv_rows import named_columns, rows_of


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

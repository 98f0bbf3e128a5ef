"""Parts of messages."""

import pytest

from hasa_jax import UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.messages import first_of, one_line


def test_a_message_is_one_line_of_bounded_length():
    assert one_line("a\n  b") == "a b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line("x" * 10**6)) < 500


def test_of_many_names_the_first_ten_are_listed():
    assert first_of([]) == "none"
    assert first_of(["a", 2, "it's"]) == "['a', '2', \"it's\"]"
    names = [f"column {number}" for number in range(100_000)]
    listed = first_of(names)
    assert listed.startswith("['column 0', 'column 1', ")
    assert listed.endswith("'column 9'] and 99990 more")
    assert first_of(["x" * 10**6]) == f"['{'x' * 40}']"
    assert first_of(["\x1b[2J\n"]) == r"['\x1b[2J\n']"


def test_a_table_of_100_000_columns_has_a_short_message(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{number}" for number in range(100_000)) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"'c9'.* and 99990 more") as caught:
        csv_rows.table_of(path, ["label"])
    assert len(str(caught.value)) < 500

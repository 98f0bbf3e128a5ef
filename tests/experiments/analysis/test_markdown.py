"""Tables that fit a terminal, with names that are only seen."""

import pytest

from experiments.analysis import markdown


def test_a_table_is_as_wide_as_its_texts():
    assert markdown.table(["arm", "x"], [["a", "1.0"], ["東京", "2"]]).splitlines() == [
        "| arm  | x   |",
        "|------|-----|",
        "| a    | 1.0 |",
        "| 東京 | 2   |",
    ]


def test_numbers_stand_at_the_right():
    assert markdown.table(["a", "least"], [["b", "1"]], numbers=True).splitlines() == [
        "| a | least |",
        "|---|------:|",
        "| b |     1 |",
    ]


@pytest.mark.parametrize("name", ["a|b", "a\nb", "<script>", "`x`", "\x1b[2J", "*a* _b_", "=1+1"])
def test_a_name_stays_in_its_cell(name):
    made = markdown.table(["arm", "x"], [[name, "1"]])
    assert len(made.splitlines()) == 3
    assert "\x1b" not in made
    assert "<" not in made
    line = made.splitlines()[2].replace("\\|", "")
    assert line.count("|") == 3


def test_lines_are_broken():
    for text in (markdown.paragraph("word " * 60), markdown.notes(["word " * 60, "end"])):
        assert max(map(len, text.splitlines())) <= markdown.WIDTH
    assert markdown.notes(["a", "b"]) == "- a\n- b"

"""Tables that fit a terminal, with names that are only seen."""

from experiments.analysis import markdown


def test_a_grid_is_as_wide_as_its_texts():
    cells = [["arm", "x"], ["a", "1.0"], ["東京", "2"]]
    assert markdown.aligned(cells, [False, False]).splitlines() == [
        "| arm  | x   |",
        "|------|-----|",
        "| a    | 1.0 |",
        "| 東京 | 2   |",
    ]


def test_numbers_stand_at_the_right():
    assert markdown.aligned([["a", "least"], ["b", "1"]], [False, True]).splitlines() == [
        "| a | least |",
        "|---|------:|",
        "| b |     1 |",
    ]


def test_lines_are_broken():
    for text in (markdown.paragraph("word " * 60), markdown.notes(["word " * 60, "end"])):
        assert max(map(len, text.splitlines())) <= markdown.WIDTH
    assert markdown.notes(["a", "b"]) == "- a\n- b"

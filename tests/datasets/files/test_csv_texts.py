"""The user's own texts: the meaning of columns, and rows that are not valid."""

import csv
import dataclasses

import jax
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import csv as build
from hasa_jax.datasets.files.csv_texts import csv_texts
from hasa_jax.datasets.partitioned import partitioned

ROWS = [
    {"text": f"{subject} {verb} it", "label": verb, "site": subject}
    for subject in ("we", "they", "you", "some")
    for verb in ("like", "draw", "see")
    for _ in range(5)
]


def write(folder, rows=ROWS):
    path = folder / "mine.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def labelled(folder, labels):
    return write(folder, [{"text": "so be it", "label": label} for label in labels])


def test_texts_and_labels_without_clients(tmp_path):
    pool = csv_texts(write(tmp_path))
    assert pool.inputs[0] == "we like it"
    assert pool.classes == ("draw", "like", "see")
    assert [pool.classes[target] for target in pool.targets] == [row["label"] for row in ROWS]
    assert pool.group_names == ("all",)
    assert not pool.is_test.any()


def test_a_client_column_makes_groups(tmp_path):
    pool = csv_texts(write(tmp_path), client_column="site")
    assert pool.group_names == ("some", "they", "we", "you")
    assert [pool.group_names[group] for group in pool.groups] == [row["site"] for row in ROWS]


def test_clients_are_natural_if_they_are_named(tmp_path):
    key, arguments = jax.random.key(0), {"data_path": str(write(tmp_path)), "max_length": 6}
    assert build(key, client_column="site", **arguments).client_names[0] == "some"
    made = build(key, num_clients=3, **arguments)
    assert made.client_names == ("client_0", "client_1", "client_2")
    assert made.num_tokens > 2


def test_a_column_called_publication_is_not_the_client_by_its_name(tmp_path):
    rows = [row | {"publication": row["site"]} for row in ROWS]
    assert csv_texts(write(tmp_path, rows)).group_names == ("all",)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["2.5", "10", "1e1"], ("2.5", "10")),
        (["0", "1", "0.0", "1.0", "-0"], ("0", "1")),
        (["1.50", "01.5", "2"], ("01.5", "2")),
        (["12345678901234567890", "12345678901234567891"], None),
        (["1_0", "10", "\u0661\u0660"], ("10", "1_0", "\u0661\u0660")),
        (["0", "0.0", "none"], ("0", "none")),
        (["cafe\u0301", "caf\u00e9\u200b", "tea"], ("caf\u00e9", "tea")),
        (["10", "9", "none"], ("10", "9", "none")),
        (["10", "9", "nan"], ("10", "9", "nan")),
        ([" b  c ", "b c", "a"], ("a", "b c")),
    ],
)
def test_classes_are_sorted(tmp_path, labels, classes):
    pool = csv_texts(labelled(tmp_path, labels))
    assert pool.classes == (tuple(labels) if classes is None else classes)
    assert bool(pool.notes) == (
        len({" ".join(label.split()) for label in labels}) > len(pool.classes)
    )


def test_clients_that_are_equal_numbers_are_one(tmp_path):
    rows = [{"text": "a b", "label": "xy"[i % 2], "site": (3, 1.0, "3.0")[i % 3]} for i in range(9)]
    pool = csv_texts(write(tmp_path, rows), client_column="site")
    assert pool.group_names == ("1.0", "3")
    assert pool.groups.tolist() == [1, 0, 1] * 3
    assert pool.notes == ("1 spellings of column 'site' were joined with others: '3.0' is '3'",)


def test_bad_rows_are_counted_or_skipped(tmp_path):
    path = write(tmp_path)
    with path.open("a", encoding="utf-8") as file:
        file.write("so be it\n<br>,like,we\n,like,we\nso,,we\nso be,see,lone\n")
    with pytest.raises(UserError) as caught:
        csv_texts(path)
    assert str(caught.value) == (
        f"4 of 65 rows of {path} cannot be used: line 62 (1 columns where the header has 3; the "
        "row is short; fill it up with separators), line 63 (column 'text' is empty; fill it in or "
        "remove the row), line 64 (column 'text' is empty; fill it in or remove the row) and 1 "
        "more; correct or remove them, or set `bad_rows` to skip"
    )
    pool = csv_texts(path, "text", "label", "site", "skip")
    assert len(pool.inputs) == 61
    assert pool.notes[0].startswith(f"4 of 65 rows of {path} were skipped: line 62 (1 columns")
    with pytest.raises(UserError, match="group 'lone' has 1 examples, but needs 10"):
        partitioned(dataclasses.replace(pool, skips_small_groups=False), jax.random.key(0))
    data = partitioned(pool, jax.random.key(0))
    assert data.client_names == ("some", "they", "we", "you")
    assert data.notes[1] == "1 clients with fewer than 10 examples were left out: 'lone' (1)"
    with pytest.raises(UserError, match="`bad_rows` is 'drop': use one of refuse, skip"):
        csv_texts(path, "text", "label", None, "drop")


def test_other_columns_and_markup(tmp_path):
    rows = [{"a": "<b>now</b> &amp;\u00a0 then", "b": 1}, {"a": "never", "b": 2}]
    pool = csv_texts(write(tmp_path, rows), text_column="a", label_column="b")
    assert pool.inputs.tolist() == ["now & then", "never"]


@pytest.mark.parametrize(
    ("rows", "arguments", "expected"),
    [
        (
            [{"text": "a", "label": 1}, {"text": " <br>", "label": 2}],
            {},
            "line 3 .*'text' is empty",
        ),
        ([{"text": "a", "label": ""}], {}, "line 2 .*'label' is empty"),
        ([{"text": "a", "label": 1}, {"text": "b", "label": 1}], {}, r"only one class \('1'\)"),
        ([{"words": "a", "label": 1}], {}, "'text' is not there .*'words'"),
        (ROWS, {"client_column": "publication"}, "'publication' is not there"),
        (ROWS, {"client_column": "label"}, "'label' is used for two arguments"),
        (
            [r | {"site": "one"} for r in ROWS],
            {"client_column": "site"},
            r"only one client \('one'",
        ),
        ([r | {"site": ""} for r in ROWS], {"client_column": "site"}, "line 2 .*'site' is empty"),
    ],
)
def test_wrong_rows_are_refused(tmp_path, rows, arguments, expected):
    with pytest.raises(UserError, match=expected) as caught:
        csv_texts(write(tmp_path, rows), **arguments)
    assert "\n" not in str(caught.value)

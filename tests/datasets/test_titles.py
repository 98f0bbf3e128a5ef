import csv

import jax
import numpy as np
import pytest

from hasa_jax import UNKNOWN, UserError
from hasa_jax.datasets import fingerprint, titles
from hasa_jax.datasets.files.csv_titles import csv_titles
from hasa_jax.datasets.next_word import build
from hasa_jax.datasets.titles import read_titles

ROWS = [
    (f"{subject} {verb} the {thing}", client)
    for client, subject in (("zoo", "we"), ("abbey", "they"))
    for verb in ("see", "like", "draw")
    for thing in ("cat", "dog")
]


def write(path, rows, header=("title", "publication")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "titles.csv", ROWS)


def test_clients_are_in_alphabetical_order_and_titles_in_file_order(path):
    found = read_titles(path)
    assert list(found) == ["abbey", "zoo"]
    assert found["zoo"][:2] == [["we", "see", "the", "cat"], ["we", "see", "the", "dog"]]


def test_dataset(path):
    data = titles(jax.random.key(0), data_path=str(path), min_count=1, max_length=5)
    assert data.client_names == ("abbey", "zoo")
    assert data.train.inputs.shape == (8, 5)
    np.testing.assert_array_equal(data.train.num_examples, [4, 4])
    np.testing.assert_array_equal(data.test.num_examples, [1, 1])


def test_the_order_of_clients_in_the_file_does_not_matter(path, tmp_path):
    mixed = [row for pair in zip(ROWS[:6], ROWS[6:], strict=True) for row in pair]
    other = write(tmp_path / "mixed.csv", mixed)
    key = jax.random.key(0)
    assert fingerprint(titles(key, data_path=path)) == fingerprint(titles(key, data_path=other))


def test_other_columns_quotes_and_line_breaks(tmp_path):
    text = (
        "\ufeffauthor,id,text\r\n"
        'ann,1,"one, two"\r\n\r\n'
        'bob,2,"three\r\nfour ""five"""\r\n'
        "ann,3,<em>Six</em>\u00a0seven\r\n"
    )
    path = tmp_path / "other.csv"
    path.write_bytes(text.encode())
    assert read_titles(path, "text", "author") == {
        "ann": [["one", "two"], ["six", "seven"]],
        "bob": [["three", "four", "five"]],
    }


def test_titles_of_one_word_are_left_out(tmp_path):
    path = write(tmp_path / "t.csv", [*ROWS, ("Word", "zoo")])
    assert len(read_titles(path)["zoo"]) == 6


def test_a_client_of_one_word_titles_is_named(tmp_path):
    path = write(tmp_path / "t.csv", [*ROWS, ("Word", "hermit")])
    with pytest.raises(UserError, match="client 'hermit' has 0 titles of two or more words"):
        titles(jax.random.key(0), data_path=path)


def test_spaces_around_client_names_are_removed(tmp_path):
    path = write(tmp_path / "t.csv", [*ROWS, ("one two", " zoo\u00a0")])
    assert list(read_titles(path)) == ["abbey", "zoo"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"title,publication\na b,x\n ,x\n", "line 3 of .*'title' has no word"),
        (b'title,publication\n"a\nb",x\n<br>?,x\n', "line 4 of .*'title' has no word"),
        (b"title,publication\na b, \n", "line 2 of .*'publication' names no client"),
        (b"title,publication\na b,x\nc d,x\n", "only one client .'x'. in column 'publication'"),
    ],
)
def test_wrong_titles_and_clients_are_refused(tmp_path, content, message):
    path = tmp_path / "wrong.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        titles(jax.random.key(0), data_path=path)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def medium(data_dir):
    return data_dir / "medium" / "medium_data.csv"


def test_medium_rows(medium):
    found = read_titles(medium)
    assert {name: len(texts) for name, texts in found.items()} == {
        "Better Humans": 28,
        "Better Marketing": 242,
        "Data Driven Investor": 777,
        "The Startup": 3032,
        "The Writing Cooperative": 402,
        "Towards Data Science": 1457,
        "UX Collective": 554,
    }
    with open(medium, newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6508  # 16 of them are one word.
    words = {word for texts in found.values() for text in texts for word in text}
    assert not any("<em" in word or "\u00a0" in word or "markup" in word for word in words)


def test_medium_dataset(medium):
    data, vocabulary = build(
        read_titles(medium), jax.random.key(0), vocab_size=0, min_count=2, max_length=16
    )
    np.testing.assert_array_equal(data.train.num_examples, [22, 194, 621, 2426, 322, 1165, 444])
    np.testing.assert_array_equal(data.test.num_examples, [3, 24, 78, 303, 40, 146, 55])
    assert vocabulary.words[:4] == ("the", "to", "a", "of")
    assert 3000 < len(vocabulary.words) < 3250
    assert data.train.num_classes == len(vocabulary.words)
    targets = data.test.targets[data.test.targets >= UNKNOWN]
    assert (targets == UNKNOWN).mean() < 0.2


def test_all_unreadable_rows_are_counted_or_skipped(tmp_path):
    path = write(tmp_path / "t.csv", [*ROWS, *[("\U0001f525\U0001f525", "zoo")] * 30, ("a b", " ")])
    with pytest.raises(UserError) as caught:
        titles(jax.random.key(0), data_path=path)
    message = str(caught.value)
    assert message.startswith(
        f"31 of 43 rows of {path} cannot be used: line 14 (column 'title' has"
    )
    assert "line 16 (" in message
    assert "line 17 (" not in message
    assert "and 28 more; correct or remove them, or set `bad_rows` to skip" in message
    found = csv_titles(path, "title", "publication", bad_rows="skip")
    assert found.clients == read_titles(write(tmp_path / "good.csv", ROWS))
    assert found.notes[0].startswith(f"31 of 43 rows of {path} were skipped: line 14")
    data = titles(jax.random.key(0), data_path=path, min_count=1, bad_rows="skip")
    assert data.notes == found.notes
    only = write(tmp_path / "bad.csv", [("?", "a"), ("!", "b")])
    with pytest.raises(UserError, match="2 of 2 rows"):
        csv_titles(only, "title", "publication", bad_rows="skip")


def test_tiny_clients_are_counted_or_skipped(tmp_path):
    tiny = [("one two", f"blog {i}") for i in range(20)]
    path = write(tmp_path / "t.csv", [*ROWS, *tiny, ("Word", "blog 0")])
    with pytest.raises(
        UserError, match=r"20 of 22 clients have fewer than three titles of two"
    ) as e:
        titles(jax.random.key(0), data_path=path)
    assert "'blog 0' (1), 'blog 1' (1), 'blog 10' (1) and 17 more; add some" in str(e.value)
    found = csv_titles(path, "title", "publication", bad_rows="skip")
    assert list(found.clients) == ["abbey", "zoo"]
    assert found.notes == (
        "1 titles of one word were left out",
        "20 clients with fewer than 3 titles were left out: 'blog 0' (1), 'blog 1' (1), "
        "'blog 10' (1) and 17 more",
    )


def test_notes_of_a_dataset(tmp_path):
    rows = [(title, {"zoo": "1", "abbey": "2"}[client]) for title, client in ROWS]
    path = write(tmp_path / "t.csv", [*rows, ("we see it", "1.0"), ("Word", "2")])
    data = titles(jax.random.key(0), data_path=path)
    assert data.client_names == ("1", "2")
    assert data.notes == (
        "1 spellings of clients were joined with others: '1.0' is '1'",
        "1 titles of one word were left out",
    )
    assert titles(jax.random.key(0), data_path=write(tmp_path / "u.csv", ROWS)).notes == ()


def test_names_of_clients(tmp_path):
    rows = [(title, f"cafe\u0301{client}") for title, client in ROWS]
    rows += [(title, f"caf\u00e9\u200b{client} ") for title, client in ROWS]
    found = csv_titles(write(tmp_path / "t.csv", rows), "title", "publication")
    assert [(name, len(own)) for name, own in found.clients.items()] == [
        ("caf\u00e9abbey", 12),
        ("caf\u00e9zoo", 12),
    ]
    assert found.notes[0].startswith("2 spellings of clients were joined")


def test_titles_in_any_language_and_by_the_english_rule(tmp_path):
    path = write(tmp_path / "t.csv", [("sch\u00f6ne B\u00fccher", "a"), ("\u6211\u7231 AI", "b")])
    assert read_titles(path) == {
        "a": [["sch\u00f6ne", "b\u00fccher"]],
        "b": [["\u6211", "\u7231", "ai"]],
    }
    english = csv_titles(path, "title", "publication", words="english").clients
    assert english == {"a": [["sch", "ne", "b", "cher"]], "b": []}

"""Scores of clients from a file."""

import pytest

from experiments.study.scores import identity_of, read_scores
from hasa_jax import UserError


def file_of(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_scores_are_in_the_order_of_the_clients(tmp_path):
    path = file_of(tmp_path, "score,client,more\n2,b,x\n.5,a,y\n9,c,z\n")
    assert read_scores(path, ("a", "b"), 0).tolist() == [0.5, 2.0]


def test_lines_of_other_seeds_are_skipped(tmp_path):
    path = file_of(tmp_path, "client,score,seed\na,1,0\na,2,1\nb,3,1\n")
    assert read_scores(path, ("a", "b"), 1).tolist() == [2.0, 3.0]
    with pytest.raises(UserError, match="no finite score of client 'b' for seed 0"):
        read_scores(path, ("a", "b"), 0)


def test_lines_of_other_folds_are_skipped(tmp_path):
    path = file_of(tmp_path, "client,score,seed,fold\na,1,0,1\na,2,0,2\nb,3,0,2\nb,4,1,2\n")
    assert read_scores(path, ("a", "b"), 0, 2).tolist() == [2.0, 3.0]
    with pytest.raises(UserError, match="no finite score of client 'b' for seed 0, fold 1"):
        read_scores(path, ("a", "b"), 0, 1)
    # A file without the column is for all folds.
    path = file_of(tmp_path, "client,score\na,1\nb,2\n")
    assert read_scores(path, ("a", "b"), 0, 3).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("client,score\na,high\n", "line 2: a score must be a number"),
        ("client,score,seed\na,1,x\n", "line 2: a score must be a number, and a seed"),
        ("client,score\na,1\na,2\n", "line 3: client 'a' is there twice"),
        ("client,score\na,nan\n", "no finite score of client 'a'"),
        ("client,points\na,1\n", "'score' is not there"),
    ],
)
def test_files_that_cannot_be_used(content, words, tmp_path):
    with pytest.raises(UserError, match=words):
        read_scores(file_of(tmp_path, content), ("a",), 0)


def test_a_file_is_identified_by_its_content(tmp_path):
    path = file_of(tmp_path, "client,score\na,1\n")
    (tmp_path / "copy.csv").write_bytes((tmp_path / "scores.csv").read_bytes())
    assert identity_of(path) == identity_of(str(tmp_path / "copy.csv"))
    assert len(identity_of(path)) == 64
    assert identity_of("") == ""
    assert identity_of("no.csv") == "no.csv"
    other = identity_of(path)
    assert identity_of(file_of(tmp_path, "client,score\na,2\n")) != other


def test_a_file_of_scores_is_any_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.csv").write_text("client,score\na,1\nb,2\n", encoding="utf-8")
    for path in (tmp_path / "s.csv", str(tmp_path / "s.csv"), "~/s.csv"):
        assert read_scores(path, ("a", "b"), 0).tolist() == [1.0, 2.0]
    assert len(identity_of(tmp_path / "s.csv")) == 64

"""Writers of records."""

import csv
import errno
import io
import json
import os

import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.simulation import columns, writers

RECORD = {
    "method": "fjord",
    "policy": "hasa",
    "aggregation": "full",
    "seed": 0,
    "round": 2,
    "mean_accuracy": 0.1,
    "worst_accuracy": 0.05,
    "tail_accuracy": 1 / 3,
    "train_seconds": 1.23456,
}


def test_csv_reads_back_to_the_same_bits(tmp_path):
    writer = writers.CsvWriter(tmp_path)
    writer.write("summary", [RECORD])
    writer.write("summary", [])
    writer.write("summary", [{**RECORD, "policy": 'a "quoted", name'}])
    assert [p.name for p in tmp_path.iterdir()] == ["summary.csv.partial"]
    writer.publish()
    text = (tmp_path / "summary.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 2
    assert float(lines[0]["tail_accuracy"]) == 1 / 3
    assert lines[0]["train_seconds"] == "1.235"
    assert lines[1]["policy"] == 'a "quoted", name'


def test_a_folder_is_any_path_and_made(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for number, folder in enumerate((f"{tmp_path}/a/b", tmp_path / "c", "~/d")):
        writer = writers.CsvWriter(folder)
        writer.write("summary", [RECORD])
        writer.publish()
        assert len(list(tmp_path.rglob("summary.csv"))) == number + 1
    assert (tmp_path / "d" / "summary.csv").exists()
    writers.JsonLinesWriter("~/log.jsonl").close()
    assert (tmp_path / "log.jsonl").exists()


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_that_goes_away_ends_nothing(number, monkeypatch):
    tried = []

    class Gone(io.StringIO):
        def fileno(self):
            return os.open(os.devnull, os.O_RDONLY)

        def write(self, text):
            tried.append(text)
            raise OSError(number, "gone")

    monkeypatch.setattr("sys.stdout", Gone())
    writers.say("a line")
    assert tried[0].startswith("a line")


def test_a_full_disk_is_no_reader_that_goes_away(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(OSError, match="full"):
        writers.say("a line")


def test_columns_of_many_clients_are_written_as_records_are(tmp_path):
    block = columns.Block(
        3,
        {
            "method": "=hasa",
            "round": 2,
            "client": columns.Named(("a", "=1+1", "b\n"), np.array([2, 1, 0])),
            "loss": np.array([0.1, float("nan"), 1 / 3]),
            "level": None,
        },
    )
    records = columns.Columns([block, block])
    contents = []
    for name, given in (("columns", records), ("dicts", list(records))):
        writer = writers.CsvWriter(tmp_path / name)
        writer.write("metrics", given)
        writer.publish()
        contents.append((tmp_path / name / "metrics.csv").read_text(encoding="utf-8"))
    assert contents[0] == contents[1]
    assert contents[0].splitlines()[:2] == [
        "method,round,client,loss,level",
        r"'=hasa,2,b\x0a,0.1,",
    ]
    assert len(contents[0].splitlines()) == 7


def test_an_unfinished_table_replaces_nothing(tmp_path):
    finished = writers.CsvWriter(tmp_path)
    finished.write("summary", [RECORD, RECORD])
    finished.publish()
    before = (tmp_path / "summary.csv").read_bytes()
    interrupted = writers.CsvWriter(tmp_path)
    interrupted.write("summary", [RECORD])
    interrupted.close()
    assert (tmp_path / "summary.csv").read_bytes() == before


def test_json_lines(tmp_path):
    writer = writers.JsonLinesWriter(tmp_path / "log.jsonl")
    writer.write("summary", [RECORD, RECORD])
    writer.close()
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"table": "summary", **RECORD}] * 2


def test_a_line_controls_no_terminal(capsys):
    writers.say("two\nlines\x9b\u202e")
    assert capsys.readouterr().out == "two\nlines" + r"\x9b\u202e" + "\n"


@pytest.mark.parametrize("name", ["summary.csv.partial", "summary.csv"])
def test_a_table_is_not_written_through_a_link(name, tmp_path):
    target, folder = tmp_path / "outside", tmp_path / "run"
    target.write_text("not yours", encoding="utf-8")
    folder.mkdir()
    (folder / "other").symlink_to(target)
    (folder / name).symlink_to(target)
    writer = writers.CsvWriter(folder)
    with pytest.raises(UserError, match=f"{name} is a link"):
        writer.write("summary", [RECORD])
    writer.close()
    assert target.read_text(encoding="utf-8") == "not yours"
